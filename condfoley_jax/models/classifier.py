"""VGGish-ish: a VGG16 that tells what sounds in a log-mel picture (Iashin and Rahtu 2021; paper sec. 4)."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import Frozen
from condfoley_jax.shapes import Mel_BxFxM

VGG16 = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


@dataclasses.dataclass(frozen=True)
class VGGishishConfig:
  """Sizes of the classifier; the defaults are the published ones.

  Attributes:
    classes: logits.
    n_mels: mel bins read.
    widths: channels of the convolutions, block by block.
    pool: cells (frequency, time) that the last block's output is averaged over.
    hidden: width of both hidden layers.
  """

  classes: int
  n_mels: int = 80
  widths: tuple[tuple[int, ...], ...] = VGG16
  pool: tuple[int, int] = (5, 10)
  hidden: int = 4096


class VGGishish(nnx.Module):
  """Mel picture of any length -> one logit per class."""

  def __init__(self, config: VGGishishConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.scaling = Standardise(config.n_mels)
    self.features = VGG(config.widths, dtype=dtype, rngs=rngs)
    sizes = (config.pool[0] * config.pool[1] * config.widths[-1][-1], config.hidden, config.hidden, config.classes)
    # About 0.01 at the published widths, and not too small for narrow layers.
    init = nnx.initializers.he_normal()
    self.layers = nnx.List(
      nnx.Linear(a, b, kernel_init=init, dtype=dtype, rngs=rngs) for a, b in itertools.pairwise(sizes)
    )

  def __call__(self, mel: Mel_BxFxM) -> jax.Array:
    """Logits float32 [B, classes] of a mel float32 in [-1, 1].

    Raises:
      ValueError: an axis of the mel is too short for the poolings.
    """
    return self.layers[-1](self.embed(mel)).astype(jnp.float32)

  def embed(self, mel: Mel_BxFxM) -> jax.Array:
    """What the last layer reads, [B, hidden], not negative."""
    x = adaptive_mean(self.features(self.scaling(mel))[-1], self.config.pool)
    x = x.reshape(x.shape[0], -1)
    for layer in self.layers[:-1]:
      x = nnx.relu(layer(x))
    return x


class Standardise(nnx.Module):
  """Takes the mean of each mel bin away and divides by its deviation; both in the mel's units, saved, never trained."""

  def __init__(self, n_mels: int):
    self.mean = Frozen(jnp.zeros(n_mels, jnp.float32))
    self.deviation = Frozen(jnp.ones(n_mels, jnp.float32))

  def __call__(self, mel: Mel_BxFxM) -> Mel_BxFxM:
    return (mel - self.mean[:, None]) / self.deviation[:, None]


class VGG(nnx.Module):
  """3 x 3 convolutions and ReLU, the picture halved by max pooling between one block and the next."""

  def __init__(self, widths: tuple[tuple[int, ...], ...], *, dtype, rngs: Keys):
    inputs = iter((1, *itertools.chain(*widths)))
    init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
    options = dict(kernel_size=(3, 3), padding="SAME", kernel_init=init, dtype=dtype, rngs=rngs)
    self.blocks = nnx.List(nnx.List(nnx.Conv(next(inputs), w, **options) for w in block) for block in widths)

  def __call__(self, mel: Mel_BxFxM) -> list[jax.Array]:
    """Output [B, F / 2^i, M / 2^i, C] (rounded down) of each block i, not negative, for a standardised mel.

    Raises:
      ValueError: an axis of the mel is too short for the poolings.
    """
    least = 2 ** (len(self.blocks) - 1)
    if min(mel.shape[1:]) < least:
      raise ValueError(f"a mel of {mel.shape[1]} x {mel.shape[2]} is smaller than {least} x {least}")
    x, outputs = mel[..., None], []
    for i, block in enumerate(self.blocks):
      x = _halved(x) if i else x
      for conv in block:
        x = nnx.relu(conv(x))
      outputs.append(x)
    return outputs


def _halved(x: jax.Array) -> jax.Array:
  """The largest of each 2 x 2 of [B, H, W, C], a last odd row or column left out.

  As slices, because a CPU takes five times as long for the gradient of a window's maximum.
  """
  height, width = (size // 2 * 2 for size in x.shape[1:3])
  x = x[:, :height, :width]
  x = jnp.maximum(x[:, ::2], x[:, 1::2])
  return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def adaptive_mean(x: jax.Array, cells: tuple[int, int]) -> jax.Array:
  """[B, H, W, C] -> [B, *cells, C]: cell i of k spans floor(i n / k) to ceil((i + 1) n / k), as in PyTorch."""
  rows, columns = (_spans(size, count) for size, count in zip(x.shape[1:3], cells, strict=True))
  return jnp.einsum("bhwc,rh,kw->brkc", x, rows, columns, precision="highest").astype(x.dtype)


def _spans(size: int, count: int) -> np.ndarray:
  """Weights [count, size] of each cell's mean."""
  cell, at = np.arange(count)[:, None], np.arange(size)
  inside = (cell * size // count <= at) & (at * count < (cell + 1) * size)
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)
