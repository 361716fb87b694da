"""MelGAN (Kumar et al., NeurIPS 2019): the vocoder of `paper`, and the discriminators that it is trained against.

Every convolution is weight-normalised: its parameters are a direction (`kernel`), a `gain` and a `bias`, as in the
published checkpoints, so that training goes on from them as it began.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio import stft
from condfoley_jax.models.keys import Keys
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class MelGANConfig:
  """Sizes of the generator; the defaults are the published ones.

  Attributes:
    n_mels: mel bins read.
    width: channels before the last convolution; each upsampling stage halves the channels down to it.
    residual_layers: dilated residual blocks per stage, with dilations 1, 3, 9, ...
    ratios: upsampling of each stage; their product is the hop of the mel, samples.
  """

  n_mels: int = 80
  width: int = 32
  residual_layers: int = 3
  ratios: tuple[int, ...] = (8, 8, 2, 2)


@dataclasses.dataclass(frozen=True)
class MelGANDiscriminatorConfig:
  """Sizes of the discriminators: one per scale, each scale at half the rate of the one before.

  Attributes:
    scales: discriminators.
    width: channels of the first layer; each downsampling layer has `factor` times more, up to `max_width`.
    layers: downsampling layers, of stride `factor`.
    group_width: channels that each group of a downsampling layer reads; a layer with fewer has one group.
  """

  scales: int = 3
  width: int = 16
  layers: int = 4
  factor: int = 4
  max_width: int = 1024
  group_width: int = 4


class MelGAN(nnx.Module):
  """Mel [B, F, M] float32 in [-1, 1] to audio [B, M * prod(ratios)] float32 in (-1, 1)."""

  def __init__(self, config: MelGANConfig, *, dtype: jnp.dtype = jnp.float32, rngs: Keys):
    self.config = config
    widths = [config.width * 2**i for i in reversed(range(len(config.ratios) + 1))]
    self.first = WeightNormConv(config.n_mels, widths[0], 7, dtype=dtype, rngs=rngs)
    self.stages = nnx.List(
      [
        UpsamplingStage(before, after, ratio, config.residual_layers, dtype=dtype, rngs=rngs)
        for before, after, ratio in zip(widths[:-1], widths[1:], config.ratios, strict=True)
      ]
    )
    self.last = WeightNormConv(widths[-1], 1, 7, dtype=dtype, rngs=rngs)

  def __call__(self, mel_BxFxM: Mel_BxFxM) -> Audio_BxN:
    # The published network reads mel in [0, 1].
    x = self.first(_reflect((mel_BxFxM.swapaxes(1, 2) + 1) / 2, 3))
    for stage in self.stages:
      x = stage(x)
    return jnp.tanh(self.last(_reflect(_activate(x), 3)).astype(jnp.float32))[..., 0]


class UpsamplingStage(nnx.Module):
  """Upsampling [B, N, before] -> [B, N * ratio, after] and residual blocks with growing dilation."""

  def __init__(self, before: int, after: int, ratio: int, residual_layers: int, *, dtype, rngs: Keys):
    self.upsample = WeightNormUpsample(before, after, ratio, dtype=dtype, rngs=rngs)
    self.residuals = nnx.List([DilatedBlock(after, 3**i, dtype=dtype, rngs=rngs) for i in range(residual_layers)])

  def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
    x = self.upsample(_activate(x_BxNxC))
    for block in self.residuals:
      x = block(x)
    return x


class DilatedBlock(nnx.Module):
  """Residual block of MelGAN on [B, N, C]; the shortcut is a convolution too."""

  def __init__(self, width: int, dilation: int, *, dtype, rngs: Keys):
    self.dilation = dilation
    self.dilated = WeightNormConv(width, width, 3, dilation=dilation, dtype=dtype, rngs=rngs)
    self.pointwise = WeightNormConv(width, width, 1, dtype=dtype, rngs=rngs)
    self.shortcut = WeightNormConv(width, width, 1, dtype=dtype, rngs=rngs)

  def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
    y = self.dilated(_reflect(_activate(x_BxNxC), self.dilation))
    return self.shortcut(x_BxNxC) + self.pointwise(_activate(y))


class MelGANDiscriminator(nnx.Module):
  """Discriminators of one audio batch at several rates."""

  def __init__(self, config: MelGANDiscriminatorConfig, *, dtype: jnp.dtype = jnp.float32, rngs: Keys):
    self.scales = nnx.List([ScaleDiscriminator(config, dtype=dtype, rngs=rngs) for _ in range(config.scales)])

  def __call__(self, audio_BxN: Audio_BxN) -> list[list[jax.Array]]:
    """Per scale the output of every layer [B, N', C], the last one being the scores [B, N', 1], unbounded."""
    x = audio_BxN[..., None]
    outputs = []
    for scale in self.scales:
      outputs.append(scale(x))
      x = nnx.avg_pool(x, (4,), (2,), padding=((1, 1),), count_include_pad=False)
    return outputs


def discriminator_loss(real: list[list[jax.Array]], fake: list[list[jax.Array]]) -> jax.Array:
  """Hinge loss, summed over scales, from the discriminators' outputs on true and on made audio; float32."""
  low, high = (lambda x: jnp.mean(nnx.relu(1 - x)), lambda x: jnp.mean(nnx.relu(1 + x)))
  return sum(low(_score(r)) + high(_score(f)) for r, f in zip(real, fake, strict=True))


def fooling_loss(fake: list[list[jax.Array]]) -> jax.Array:
  """What the generator lowers to be taken for true, summed over scales; float32."""
  return -sum(jnp.mean(_score(scale)) for scale in fake)


