"""(2+1)D ResNet without temporal stride (one feature per frame), and a head that reads labelled events off it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.optical_flow import optical_flow
from condfoley_jax.models.resnet import Layers
from condfoley_jax.shapes import Features_BxTxD, Frames_BxTxHxWx3

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_INIT = nnx.initializers.he_normal()


@dataclasses.dataclass(frozen=True)
class VideoEncoderConfig(Layers):
  """Sizes of the encoder; the defaults are the published R(2+1)D-18.

  Attributes:
    stem_kernel, stem_stride: of the stem's spatial convolution, px.
    stem_mid: channels between the stem's spatial and temporal convolutions.
    widths: channels of each layer; every layer but the first halves height and width. The last is the feature width.
    blocks: residual blocks of each layer.
    motion: whether the stem reads, besides colours, how brightness changes: what a small encoder would have to learn
      first, and learns late.
    framewise: whether no convolution reads other frames (`motion` and `flow` still look at the next ones).
    flow: whether a second network of the same sizes reads the optical flow; its features follow the first one's. With
      `framewise` these are the features of SpecVQGAN (Iashin and Rahtu 2021).
  """

  stem_kernel: int = 7
  stem_stride: int = 2
  stem_mid: int = 45
  widths: tuple[int, ...] = (64, 128, 256, 512)
  blocks: tuple[int, ...] = (2, 2, 2, 2)
  motion: bool = False
  framewise: bool = False
  flow: bool = False

  @property
  def feature_width(self) -> int:
    """Of both networks."""
    return self.widths[-1] * (2 if self.flow else 1)


def prepare_frames(frames: Frames_BxTxHxWx3) -> jax.Array:
  """uint8 RGB [B, T, H, W, 3] -> float32 with ImageNet's mean 0 and deviation 1."""
  return (frames.astype(jnp.float32) / 255 - _MEAN) / _STD


def motion(frames: jax.Array) -> jax.Array:
  """Change of brightness, in units of its deviation over the clip, of prepared frames [B, T, H, W, 3].

  Returns:
    [B, T, H, W, 3]: since the frame before, until the frame after, and the size of the former; 0 past the clip's ends.
  """
  bright = frames.astype(jnp.float32) @ _LUMA
  change = jnp.diff(bright, axis=1)
  change /= jnp.sqrt(jnp.mean(change**2, axis=(1, 2, 3), keepdims=True)) + 1e-3
  since, until = (jnp.pad(change, ((0, 0), ends, (0, 0), (0, 0))) for ends in ((1, 0), (0, 1)))
  return jnp.stack([since, until, jnp.abs(since)], axis=-1)


def flow_frames(frames: jax.Array) -> jax.Array:
  """Flow of prepared frames [B, T, H, W, 3] in tenths of their width: right, down and size, [B, T, H, W, 3]."""
  flow = optical_flow(frames.astype(jnp.float32) @ _LUMA) * (10 / frames.shape[3])
  return jnp.concatenate([flow, jnp.sqrt(jnp.sum(flow**2, -1, keepdims=True) + 1e-12)], -1).astype(frames.dtype)


def middle_width(inputs: int, outputs: int) -> int:
  """Channels between the two halves of a (2+1)D convolution: as many weights as a full 3 x 3 x 3 one."""
  return inputs * outputs * 27 // (9 * inputs + 3 * outputs)


