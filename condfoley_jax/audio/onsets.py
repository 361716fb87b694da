"""Onsets of audio, on the host."""

import numpy as np

from condfoley_jax.audio.compiled import librosa

# librosa's hop for onsets, samples, and its threshold above the local mean as the paper's evaluation sets it.
_HOP = 512
_DELTA = 0.3

# librosa's window for onsets, samples: it warns about anything shorter.
_WINDOW = 2048

# Frames of librosa's whose spectra are in memory at a time.
_FRAMES = 2048

# Points at which the envelope is read within each frame of `onset_strength`.
_POINTS = 8


def detect_onsets(audio_N: np.ndarray, sample_rate: int) -> np.ndarray:
  """Times of the onsets, as the paper's evaluation detects them (librosa's defaults but for a threshold of 0.3).

  Args:
    audio_N: float audio [N] in [-1, 1], any N; the evaluation uses 22,050 Hz.
    sample_rate: Hz.

  Returns:
    float64 [n], seconds, ascending; none for silence.
  """
  if not np.any(audio_N):
    return np.zeros(0)
  samples = librosa().onset.onset_detect(
    onset_envelope=_envelope(audio_N, sample_rate), sr=sample_rate, hop_length=_HOP, units="samples", delta=_DELTA
  )
  return samples[samples < len(audio_N)] / sample_rate


def onset_strength(audio_N: np.ndarray, sample_rate: int, fps: float) -> np.ndarray:
  """Onset envelope (spectral flux in dB per hop) at `fps`: the highest within each frame.

  Args:
    audio_N: float audio [N] in [-1, 1], any N >= 1.
    sample_rate: Hz.
    fps: frames per second of the result.

  Returns:
    float32 [round(N / sample_rate * fps)], >= 0.
  """
  envelope = _envelope(audio_N, sample_rate)
  frames = round(len(audio_N) / sample_rate * fps)
  times = (np.arange(frames * _POINTS) + 0.5) / (_POINTS * fps)
  at_times = np.interp(times, np.arange(len(envelope)) * _HOP / sample_rate, envelope)
  return at_times.reshape(frames, _POINTS).max(axis=1).astype(np.float32)


def _envelope(audio_N: np.ndarray, sample_rate: int) -> np.ndarray:
  """librosa's onset strength, float32 [1 + N // hop], from spectra of a stretch at a time: those of half an hour would
  take a gigabyte."""
  audio = np.asarray(audio_N, np.float32)
  frames = 1 + max(len(audio), _WINDOW) // _HOP
  mels = [_mel(audio, first, min(first + _FRAMES, frames), sample_rate) for first in range(0, frames, _FRAMES)]
  decibels = librosa().power_to_db(np.concatenate(mels, axis=1))
  return librosa().onset.onset_strength(S=decibels, sr=sample_rate, hop_length=_HOP)


def _mel(audio: np.ndarray, first: int, end: int, sample_rate: int) -> np.ndarray:
  """Power in mel bands of frames `first` to `end`, silence being around the sound."""
  begin, until = first * _HOP - _WINDOW // 2, (end - 1) * _HOP + _WINDOW // 2
  part = audio[max(begin, 0) : until]
  part = np.pad(part, (max(-begin, 0), max(until - max(begin, 0) - len(part), 0)))
  return librosa().feature.melspectrogram(
    y=part, sr=sample_rate, n_fft=_WINDOW, hop_length=_HOP, center=False, fmax=0.5 * sample_rate
  )
