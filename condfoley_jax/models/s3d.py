"""S3D: Inception blocks of separable space-time convolutions (Xie et al., ECCV 2018), without its classifier."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import SpatialConv

_INIT = nnx.initializers.he_normal()


@dataclasses.dataclass(frozen=True)
class S3DConfig:
  """Sizes of the network; the defaults are the published ones.

  Attributes:
    stem_kernel: of the first convolution, px and frames.
    stem: channels of the first convolution, which halves time, height and width.
    second: channels of the convolution after the first pooling.
    stages: channels of the mixed blocks, stage by stage. Each block has six: of the pointwise branch; of the second
      branch's pointwise and separable convolution; of the third's; of the pooled branch.
    pools: window of the max pooling between one stage and the next, which halves time, height and width.
  """

  stem_kernel: int = 7
  stem: int = 64
  second: int = 192
  stages: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
      (192, 96, 208, 16, 48, 64),
      (160, 112, 224, 24, 64, 64),
      (128, 128, 256, 24, 64, 64),
      (112, 144, 288, 32, 64, 64),
      (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
  )
  pools: tuple[int, ...] = (3, 2)

  def __post_init__(self):
    if len(self.pools) != len(self.stages) - 1:
      raise ValueError(f"{len(self.pools)} poolings between {len(self.stages)} stages")

  @property
  def feature_width(self) -> int:
    """Channels of the features."""
    return mixed_width(self.stages[-1][-1])


def mixed_width(widths: tuple[int, ...]) -> int:
  """Channels that come out of a mixed block."""
  direct, _, second, _, third, pooled = widths
  return direct + second + third + pooled


class TemporalConv(nnx.Module):
  """Convolution over an odd number of frames; [B, T, H, W, C] -> [B, ceil(T / stride), H, W, C']."""

  def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, dtype, rngs: Keys):
    self.stride = stride
    self.dtype = dtype
    self.kernel = nnx.Param(_INIT(rngs.params(), (kernel, inputs, outputs)))

  def __call__(self, x: jax.Array) -> jax.Array:
    # Matrix products, as in the video encoder: faster on a CPU than a convolution.
    kernel = self.kernel[...].astype(self.dtype)
    room = len(kernel) // 2
    padded = jnp.pad(x.astype(self.dtype), ((0, 0), (room, room), (0, 0), (0, 0), (0, 0)))
    return sum(padded[:, i : i + x.shape[1] : self.stride] @ weight for i, weight in enumerate(kernel))


class PointwiseConv(nnx.Module):
  """1 x 1 x 1 convolution, batch norm, ReLU."""

  def __init__(self, inputs: int, outputs: int, *, dtype, rngs: Keys):
    self.conv = nnx.Linear(inputs, outputs, use_bias=False, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.norm = _batch_norm(outputs, dtype, rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    return jax.nn.relu(self.norm(self.conv(x)))


class SeparableConv(nnx.Module):
  """Convolution within frames, then one over frames; each with batch norm and ReLU."""

  def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, dtype, rngs: Keys):
    self.spatial = SpatialConv(inputs, outputs, kernel, stride, dtype=dtype, rngs=rngs)
    self.spatial_norm = _batch_norm(outputs, dtype, rngs)
    self.temporal = TemporalConv(outputs, outputs, kernel, stride, dtype=dtype, rngs=rngs)
    self.temporal_norm = _batch_norm(outputs, dtype, rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(self.spatial_norm(self.spatial(x)))
    return jax.nn.relu(self.temporal_norm(self.temporal(x)))


class Mixed(nnx.Module):
  """Four branches side by side; [B, T, H, W, C] -> [B, T, H, W, mixed_width(widths)]."""

  def __init__(self, inputs: int, widths: tuple[int, ...], *, dtype, rngs: Keys):
    direct, second_in, second, third_in, third, pooled = widths
    self.splits = (direct, direct + second_in)
    # The pointwise convolutions of the first three branches read the same and are one.
    self.entry = PointwiseConv(inputs, direct + second_in + third_in, dtype=dtype, rngs=rngs)
    self.second = SeparableConv(second_in, second, dtype=dtype, rngs=rngs)
    self.third = SeparableConv(third_in, third, dtype=dtype, rngs=rngs)
    self.pooled = PointwiseConv(inputs, pooled, dtype=dtype, rngs=rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    direct, second, third = jnp.split(self.entry(x), self.splits, axis=-1)
    pooled = self.pooled(max_pool(x, (3, 3, 3), (1, 1, 1)))
    return jnp.concatenate([direct, self.second(second), self.third(third), pooled], axis=-1)


class S3D(nnx.Module):
  """Frames to a feature map; batch norms use their running statistics, for this port is not made to be trained."""

  def __init__(self, config: S3DConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.stem = SeparableConv(3, config.stem, config.stem_kernel, 2, dtype=dtype, rngs=rngs)
    self.first = PointwiseConv(config.stem, config.stem, dtype=dtype, rngs=rngs)
    self.second = SeparableConv(config.stem, config.second, dtype=dtype, rngs=rngs)
    self.stages = nnx.List()
    width = config.second
    for widths in config.stages:
      blocks = nnx.List()
      for block in widths:
        blocks.append(Mixed(width, block, dtype=dtype, rngs=rngs))
        width = mixed_width(block)
      self.stages.append(blocks)

  def __call__(self, frames: jax.Array) -> jax.Array:
    """Features of prepared frames.

    Args:
      frames: float [B, T, H, W, 3] from `video_encoder.prepare_frames`; T of at least 8, H and W of at least 32.

    Returns:
      Features [B, T / 8, H / 32, W / 32, feature_width], each of them 0 or more; 125 frames give 16, 224 px give 7.
    """
    x = max_pool(self.stem(frames), (1, 3, 3), (1, 2, 2))
    x = max_pool(self.second(self.first(x)), (1, 3, 3), (1, 2, 2))
    for blocks, pool in zip(self.stages, (None, *self.config.pools), strict=True):
      x = max_pool(x, (pool,) * 3, (2, 2, 2)) if pool else x
      for block in blocks:
        x = block(x)
    return x


def max_pool(x: jax.Array, window: tuple[int, int, int], strides: tuple[int, int, int]) -> jax.Array:
  """Max pooling over time, height and width of x [B, T, H, W, C].

  An odd window is padded so that its first place is centred on the first input, an even one not at all.
  """
  return nnx.max_pool(x, window, strides=strides, padding=[((size - 1) // 2,) * 2 for size in window])


def _batch_norm(width: int, dtype, rngs: Keys) -> nnx.BatchNorm:
  return nnx.BatchNorm(width, use_running_average=True, epsilon=1e-3, dtype=dtype, rngs=rngs)
