"""Augmentation of frames, on the device: one box, one flip and one colour draw per clip (published: model inputs)."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.shapes import Frames_BxTxHxWx3

# RGB to luma and two axes of colour, and back (NTSC): hue turns the colour axes, saturation scales them.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
_TO_RGB = np.linalg.inv(_TO_YIQ).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class PictureAugmentation:
  """How far frames are changed; the defaults change nothing.

  Attributes:
    area: range of the crop's share of the picture.
    aspect: largest change of its aspect ratio, as a factor.
    flip: mirror left to right with a probability of one half.
    brightness, contrast, saturation: largest relative change of each.
    hue: largest turn of the hue, as a share of the circle.

  Raises:
    ValueError: a number is out of its range.
  """

  area: tuple[float, float] = (1.0, 1.0)
  aspect: float = 1.0
  flip: bool = False
  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  hue: float = 0.0

  def __post_init__(self):
    if not (len(self.area) == 2 and 0 < self.area[0] <= self.area[1] <= 1):
      raise ValueError(f"picture.area is {self.area}; give the smallest and the largest share, above 0 and up to 1")
    if not 1 <= self.aspect < math.inf:
      raise ValueError(f"picture.aspect is {self.aspect}; it is 1 or more")
    for name in ("brightness", "contrast", "saturation", "hue"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"picture.{name} is {getattr(self, name)}; it is from 0 to 1")


# The published one. Its colour changes come in random order, ours always in the same.
PUBLISHED = PictureAugmentation((0.5, 1.0), 4 / 3, True, 0.4, 0.2, 0.4, 0.1)


def augment_frames(
  frames: Frames_BxTxHxWx3, key: jax.Array, size: int, change: PictureAugmentation
) -> Frames_BxTxHxWx3:
  """A random part of uint8 frames [B, T, S, S, 3] as [B, T, size, size, 3], in random colours.

  All frames of a clip are changed alike. float32 in [0, 255], not rounded.
  """
  box_key, flip_key, color_key = jax.random.split(key, 3)
  rows, columns = _boxes(box_key, frames.shape[0], frames.shape[2], size, change)
  if change.flip:
    mirrored = jax.random.bernoulli(flip_key, shape=(frames.shape[0], 1, 1))
    columns = jnp.where(mirrored, columns[:, ::-1], columns)
  cropped = jnp.einsum("byh,bthwc,bxw->btyxc", rows, frames.astype(jnp.float32), columns)
  return jnp.clip(_recolored(cropped, color_key, change), 0, 255)


def center_crop(frames: Frames_BxTxHxWx3, size: int) -> Frames_BxTxHxWx3:
  """The middle of frames [B, T, S, S, 3], [B, T, size, size, 3]."""
  edge = (frames.shape[2] - size) // 2
  return frames[:, :, edge : edge + size, edge : edge + size]


def _boxes(key: jax.Array, clips: int, side: int, size: int, change: PictureAugmentation):
  """Matrices [B, size, side] that cut and resize rows, and columns."""
  area_key, aspect_key, top_key, left_key = jax.random.split(key, 4)
  draw = lambda k, low, high: jax.random.uniform(k, (clips,), minval=low, maxval=high)
  length = side * jnp.sqrt(draw(area_key, *change.area))
  stretch = jnp.exp(0.5 * draw(aspect_key, -jnp.log(change.aspect), jnp.log(change.aspect)))
  # A box that would stick out is as long as the picture; the published code draws another one.
  height, width = jnp.minimum(length / stretch, side), jnp.minimum(length * stretch, side)
  top, left = draw(top_key, 0, 1) * (side - height), draw(left_key, 0, 1) * (side - width)
  return _resizing(top, height, side, size), _resizing(left, width, side, size)


def _resizing(start: jax.Array, length: jax.Array, side: int, size: int) -> jax.Array:
  """Linear interpolation of `size` points over [start, start + length) of `side` pixels, [B, size, side]."""
  at = start[:, None] + (jnp.arange(size) + 0.5) * (length / size)[:, None] - 0.5
  at = jnp.clip(at, 0, side - 1)
  return jnp.maximum(1 - jnp.abs(at[:, :, None] - jnp.arange(side)), 0)


def _recolored(frames: jax.Array, key: jax.Array, change: PictureAugmentation) -> jax.Array:
  brightness_key, contrast_key, saturation_key, hue_key = jax.random.split(key, 4)
  around = lambda k, most: jax.random.uniform(k, (frames.shape[0], 1, 1, 1), minval=-most, maxval=most)
  bright = frames * (1 + around(brightness_key, change.brightness)[..., None])
  luma, i, q = jnp.moveaxis(bright @ _TO_YIQ.T, -1, 0)
  mean = luma.mean(axis=(1, 2, 3), keepdims=True)
  contrast = 1 + around(contrast_key, change.contrast)
  luma = mean + (luma - mean) * contrast
  turn = 2 * jnp.pi * around(hue_key, change.hue)
  scale = contrast * (1 + around(saturation_key, change.saturation))
  cos, sin = scale * jnp.cos(turn), scale * jnp.sin(turn)
  return jnp.stack([luma, cos * i - sin * q, sin * i + cos * q], axis=-1) @ _TO_RGB.T
