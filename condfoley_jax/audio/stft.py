"""Short-time Fourier transform and its inverse, with static shapes and without gathers or scatters.

Frames are cut by reshaping the signal into blocks of one hop and laying shifted views side by side, and added back the
same way, so that any hop works, XLA sees only copies and sums, and gradients are the transposed copies.

Padding, shared by all functions:
  `same`: zeros, so that frame m is centred on samples [hop*m, hop*(m+1)) and N samples give N // hop frames.
  `center`: n_fft // 2 reflected samples on both sides, so that frame m is centred on sample hop*m: 1 + N // hop frames.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.shapes import Audio_BxN

Padding = Literal["same", "center"]

# Keeps the square root's gradient finite; its root lies far below the quietest mel magnitude kept (1e-4).
_MIN_POWER = 1e-14


def stft(audio_BxN: Audio_BxN, *, n_fft: int, hop: int, padding: Padding) -> jax.Array:
  """One-sided spectrum under a periodic Hann window of n_fft samples, unnormalised.

  Args:
    audio_BxN: float32 audio.
    n_fft: window and FFT length, samples.
    hop: samples between frames, at most n_fft.
    padding: see the module.

  Returns:
    complex64 [B, M, n_fft // 2 + 1].
  """
  frames = frame(_pad(audio_BxN, n_fft, hop, padding), n_fft, hop)
  return jnp.fft.rfft(frames * hann(n_fft))


def istft(spectrum: jax.Array, *, hop: int, padding: Padding) -> Audio_BxN:
  """Least-squares inverse of `stft`: windowed overlap-add over the sum of squared windows.

  Args:
    spectrum: complex64 [B, M, n_fft // 2 + 1].
    hop: samples between frames, at most n_fft / 2 (so that no output sample is left without a window).
    padding: as given to `stft`.

  Returns:
    float32 [B, M * hop] for `same`, [B, (M - 1) * hop] for `center`.
  """
  n_fft = 2 * (spectrum.shape[-1] - 1)
  count = spectrum.shape[1]
  left = (n_fft - hop) // 2 if padding == "same" else n_fft // 2
  length = count * hop if padding == "same" else (count - 1) * hop
  audio = overlap_add(jnp.fft.irfft(spectrum, n_fft) * hann(n_fft), hop)[:, left : left + length]
  return audio / _window_power(n_fft, hop, count)[left : left + length]


def magnitude(spectrum: jax.Array) -> jax.Array:
  """|spectrum| with a finite gradient everywhere (0 where the spectrum is 0)."""
  return jnp.sqrt(jnp.maximum(spectrum.real**2 + spectrum.imag**2, _MIN_POWER))


def frame(audio_BxN: Audio_BxN, length: int, hop: int) -> jax.Array:
  """Every full frame of `length` samples, `hop` apart: [B, 1 + (N - length) // hop, length]."""
  count = 1 + (audio_BxN.shape[1] - length) // hop
  shifts = -(-length // hop)
  size = (count + shifts - 1) * hop
  blocks = jnp.pad(audio_BxN, ((0, 0), (0, max(0, size - audio_BxN.shape[1]))))[:, :size].reshape(-1, size // hop, hop)
  return jnp.concatenate([blocks[:, i : i + count] for i in range(shifts)], axis=-1)[..., :length]


def overlap_add(frames: jax.Array, hop: int) -> Audio_BxN:
  """Sum of the frames [B, M, length] laid `hop` samples apart; trailing zeros make it [B, (M - 1 + shifts) * hop].

  `shifts` is ceil(length / hop).
  """
  batch, count, length = frames.shape
  shifts = -(-length // hop)
  blocks = jnp.pad(frames, ((0, 0), (0, 0), (0, shifts * hop - length))).reshape(batch, count, shifts, hop)
  parts = [jnp.pad(blocks[:, :, i], ((0, 0), (i, shifts - 1 - i), (0, 0))) for i in range(shifts)]
  return sum(parts).reshape(batch, -1)


@functools.cache
def hann(length: int) -> np.ndarray:
  """Periodic Hann window, float32 [length]."""
  return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def _pad(audio_BxN: Audio_BxN, n_fft: int, hop: int, padding: Padding) -> Audio_BxN:
  if padding == "same":
    left = (n_fft - hop) // 2
    return jnp.pad(audio_BxN, ((0, 0), (left, n_fft - hop - left)))
  return jnp.pad(audio_BxN, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")


@functools.cache
def _window_power(n_fft: int, hop: int, count: int) -> np.ndarray:
  """Sum of squared windows under each sample of `overlap_add`'s result, 1 where there is none."""
  shifts = -(-n_fft // hop)
  total = np.zeros((count - 1 + shifts) * hop, np.float32)
  for start in range(0, count * hop, hop):
    total[start : start + n_fft] += hann(n_fft) ** 2
  return np.where(total > 1e-8, total, 1).astype(np.float32)
