"""Augmentation of sound, on the device: the paper's "augment", on in base and off in `no_augmentation` (paper table 1).

The paper does not say what it is made of; this is our definition. Both clips of a pair share the draws that an example
tells about the target (level, speed, how loud and how dull the noise is); the noise itself and masks are of each clip.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class SoundAugmentation:
  """How far sound is changed; the defaults change nothing.

  Attributes:
    gain_db: range of the level, uniform in dB.
    speed: largest relative change of speed and, with it, pitch.
    noise_db: range of the RMS of added noise, dB below full scale, from white to pink; None adds none.
    mask_frames, mask_bins: most mel frames and bins that one stripe of each kind silences, of a pair's condition
      or of what a classifier hears.

  Raises:
    ValueError: a range is none, or a number out of its range.
  """

  gain_db: tuple[float, float] = (0.0, 0.0)
  speed: float = 0.0
  noise_db: tuple[float, float] | None = None
  mask_frames: int = 0
  mask_bins: int = 0

  def __post_init__(self):
    for name in ("gain_db", "noise_db"):
      if (bounds := getattr(self, name)) is not None and not (len(bounds) == 2 and bounds[0] <= bounds[1]):
        raise ValueError(f"sound.{name} is {bounds}; give the lowest and the highest")
    if not 0 <= self.speed < 1:
      raise ValueError(f"sound.speed is {self.speed}; it is 0 or more and less than 1")
    for name in ("mask_frames", "mask_bins"):
      if getattr(self, name) < 0:
        raise ValueError(f"sound.{name} is {getattr(self, name)}; it is 0 or more")


def augment(clips: Sequence[Audio_BxN], key: jax.Array, change: SoundAugmentation) -> list[Audio_BxN]:
  """Clips that belong together, as the two of a pair: row by row changed alike, each with noise of its own.

  Args:
    clips: float32 [B, N] each.
    key: of all draws.
    change: how far.

  Returns:
    float32 [B, N] each, clipped to [-1, 1].
  """
  gain_key, speed_key, kind_key, noise_key = jax.random.split(key, 4)
  rows = clips[0].shape[0]
  gain = draw_gain(rows, gain_key, change.gain_db)
  speed = 1 + change.speed * jax.random.uniform(speed_key, (rows,), minval=-1, maxval=1)

  def changed(audio, key):
    audio = change_speed(audio, speed) if change.speed else audio
    audio = audio * gain
    if change.noise_db is not None:
      audio += noise(kind_key, key, audio.shape, change.noise_db)
    return jnp.clip(audio, -1, 1)

  return [changed(audio, key) for audio, key in zip(clips, jax.random.split(noise_key, len(clips)), strict=True)]


def random_gain(audio_BxN: Audio_BxN, key: jax.Array, gain_db: tuple[float, float]) -> Audio_BxN:
  """Audio at a level drawn per clip, uniform in dB, clipped to [-1, 1]."""
  return jnp.clip(audio_BxN * draw_gain(audio_BxN.shape[0], key, gain_db), -1, 1)


def draw_gain(rows: int, key: jax.Array, gain_db: tuple[float, float]) -> jax.Array:
  """Factors [rows, 1], uniform in dB."""
  decibels = jax.random.uniform(key, (rows, 1), minval=gain_db[0], maxval=gain_db[1])
  return 10 ** (decibels / 20)


def change_speed(audio_BxN: Audio_BxN, speed_B: jax.Array) -> Audio_BxN:
  """Audio played `speed` times as fast about its middle, which stays; silence where there is none any more.

  At 3 % an onset at the edge of 2 s moves by 30 ms. Cubic interpolation between samples (Catmull-Rom).
  """
  length = audio_BxN.shape[1]
  middle = (length - 1) / 2
  at = middle + (jnp.arange(length) - middle) * speed_B[:, None]
  before = jnp.floor(at).astype(jnp.int32)
  t = (at - before).astype(audio_BxN.dtype)
  padded = jnp.pad(audio_BxN, ((0, 0), (2, 2)))
  a, b, c, d = (jnp.take_along_axis(padded, jnp.clip(before + i, 0, length + 3), axis=1) for i in (1, 2, 3, 4))
  cubic = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
  return jnp.where((at >= 0) & (at <= length - 1), cubic, 0)


def noise(kind_key: jax.Array, key: jax.Array, shape: tuple[int, int], noise_db: tuple[float, float]) -> Audio_BxN:
  """Noise [B, N], its spectrum between white and 3 dB an octave down.

  Args:
    kind_key: draws RMS and slope of each clip.
    key: draws the noise.
    shape: (B, N).
    noise_db: range of the RMS, dB below full scale.
  """
  level_key, slope_key = jax.random.split(kind_key)
  # A power of two: a TPU computes the transform of another length as a product with a matrix of that size squared.
  length = 1 << (shape[1] - 1).bit_length()
  spectrum = jnp.fft.rfft(jax.random.normal(key, (shape[0], length)))
  slope = jax.random.uniform(slope_key, (shape[0], 1), maxval=0.5)
  shaped = jnp.fft.irfft(spectrum * jnp.maximum(jnp.arange(spectrum.shape[1]), 1) ** -slope, length)[:, : shape[1]]
  level = draw_gain(shape[0], level_key, noise_db)
  return shaped * level / jnp.sqrt(jnp.mean(shaped**2, axis=1, keepdims=True))


def mask_mel(mel_BxFxM: Mel_BxFxM, key: jax.Array, change: SoundAugmentation) -> Mel_BxFxM:
  """Silences one stripe of time and one of frequency per clip, each up to the widest allowed (SpecAugment)."""
  time_key, bin_key = jax.random.split(key)
  rows, bins, frames = mel_BxFxM.shape
  kept = _outside_stripe(time_key, rows, frames, change.mask_frames)[:, None]
  kept &= _outside_stripe(bin_key, rows, bins, change.mask_bins)[:, :, None]
  return jnp.where(kept, mel_BxFxM, -1)


def _outside_stripe(key: jax.Array, rows: int, length: int, widest: int) -> jax.Array:
  """False inside one stripe per row, up to `widest` wide, bool [rows, length]."""
  width_key, start_key = jax.random.split(key)
  width = jax.random.randint(width_key, (rows, 1), 0, widest + 1)
  start = (jax.random.uniform(start_key, (rows, 1)) * (length - width + 1)).astype(jnp.int32)
  at = jnp.arange(length)
  return (at < start) | (at >= start + width)