def feature_distance(real: list[list[jax.Array]], fake: list[list[jax.Array]]) -> jax.Array:
  """Mean absolute difference of what the layers below the scores give, float32; no gradient reaches `real`.

  Weighted as published: 4 / (4 + 1) for a discriminator of 4 strided layers, averaged over scales, summed over layers.
  """
  total = 0.0
  for r, f in zip(real, fake, strict=True):
    strided = len(f) - 3
    distances = [
      jnp.mean(jnp.abs(_float32(b) - jax.lax.stop_gradient(_float32(a)))) for a, b in zip(r[:-1], f[:-1], strict=True)
    ]
    total += 4 / (strided + 1) * sum(distances)
  return total / len(fake)


def _score(outputs: list[jax.Array]) -> jax.Array:
  return _float32(outputs[-1])


def _float32(x: jax.Array) -> jax.Array:
  return x.astype(jnp.float32)


class ScaleDiscriminator(nnx.Module):
  """A stack of strided, grouped convolutions on [B, N, 1]."""

  def __init__(self, config: MelGANDiscriminatorConfig, *, dtype, rngs: Keys):
    widths = [min(config.width * config.factor**i, config.max_width) for i in range(config.layers + 1)]
    kernel = 10 * config.factor + 1
    groups = lambda width: max(width // config.group_width, 1)
    self.first = WeightNormConv(1, widths[0], 15, dtype=dtype, rngs=rngs)
    self.strided = nnx.List(
      [
        WeightNormConv(
          a, b, kernel, stride=config.factor, groups=groups(a), padding=kernel // 2, dtype=dtype, rngs=rngs
        )
        for a, b in itertools.pairwise(widths)
      ]
    )
    last = min(2 * widths[-1], config.max_width)
    self.wide = WeightNormConv(widths[-1], last, 5, padding=2, dtype=dtype, rngs=rngs)
    self.score = WeightNormConv(last, 1, 3, padding=1, dtype=dtype, rngs=rngs)

  def __call__(self, x_BxNx1: jax.Array) -> list[jax.Array]:
    outputs = [_activate(self.first(_reflect(x_BxNx1, 7)))]
    for conv in [*self.strided, self.wide]:
      outputs.append(_activate(conv(outputs[-1])))
    return [*outputs, self.score(outputs[-1])]


class WeightNormConv(nnx.Module):
  """Convolution of [B, N, C] with kernel [taps, C / groups, C'], normalised per output channel, zero-padded."""

  def __init__(
    self, before: int, after: int, taps: int, *, stride=1, dilation=1, groups=1, padding=0, dtype, rngs: Keys
  ):
    self.kernel, self.gain, self.bias = _weight_norm_params((taps, before // groups, after), 2, taps, rngs)
    self.stride, self.dilation, self.groups, self.padding, self.dtype = stride, dilation, groups, padding, dtype

  def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
    y = jax.lax.conv_general_dilated(
      x_BxNxC.astype(self.dtype),
      _normalised(self.kernel[...], self.gain[...], axis=2).astype(self.dtype),
      window_strides=(self.stride,),
      padding=((self.padding, self.padding),),
      rhs_dilation=(self.dilation,),
      dimension_numbers=("NWC", "WIO", "NWC"),
      feature_group_count=self.groups,
    )
    return y + self.bias[...].astype(self.dtype)


class WeightNormUpsample(nnx.Module):
  """Transposed convolution [B, N, C] -> [B, N * ratio, C'], kernel [C, 2 * ratio, C'], normalised per input channel.

  Twice as many taps as its stride: a matrix product whose two halves are added one stride apart, with none of the
  zeros that a dilated input would multiply.
  """

  def __init__(self, before: int, after: int, ratio: int, *, dtype, rngs: Keys):
    self.kernel, self.gain, self.bias = _weight_norm_params((before, 2 * ratio, after), 0, 2 * ratio, rngs)
    self.ratio, self.dtype = ratio, dtype

  def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
    kernel = _normalised(self.kernel[...], self.gain[...], axis=0).astype(self.dtype)
    taps, after = kernel.shape[1:]
    spread = x_BxNxC.astype(self.dtype) @ kernel.reshape(-1, taps * after)
    added = stft.overlap_add(spread, self.ratio * after).reshape(x_BxNxC.shape[0], -1, after)
    start = (self.ratio + 1) // 2
    return added[:, start : start + x_BxNxC.shape[1] * self.ratio] + self.bias[...].astype(self.dtype)


def _weight_norm_params(shape: tuple[int, ...], axis: int, taps: int, rngs: Keys):
  """Kernel, gain and bias whose product is PyTorch's default initialisation: uniform within 1/sqrt(fan_in)."""
  fan_in = taps * shape[1] if axis == 2 else taps * shape[2]
  kernel = jax.random.uniform(rngs.params(), shape, minval=-1.0, maxval=1.0) / np.sqrt(fan_in)
  return nnx.Param(kernel), nnx.Param(_norm(kernel, axis).reshape(-1)), nnx.Param(jnp.zeros((shape[2],)))


def _normalised(kernel: jax.Array, gain: jax.Array, axis: int) -> jax.Array:
  return kernel * (jnp.expand_dims(gain, [i for i in range(3) if i != axis]) / _norm(kernel, axis))


def _norm(kernel: jax.Array, axis: int) -> jax.Array:
  return jnp.sqrt(jnp.sum(kernel**2, axis=[i for i in range(3) if i != axis], keepdims=True))


def _activate(x: jax.Array) -> jax.Array:
  return nnx.leaky_relu(x, 0.2)


def _reflect(x_BxNxC: jax.Array, width: int) -> jax.Array:
  return jnp.pad(x_BxNxC, ((0, 0), (width, width), (0, 0)), mode="reflect")
