"""The mel front end: audio to the spectrogram that every model reads and writes, and the arithmetic back.

Mel values are 20 * log10 of linear mel magnitude, from -80 dB to +20 dB, mapped to [-1, 1].
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.audio import stft
from condfoley_jax.clip import ClipSpec
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM

_MIN_DB = -80.0
_RANGE_DB = 100.0
_MIN_MEL = 1e-5
# The published RMS normalisation: what audio is brought to, and the RMS below which it is silence.
RMS = 0.1
MIN_RMS = 1e-4


@functools.partial(jax.jit, static_argnames="spec", inline=True)
def log_mel(audio_BxN: Audio_BxN, spec: ClipSpec) -> Mel_BxFxM:
  """Mel spectrogram of audio (paper supp.: window 1024, 80 mels; the spec holds the rest).

  Args:
    audio_BxN: float32 [B, N] in [-1, 1] at spec.sample_rate; any N of at least spec.n_fft samples.
    spec: rates and bank; static under jit.

  Returns:
    float32 [B, F, M] in [-1, 1], all spec.mel_frames_of(N) frames, uncropped.
  """
  return scale_mel(mel_magnitude(audio_BxN, spec))


def mel_magnitude(audio_BxN: Audio_BxN, spec: ClipSpec) -> Mel_BxFxM:
  """Linear mel magnitudes, float32 [B, F, M] >= 0: the bank applied to the STFT's magnitude (not its power)."""
  spectrum = stft.stft(audio_BxN.astype(jnp.float32), n_fft=spec.n_fft, hop=spec.hop, padding=spec.mel_padding)
  return jnp.einsum("bmq,fq->bfm", stft.magnitude(spectrum), mel_bank(spec), precision=jax.lax.Precision.HIGHEST)


def scale_mel(magnitude_BxFxM: Mel_BxFxM) -> Mel_BxFxM:
  """Linear mel magnitude to the models' range [-1, 1], clipped at both ends."""
  decibels = 20 * jnp.log10(jnp.maximum(magnitude_BxFxM, _MIN_MEL))
  return 2 * jnp.clip((decibels - _MIN_DB) / _RANGE_DB, 0, 1) - 1


def linear_mel(mel_BxFxM: Mel_BxFxM) -> Mel_BxFxM:
  """Inverse of `scale_mel`: linear mel magnitude, 1e-4 for -1 and 10 for +1."""
  return 10 ** ((_RANGE_DB * (mel_BxFxM + 1) / 2 + _MIN_DB) / 20)


def crop_mel(mel_BxFxM: Mel_BxFxM, spec: ClipSpec, where: Literal["center", "first"], clips: int = 1) -> Mel_BxFxM:
  """The spec.mel_frames frames a clip that the models read, of the mel of `clips` clips; 0 where it has fewer.

  The published system trains on the central frames (6..165 of 173) and generates on the first ones (0..159).
  """
  start = spec.crop_start(where)
  kept = mel_BxFxM[..., start : start + clips * spec.mel_frames]
  return jnp.pad(kept, ((0, 0), (0, 0), (0, clips * spec.mel_frames - kept.shape[-1])))


def rescale_mel(mel_BxFxM: Mel_BxFxM, spec: ClipSpec, mel_scale: Literal["slaney", "htk"]) -> Mel_BxFxM:
  """The mel that a front end on another mel scale would have given, nearly.

  Both banks measure the average magnitude around each band's centre, so the spectrum is taken to run straight from
  centre to centre and measured again.

  Args:
    mel_BxFxM: float32 in [-1, 1] on the spec's scale.
    spec: the front end that made it; static under jit.
    mel_scale: the scale wanted.
  """
  if mel_scale == spec.mel_scale:
    return mel_BxFxM
  magnitude = jnp.einsum("gf,bfm->bgm", _between_scales(spec, mel_scale), linear_mel(mel_BxFxM), precision="highest")
  return scale_mel(magnitude)


def rms_normalise(audio_BxN: Audio_BxN) -> Audio_BxN:
  """Scales each row to an RMS of 0.1 (quieter than 1e-4: by 1000 at most) and clips to [-1, 1].

  The published system takes one RMS over a whole batch: pass the batch as one row for that.
  """
  rms = jnp.sqrt(jnp.mean(audio_BxN**2, axis=-1, keepdims=True))
  return jnp.clip(audio_BxN * (RMS / jnp.maximum(rms, MIN_RMS)), -1, 1)


def mel_bank(spec: ClipSpec) -> np.ndarray:
  """Triangular bank with Slaney area normalisation, float32 [F, n_fft // 2 + 1]."""
  return bank(spec.sample_rate, spec.n_fft, spec.n_mels, spec.fmin, spec.fmax, htk=spec.mel_scale == "htk")


@functools.cache
def bank(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float, *, htk: bool = False) -> np.ndarray:
  """librosa's `filters.mel`, float32 [n_mels, n_fft // 2 + 1], which takes longer to load than a soundtrack to sample.

  Args:
    sample_rate, fmin, fmax: Hz.
    n_fft: window, samples.
    n_mels: bands.
    htk: of HTK's mel scale; otherwise of Slaney's.
  """
  to_mel, to_hertz = (_htk_mel, _htk_hertz) if htk else (_slaney_mel, _slaney_hertz)
  edges = to_hertz(np.linspace(to_mel(fmin), to_mel(fmax), n_mels + 2))[:, None]
  low, centre, high = edges[:-2], edges[1:-1], edges[2:]
  hertz = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
  triangles = np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clip(min=0)
  return (triangles * 2 / (high - low)).astype(np.float32)


def _htk_mel(hertz: float) -> float:
  return 2595 * np.log10(1 + hertz / 700)


def _htk_hertz(mel: np.ndarray) -> np.ndarray:
  return 700 * (10 ** (mel / 2595) - 1)


# Slaney's scale runs straight to 1 kHz, which is mel 15, and in equal ratios from there, 27 to each factor of 6.4.
def _slaney_mel(hertz: float) -> float:
  return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _slaney_hertz(mel: np.ndarray) -> np.ndarray:
  return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@functools.cache
def _between_scales(spec: ClipSpec, mel_scale: str) -> np.ndarray:
  """Bands on the spec's scale to bands on another, float32 [F, F]."""
  ours, theirs = mel_bank(spec), mel_bank(dataclasses.replace(spec, mel_scale=mel_scale))
  # Triangles of one height add up to it between the first and the last centre, which makes them interpolate.
  triangles = ours / ours.max(axis=1, keepdims=True)
  shares = triangles / np.maximum(triangles.sum(axis=0), 1e-3)
  return theirs @ (shares / ours.sum(axis=1, keepdims=True)).T
