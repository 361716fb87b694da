"""Onsets of audio as one label per video frame, on the device: `detect_onsets` for a whole batch, without the host."""

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.audio import stft
from condfoley_jax.audio.mel import bank
from condfoley_jax.shapes import Audio_BxN

# librosa's defaults for onsets, and the threshold above the local mean that the paper's evaluation sets.
_HOP, _N_FFT, _MELS = 512, 2048, 128
_RANGE_DB, _LEAST_POWER = 80.0, 1e-10
_DELTA = 0.3


def onset_labels(audio_BxN: Audio_BxN, sample_rate: int, fps: int, frames: int) -> jax.Array:
  """1 for frames that an onset is nearest to (one after the last counts for the last), else 0.

  Args:
    audio_BxN: float32 [B, N] in [-1, 1].
    sample_rate: Hz.
    fps, frames: rate and number T of the video frames.

  Returns:
    float32 [B, T].
  """
  envelope = onset_envelope(audio_BxN, sample_rate)
  peaks = jax.vmap(lambda x: pick_peaks(x, sample_rate))(envelope)
  # What is padded at the end is not audio.
  hops = np.arange(envelope.shape[1]) * _HOP
  frame = np.minimum(np.rint(hops / sample_rate * fps).astype(int), frames - 1)
  peaks &= hops < audio_BxN.shape[1]
  return jnp.zeros((len(peaks), frames)).at[:, frame].max(peaks.astype(jnp.float32))


def onset_envelope(audio_BxN: Audio_BxN, sample_rate: int) -> jax.Array:
  """Mean rise of the mel spectrum in dB from hop to hop, >= 0: float32 [B, 1 + N // 512], as librosa's."""
  half = _N_FFT // 2
  frames = stft.frame(jnp.pad(audio_BxN, ((0, 0), (half, half))), _N_FFT, _HOP)
  power = jnp.abs(jnp.fft.rfft(frames * stft.hann(_N_FFT))) ** 2
  mel = jnp.einsum("bmq,fq->bmf", power, bank(sample_rate, _N_FFT, _MELS, 0, sample_rate / 2), precision="highest")
  decibels = 10 * jnp.log10(jnp.maximum(mel, _LEAST_POWER))
  decibels = jnp.maximum(decibels, decibels.max((1, 2), keepdims=True) - _RANGE_DB)
  rise = jnp.maximum(jnp.diff(decibels, axis=1), 0).mean(-1)
  # Half a window late, so that a rise stands where its sound begins.
  return jnp.pad(rise, ((0, 0), (1 + half // _HOP, 0)))[:, : decibels.shape[1]]


def pick_peaks(envelope_M: jax.Array, sample_rate: int) -> jax.Array:
  """Whether each hop of an envelope is an onset, bool [M]: librosa's `onset_detect`."""
  hops = lambda seconds: int(seconds * sample_rate // _HOP)
  lowest, highest = envelope_M.min(), envelope_M.max()
  x = (envelope_M - lowest) / (highest - lowest + np.finfo(np.float32).tiny)
  highest_near, _ = _windows(x, hops(0.03), 1)
  _, mean_near = _windows(x, hops(0.1), hops(0.1) + 1)
  candidates = (x == highest_near) & (x >= mean_near + _DELTA)

  def take(wait: jax.Array, candidate: jax.Array) -> tuple[jax.Array, jax.Array]:
    taken = candidate & (wait == 0)
    return jnp.where(taken, hops(0.03), jnp.maximum(wait - 1, 0)), taken

  return jax.lax.scan(take, jnp.zeros((), jnp.int32), candidates)[1]


def _windows(x_M: jax.Array, before: int, after: int) -> tuple[jax.Array, jax.Array]:
  """Largest and mean value of x[n - before : n + after], cut at the ends, float [M] each."""
  size = before + after
  shifted = lambda fill: jnp.pad(x_M, (before, after - 1), constant_values=fill)
  parts = lambda padded: jnp.stack([padded[i : i + len(x_M)] for i in range(size)])
  there = parts(jnp.pad(jnp.ones_like(x_M), (before, after - 1)))
  return parts(shifted(-jnp.inf)).max(0), parts(shifted(0.0)).sum(0) / there.sum(0)