class SpatialConv(nnx.Module):
  """Convolution within frames, time folded into the batch; [B, T, H, W, C] -> [B, T, H', W', C']."""

  def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, dtype, rngs: Keys):
    self.conv = nnx.Conv(
      inputs,
      outputs,
      (kernel, kernel),
      strides=stride,
      padding=kernel // 2,
      use_bias=False,
      kernel_init=_INIT,
      dtype=dtype,
      rngs=rngs,
    )

  def __call__(self, x: jax.Array) -> jax.Array:
    y = self.conv(x.reshape(-1, *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


class TemporalConv(nnx.Module):
  """Convolution over `frames` frames, an odd number; [B, T, H, W, C] -> [B, T, H, W, C']."""

  def __init__(self, inputs: int, outputs: int, frames: int, *, dtype, rngs: Keys):
    self.dtype = dtype
    self.kernel = nnx.Param(_INIT(rngs.params(), (frames, inputs, outputs)))

  def __call__(self, x: jax.Array) -> jax.Array:
    # On a CPU three matrix products take two thirds of the time of a convolution, forward and backward.
    kernel = self.kernel[...].astype(self.dtype)
    reach = len(kernel) // 2
    padded = jnp.pad(x.astype(self.dtype), ((0, 0), (reach, reach), (0, 0), (0, 0), (0, 0)))
    return sum(padded[:, i : i + x.shape[1]] @ kernel[i] for i in range(len(kernel)))


class Conv2Plus1D(nnx.Module):
  """Spatial convolution, batch norm, ReLU, temporal convolution, batch norm."""

  def __init__(self, inputs: int, mid: int, outputs: int, kernel: tuple[int, int], stride: int, *, dtype, rngs: Keys):
    space, time = kernel
    self.spatial = SpatialConv(inputs, mid, space, stride, dtype=dtype, rngs=rngs)
    self.spatial_norm = _batch_norm(mid, dtype, rngs)
    self.temporal = TemporalConv(mid, outputs, time, dtype=dtype, rngs=rngs)
    self.temporal_norm = _batch_norm(outputs, dtype, rngs)

  def __call__(self, x: jax.Array, use_running_average: bool) -> jax.Array:
    x = jax.nn.relu(self.spatial_norm(self.spatial(x), use_running_average=use_running_average))
    return self.temporal_norm(self.temporal(x), use_running_average=use_running_average)


class ResidualBlock(nnx.Module):
  """Two (2+1)D convolutions and a shortcut, projected where stride or width change."""

  def __init__(self, inputs: int, outputs: int, stride: int, frames: int, *, dtype, rngs: Keys):
    mid = middle_width(inputs, outputs)
    self.conv1 = Conv2Plus1D(inputs, mid, outputs, (3, frames), stride, dtype=dtype, rngs=rngs)
    self.conv2 = Conv2Plus1D(outputs, mid, outputs, (3, frames), 1, dtype=dtype, rngs=rngs)
    self.projected = stride != 1 or inputs != outputs
    if self.projected:
      self.shortcut = SpatialConv(inputs, outputs, 1, stride, dtype=dtype, rngs=rngs)
      self.shortcut_norm = _batch_norm(outputs, dtype, rngs)

  def __call__(self, x: jax.Array, use_running_average: bool) -> jax.Array:
    y = self.conv2(jax.nn.relu(self.conv1(x, use_running_average)), use_running_average)
    if self.projected:
      x = self.shortcut_norm(self.shortcut(x), use_running_average=use_running_average)
    return jax.nn.relu(x + y)


class VideoEncoder(nnx.Module):
  """Frames to one feature vector per frame (paper sec. 3.2): R(2+1)D without temporal strides."""

  def __init__(self, config: VideoEncoderConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    frames = 1 if config.framewise else 3
    sizes = (config.stem_mid, config.widths[0], (config.stem_kernel, frames), config.stem_stride)
    self.stem = Conv2Plus1D(6 if config.motion else 3, *sizes, dtype=dtype, rngs=rngs)
    self.blocks = nnx.List()
    width = config.widths[0]
    for layer, (outputs, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
      for block in range(count):
        stride = 2 if layer and not block else 1
        self.blocks.append(ResidualBlock(width, outputs, stride, frames, dtype=dtype, rngs=rngs))
        width = outputs
    if config.flow:
      self.second = VideoEncoder(dataclasses.replace(config, flow=False), dtype=dtype, rngs=rngs)

  def __call__(self, frames: jax.Array, *, use_running_average: bool) -> Features_BxTxD:
    """Features of prepared frames.

    Args:
      frames: float [B, T, H, W, 3] from `prepare_frames`.
      use_running_average: False normalises by this call's own statistics and moves the running ones, as the published
        system does even when it generates.

    Returns:
      Features [B, T, feature_width], each of them 0 or more.
    """
    if self.config.flow:
      second = self.second(flow_frames(frames), use_running_average=use_running_average)
    if self.config.motion:
      frames = jnp.concatenate([frames, motion(frames).astype(frames.dtype)], axis=-1)
    x = jax.nn.relu(self.stem(frames, use_running_average))
    for block in self.blocks:
      x = block(x, use_running_average)
    features = x.mean(axis=(2, 3))
    return jnp.concatenate([features, second], -1) if self.config.flow else features


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EventPrediction:
  """Per-frame predictions: onset logit [B, T]; offset [B, T], the event's time within its frame, 0 to 1; logits of
  material [B, T, materials] and action [B, T, actions]."""

  onset: jax.Array
  offset: jax.Array
  material: jax.Array
  action: jax.Array


@dataclasses.dataclass(frozen=True)
class EventHeadConfig:
  """width: of the features; materials, actions: number of classes."""

  width: int
  materials: int = 17
  actions: int = 2


class EventHead(nnx.Module):
  """Reads labelled events off the features, to pre-train the encoder."""

  def __init__(self, config: EventHeadConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    width, sizes = config.width, (1, 1, config.materials, config.actions)
    self.conv = nnx.Conv(width, width, (5,), kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.heads = nnx.List([nnx.Linear(width, size, dtype=dtype, rngs=rngs) for size in sizes])

  def __call__(self, features: Features_BxTxD) -> EventPrediction:
    """features [B, T, width] -> float32 predictions."""
    x = jax.nn.relu(self.conv(features))
    onset, offset, material, action = (head(x).astype(jnp.float32) for head in self.heads)
    return EventPrediction(onset[..., 0], jax.nn.sigmoid(offset[..., 0]), material, action)


def _batch_norm(width: int, dtype, rngs: Keys) -> nnx.BatchNorm:
  return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, dtype=dtype, rngs=rngs)
