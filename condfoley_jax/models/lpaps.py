"""LPAPS: learned perceptual distance of two mel pictures (Iashin and Rahtu 2021, after LPIPS, Zhang et al. 2018)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.classifier import VGG, VGG16, Standardise, VGGishish
from condfoley_jax.models.keys import Keys
from condfoley_jax.shapes import Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class LPAPSConfig:
  """n_mels: mel bins read; widths: channels of the convolutions, block by block (the defaults are as published)."""

  n_mels: int = 80
  widths: tuple[tuple[int, ...], ...] = VGG16


class LPAPS(nnx.Module):
  """Weighted squared differences of the VGG's features, each position at unit length.

  There is no dropout: the published training left it on in front of the heads, by mistake.
  """

  def __init__(self, config: LPAPSConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.scaling = Standardise(config.n_mels)
    self.features = VGG(config.widths, dtype=dtype, rngs=rngs)
    self.heads = nnx.List(nnx.Linear(block[-1], 1, use_bias=False, rngs=rngs) for block in config.widths)

  def __call__(self, first: Mel_BxFxM, second: Mel_BxFxM) -> jax.Array:
    """Distance float32 [B] of mels in [-1, 1]; below 0 only where a head has negative weights.

    Raises:
      ValueError: an axis of the mel is too short for the poolings.
    """
    # Two passes, not one over both: the gradient of one picture then costs nothing for the other.
    pairs = zip(*(self.features(self.scaling(mel)) for mel in (first, second)), strict=True)
    differences = [(_unit(a) - _unit(b)) ** 2 for a, b in pairs]
    return sum(head(x).mean((1, 2, 3)) for head, x in zip(self.heads, differences, strict=True))


def of_classifier(classifier: VGGishish) -> LPAPS:
  """The distance that a classifier's own features make (LPIPS without learned heads).

  All channels of a block count the same, and the blocks are averaged: from 0 to 2, features being 0 or more.
  """
  config = LPAPSConfig(classifier.config.n_mels, classifier.config.widths)
  lpaps = nnx.eval_shape(lambda: LPAPS(config, rngs=Keys(0)))
  lpaps.scaling, lpaps.features = classifier.scaling, classifier.features
  for head in lpaps.heads:
    head.kernel = nnx.Param(jnp.full(head.kernel.shape, 1 / len(config.widths)))
  return lpaps


def _unit(x: jax.Array) -> jax.Array:
  """x [..., C] divided by its length and 1e-10; the gradient where all is 0 is finite, which a plain root's is not."""
  x = x.astype(jnp.float32)
  squared = jnp.sum(x * x, -1, keepdims=True)
  return x / (jnp.sqrt(jnp.where(squared > 0, squared, 1.0)) + 1e-10)
