"""Mel VQGAN: encoder, quantiser and decoder over log-mel pictures (paper sec. 3.2, supp.; Iashin and Rahtu 2021).

One set of classes for every size. `paper` is the authors' network; `mini` works on 5 x 2 patches, normalises each
position by itself and has no attention, so that it gives the same result at any length.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.quantizer import Quantized, Quantizer, QuantizerConfig
from condfoley_jax.shapes import Codes_BxL, Grid_BxRxK, Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class VQGANConfig:
  """Sizes of the VQGAN.

  Attributes:
    patch: mel bins and mel frames folded into channels before the first convolution.
    widths: channels of each level, finest first.
    strides: (frequency, time) stride between one level and the next, each 1, 2 or 3.
    encoder_blocks, decoder_blocks: residual blocks per level.
    attention_levels: levels with an attention layer after each block.
    mid_attention: attention between the two blocks at the coarsest level.
    norm: `group` (32 groups over the whole picture, as published) or `channel` (each position by itself).
    z_channels: channels that the encoder gives.
    quantizer: the codebook.
  """

  patch: tuple[int, int]
  widths: tuple[int, ...]
  strides: tuple[tuple[int, int], ...]
  encoder_blocks: int
  decoder_blocks: int
  attention_levels: tuple[int, ...]
  mid_attention: bool
  norm: str
  z_channels: int
  quantizer: QuantizerConfig

  @property
  def reduction(self) -> tuple[int, int]:
    """Mel bins and mel frames that one code stands for."""
    return tuple(self.patch[a] * math.prod(s[a] for s in self.strides) for a in (0, 1))


class VQGAN(nnx.Module):
  """Mel picture to codes and back."""

  def __init__(self, config: VQGANConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    width = config.quantizer.width
    self.encoder = Encoder(config, dtype=dtype, rngs=rngs)
    self.quant_conv = _conv(config.z_channels, width, 1, dtype, rngs)
    self.quantizer = Quantizer(config.quantizer, rngs=rngs)
    self.post_quant_conv = _conv(width, config.z_channels, 1, dtype, rngs)
    self.decoder = Decoder(config, dtype=dtype, rngs=rngs)

  def latent(self, mel: Mel_BxFxM) -> jax.Array:
    """Encoder output before quantisation, float [B, R, K, C]."""
    return self.quant_conv(self.encoder(mel[..., None]))

  def encode(self, mel: Mel_BxFxM) -> Grid_BxRxK:
    """Codes of a mel picture in [-1, 1], int32 [B, R, K]."""
    return self.quantizer.nearest(self.latent(mel))

  def decode(self, codes: Grid_BxRxK) -> Mel_BxFxM:
    """Mel picture, about [-1, 1], of codes."""
    return self.decode_latent(self.quantizer.lookup(codes))

  def decode_latent(self, z: jax.Array) -> Mel_BxFxM:
    """Mel picture of (quantised) latents [B, R, K, C]."""
    return self.decoder(self.post_quant_conv(z))[..., 0].astype(jnp.float32)

  def __call__(self, mel: Mel_BxFxM) -> tuple[Mel_BxFxM, Quantized]:
    """Reconstruction, and what the quantiser did."""
    quantized = self.quantizer(self.latent(mel))
    return self.decode_latent(quantized.z), quantized


class Encoder(nnx.Module):
  """Picture [B, F, M, 1] -> [B, R, K, z_channels]."""

  def __init__(self, config: VQGANConfig, *, dtype, rngs: Keys):
    self.config = config
    norm = _norm(config, dtype, rngs)
    self.conv_in = _conv(math.prod(config.patch), config.widths[0], 3, dtype, rngs)
    inputs = (config.widths[0], *config.widths)
    self.levels = nnx.List(
      Level(inputs[i], width, config.encoder_blocks, i in config.attention_levels, norm, dtype, rngs)
      for i, width in enumerate(config.widths)
    )
    self.downs = nnx.List(Downsample(w, s, dtype, rngs) for w, s in zip(config.widths, config.strides, strict=False))
    self.mid = Mid(config.widths[-1], config.mid_attention, norm, dtype, rngs)
    self.norm_out = norm(config.widths[-1])
    self.conv_out = _conv(config.widths[-1], config.z_channels, 3, dtype, rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    x = self.conv_in(space_to_depth(x, self.config.patch))
    for i, level in enumerate(self.levels):
      x = level(x)
      if i < len(self.downs):
        x = self.downs[i](x)
    return self.conv_out(nnx.silu(self.norm_out(self.mid(x))))


class Decoder(nnx.Module):
  """[B, R, K, z_channels] -> picture [B, F, M, 1], linear output. `levels` is stored finest first."""

  def __init__(self, config: VQGANConfig, *, dtype, rngs: Keys):
    self.config = config
    norm = _norm(config, dtype, rngs)
    self.conv_in = _conv(config.z_channels, config.widths[-1], 3, dtype, rngs)
    self.mid = Mid(config.widths[-1], config.mid_attention, norm, dtype, rngs)
    inputs = (*config.widths[1:], config.widths[-1])
    self.levels = nnx.List(
      Level(inputs[i], width, config.decoder_blocks, i in config.attention_levels, norm, dtype, rngs)
      for i, width in enumerate(config.widths)
    )
    self.ups = nnx.List(Upsample(w, s, dtype, rngs) for w, s in zip(config.widths[1:], config.strides, strict=True))
    self.norm_out = norm(config.widths[0])
    self.conv_out = _conv(config.widths[0], math.prod(config.patch), 3, dtype, rngs)

  def __call__(self, z: jax.Array) -> jax.Array:
    x = self.mid(self.conv_in(z))
    for i in reversed(range(len(self.levels))):
      x = self.levels[i](x)
      if i:
        x = self.ups[i - 1](x)
    return depth_to_space(self.conv_out(nnx.silu(self.norm_out(x))), self.config.patch)


class Level(nnx.Module):
  """Residual blocks of one resolution, each followed by attention where asked."""

  def __init__(self, inputs: int, width: int, blocks: int, attention: bool, norm, dtype, rngs: Keys):
    self.blocks = nnx.List(ResBlock(inputs if b == 0 else width, width, norm, dtype, rngs) for b in range(blocks))
    self.attentions = nnx.List(Attention(width, norm, dtype, rngs) for _ in range(blocks if attention else 0))

  def __call__(self, x: jax.Array) -> jax.Array:
    for i, block in enumerate(self.blocks):
      x = block(x)
      if self.attentions:
        x = self.attentions[i](x)
    return x


class Mid(nnx.Module):
  """Residual block, attention where asked, residual block."""

  def __init__(self, width: int, attention: bool, norm, dtype, rngs: Keys):
    self.block_1 = ResBlock(width, width, norm, dtype, rngs)
    self.attention = Attention(width, norm, dtype, rngs) if attention else None
    self.block_2 = ResBlock(width, width, norm, dtype, rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    x = self.block_1(x)
    if self.attention is not None:
      x = self.attention(x)
    return self.block_2(x)


class ResBlock(nnx.Module):
  """norm, swish, conv, norm, swish, conv, plus a shortcut (1 x 1 where the width changes)."""

  def __init__(self, inputs: int, width: int, norm, dtype, rngs: Keys):
    self.norm_1 = norm(inputs)
    self.conv_1 = _conv(inputs, width, 3, dtype, rngs)
    self.norm_2 = norm(width)
    self.conv_2 = _conv(width, width, 3, dtype, rngs)
    self.shortcut = _conv(inputs, width, 1, dtype, rngs) if inputs != width else None

  def __call__(self, x: jax.Array) -> jax.Array:
    y = self.conv_1(nnx.silu(self.norm_1(x)))
    y = self.conv_2(nnx.silu(self.norm_2(y)))
    return y + (x if self.shortcut is None else self.shortcut(x))


class Attention(nnx.Module):
  """Single-head self-attention over all positions of the picture, row-major; softmax in float32."""

  def __init__(self, width: int, norm, dtype, rngs: Keys):
    self.norm = norm(width)
    self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, rngs=rngs)
    self.out = nnx.Linear(width, width, dtype=dtype, rngs=rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    b, h, w, c = x.shape
    q, k, v = jnp.split(self.qkv(self.norm(x).reshape(b, h * w, c)), 3, axis=-1)
    logits = jnp.einsum("bqc,bkc->bqk", q, k, preferred_element_type=jnp.float32) * c**-0.5
    y = jnp.einsum("bqk,bkc->bqc", jax.nn.softmax(logits).astype(x.dtype), v)
    return x + self.out(y).reshape(b, h, w, c)


class Downsample(nnx.Module):
  """3 x 3 convolution with stride; an axis of stride 2 is padded at its end only, as published."""

  def __init__(self, width: int, stride: tuple[int, int], dtype, rngs: Keys):
    padding = [{1: (1, 1), 2: (0, 1), 3: (0, 0)}[s] for s in stride]
    self.conv = nnx.Conv(width, width, (3, 3), strides=stride, padding=padding, dtype=dtype, rngs=rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    return self.conv(x)


class Upsample(nnx.Module):
  """Nearest-neighbour repetition, then a 3 x 3 convolution."""

  def __init__(self, width: int, stride: tuple[int, int], dtype, rngs: Keys):
    self.stride = stride
    self.conv = _conv(width, width, 3, dtype, rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    return self.conv(x.repeat(self.stride[0], axis=1).repeat(self.stride[1], axis=2))


def space_to_depth(x: jax.Array, patch: tuple[int, int]) -> jax.Array:
  """[B, H, W, C] -> [B, H / patch, W / patch, patch * patch * C]."""
  b, h, w, c = x.shape
  x = x.reshape(b, h // patch[0], patch[0], w // patch[1], patch[1], c)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // patch[0], w // patch[1], -1)


def depth_to_space(x: jax.Array, patch: tuple[int, int]) -> jax.Array:
  """Inverse of `space_to_depth`."""
  b, h, w, c = x.shape
  x = x.reshape(b, h, w, patch[0], patch[1], c // math.prod(patch))
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * patch[0], w * patch[1], -1)


def codes_to_sequence(grid: Grid_BxRxK) -> Codes_BxL:
  """Column-major: time first, lowest frequency row first within a column."""
  return grid.swapaxes(-1, -2).reshape(*grid.shape[:-2], -1)


def sequence_to_codes(codes: Codes_BxL, rows: int) -> Grid_BxRxK:
  """Inverse of `codes_to_sequence`."""
  return codes.reshape(*codes.shape[:-1], -1, rows).swapaxes(-1, -2)


def _conv(inputs: int, outputs: int, kernel: int, dtype, rngs: Keys) -> nnx.Conv:
  return nnx.Conv(inputs, outputs, (kernel, kernel), padding="SAME", dtype=dtype, rngs=rngs)


def _norm(config: VQGANConfig, dtype, rngs: Keys):
  if config.norm == "group":
    return functools.partial(nnx.GroupNorm, num_groups=32, epsilon=1e-6, dtype=dtype, rngs=rngs)
  if config.norm == "channel":
    return functools.partial(nnx.LayerNorm, epsilon=1e-6, dtype=dtype, rngs=rngs)
  raise ValueError(f"norm is `group` or `channel`, not `{config.norm}`")
