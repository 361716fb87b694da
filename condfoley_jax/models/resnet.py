"""ResNet of basic blocks (He et al., CVPR 2016) over a spectrogram, without pooling at its end or classifier."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys

_INIT = nnx.initializers.he_normal()


class Layers:
  """Of a config that gives the channels and the number of residual blocks of each layer."""

  widths: tuple[int, ...]
  blocks: tuple[int, ...]

  def __post_init__(self):
    if len(self.widths) != len(self.blocks):
      raise ValueError(f"{len(self.widths)} widths and {len(self.blocks)} numbers of blocks")

  @property
  def feature_width(self) -> int:
    """Channels of the features."""
    return self.widths[-1]


@dataclasses.dataclass(frozen=True)
class ResNetConfig(Layers):
  """Sizes of the network; the defaults are ResNet-18's.

  Attributes:
    stem_kernel: of the first convolution, bins and frames.
    widths: channels of each layer; every layer but the first halves both axes. The last is the feature width.
    blocks: residual blocks of each layer.
  """

  stem_kernel: int = 7
  widths: tuple[int, ...] = (64, 128, 256, 512)
  blocks: tuple[int, ...] = (2, 2, 2, 2)


class ConvNorm(nnx.Module):
  """Convolution and batch norm; [B, F, M, C] -> [B, F / stride, M / stride, C'], rounded up."""

  def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, dtype, rngs: Keys):
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
    self.norm = nnx.BatchNorm(outputs, use_running_average=True, epsilon=1e-5, dtype=dtype, rngs=rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    return self.norm(self.conv(x))


class BasicBlock(nnx.Module):
  """Two 3 x 3 convolutions and a shortcut, projected where stride or width change."""

  def __init__(self, inputs: int, outputs: int, stride: int, *, dtype, rngs: Keys):
    conv = functools.partial(ConvNorm, dtype=dtype, rngs=rngs)
    self.conv1 = conv(inputs, outputs, 3, stride)
    self.conv2 = conv(outputs, outputs, 3)
    self.projected = stride != 1 or inputs != outputs
    if self.projected:
      self.shortcut = conv(inputs, outputs, 1, stride)

  def __call__(self, x: jax.Array) -> jax.Array:
    y = self.conv2(jax.nn.relu(self.conv1(x)))
    return jax.nn.relu(y + (self.shortcut(x) if self.projected else x))


class ResNet(nnx.Module):
  """Spectrogram to a feature map; batch norms use their running statistics, for this port is not made to be trained."""

  def __init__(self, config: ResNetConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    width = config.widths[0]
    self.stem = ConvNorm(1, width, config.stem_kernel, 2, dtype=dtype, rngs=rngs)
    self.blocks = nnx.List()
    for layer, (outputs, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
      for block in range(count):
        stride = 2 if layer and not block else 1
        self.blocks.append(BasicBlock(width, outputs, stride, dtype=dtype, rngs=rngs))
        width = outputs

  def __call__(self, spectrogram: jax.Array) -> jax.Array:
    """Features of a spectrogram float [B, F, M].

    Returns:
      [B, F', M', widths[-1]], each of them 0 or more; with 4 layers F' and M' are F / 32 and M / 32, rounded up.
    """
    x = jax.nn.relu(self.stem(spectrogram[..., None]))
    x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    for block in self.blocks:
      x = block(x)
    return x
