"""PatchGAN discriminator over mel pictures (paper supp.; Isola et al. 2017)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.shapes import Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
  """width: channels after the first layer; layers: strided layers (the published one has 64 and 3)."""

  width: int
  layers: int = 3


class Discriminator(nnx.Module):
  """Mel picture -> one logit per patch. Its norms take the statistics of the batch, in training and out of it."""

  def __init__(self, config: DiscriminatorConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    widths = [config.width * min(2**i, 8) for i in range(config.layers + 1)]
    init = nnx.initializers.normal(0.02)
    options = dict(kernel_size=(4, 4), padding=[(1, 1), (1, 1)], kernel_init=init, dtype=dtype, rngs=rngs)
    self.conv_in = nnx.Conv(1, widths[0], strides=2, **options)
    strides = [2] * (config.layers - 1) + [1]
    self.convs = nnx.List(
      nnx.Conv(a, b, strides=s, use_bias=False, **options)
      for a, b, s in zip(widths[:-1], widths[1:], strides, strict=True)
    )
    self.norms = nnx.List(
      nnx.BatchNorm(w, momentum=0.9, epsilon=1e-5, scale_init=_around_one, dtype=dtype, rngs=rngs) for w in widths[1:]
    )
    self.conv_out = nnx.Conv(widths[-1], 1, strides=1, **options)

  def __call__(self, mel: Mel_BxFxM) -> jax.Array:
    """Logits float32 [B, F', M'] of mels float32 in [-1, 1]: above 0 where the patch seems real."""
    x = nnx.leaky_relu(self.conv_in(mel[..., None]), 0.2)
    for conv, norm in zip(self.convs, self.norms, strict=True):
      x = nnx.leaky_relu(norm(conv(x)), 0.2)
    return self.conv_out(x)[..., 0].astype(jnp.float32)


def hinge_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
  """Discriminator's loss from its logits on real and on reconstructed pictures."""
  return 0.5 * (jnp.mean(nnx.relu(1 - real)) + jnp.mean(nnx.relu(1 + fake)))


def _around_one(key, shape, dtype=jnp.float32):
  return 1 + 0.02 * jax.random.normal(key, shape, dtype)
