"""What a sound is like at its onsets: how fast it dies away, how bright and how loud it is; and how like another's.

For reference consistency: a result should sound like its example, at other times.
"""

from typing import NamedTuple

import numpy as np

from condfoley_jax.audio.compiled import librosa

# The stretch around an onset that counts as its sound, s from the onset; it ends early where the next one begins.
# Detected onsets are late by up to a hop of the detector, hence the start before it.
_BEFORE_S, _AFTER_S = 0.025, 0.1

# Level in time: RMS under windows of 10 ms, 2.5 ms apart.
_WINDOW_S, _STEP_S = 0.01, 0.0025
_FALL_DB = 20.0
_LEAST_S, _MOST_S = 0.005, 5.0

_FFT = 512
# A sound whose peak is not above this is not heard: -60 dBFS.
_HEARD = 1e-3
# Least RMS that a level is told of: -100 dB.
_LEAST_RMS = 1e-5


class Descriptors(NamedTuple):
  """Medians over the onsets; NaN where there is none, or none that is heard.

  decay_s: time to fall by 20 dB, s, 0.005 to 5; centroid_hz: mean of frequency weighted by power, Hz;
  level_db: RMS, dB re full scale, -100 at least.
  """

  decay_s: float
  centroid_hz: float
  level_db: float


class Differences(NamedTuple):
  """A result's descriptors against its example's, NaN where either lacks them: octaves (log2 of the ratio) and dB."""

  decay_octaves: float
  centroid_octaves: float
  level_db: float


def is_heard(audio_N: np.ndarray) -> bool:
  """Whether any sample of mono audio [N] in [-1, 1] is above -60 dBFS."""
  return bool(np.any(np.abs(audio_N) > _HEARD))


def describe(audio_N: np.ndarray, onsets_s: np.ndarray, rate: int) -> Descriptors:
  """Descriptors of a sound.

  An onset's decay is the slope of a straight line through its level in dB, from the loudest window of its stretch until
  20 dB below (or the next onset's stretch, or the end): what overlaps or noise hides is extrapolated, as T20 does. A
  sound that does not fall, such as a scratch, has the longest decay.

  Args:
    audio_N: mono float [N] in [-1, 1].
    onsets_s: s, ascending, in [0, N / rate).
    rate: Hz.
  """
  audio = np.asarray(audio_N, np.float64)
  starts = np.maximum(np.round((np.asarray(onsets_s) - _BEFORE_S) * rate).astype(int), 0)
  stretches = np.split(audio, starts)[1:]
  found = [_of_onset(x, rate) for x in stretches if is_heard(x[: _samples(_BEFORE_S + _AFTER_S, rate)])]
  return Descriptors(*(np.median(found, axis=0).tolist() if found else (np.nan,) * 3))


def differences(result: Descriptors, example: Descriptors) -> Differences:
  """Signed: positive where the result rings longer, is brighter or louder than the example."""
  return Differences(
    float(np.log2(result.decay_s / example.decay_s)),
    float(np.log2(result.centroid_hz / example.centroid_hz)),
    result.level_db - example.level_db,
  )


def similarity(result: Descriptors, example: Descriptors) -> Descriptors:
  """Of each descriptor, the smaller over the larger, in [0, 1] (of the level: of the RMS, not of dB).

  A result that has none (silence) is not alike, 0, so that it does not win by being left out. An example that has none
  cannot be followed: NaN, for every system.
  """
  decay, centroid, level_db = np.abs(differences(result, example))
  alike = np.nan_to_num([2**-decay, 2**-centroid, 10 ** (-level_db / 20)], nan=0.0)
  return Descriptors(*np.where(np.isnan(example), np.nan, alike).tolist())


def _of_onset(audio_N: np.ndarray, rate: int) -> tuple[float, float, float]:
  """Decay, centroid and level of what begins `_BEFORE_S` before an onset and ends where the next does."""
  near = audio_N[: _samples(_BEFORE_S + _AFTER_S, rate)]
  level_db = 20 * np.log10(max(np.sqrt(np.mean(near**2)), _LEAST_RMS))
  return _decay(audio_N, len(near), rate), _centroid(near, rate), level_db


def _decay(audio_N: np.ndarray, near: int, rate: int) -> float:
  """Time to fall by 20 dB from the loudest window that begins in the first `near` samples, s."""
  window, step = _samples(_WINDOW_S, rate), _samples(_STEP_S, rate)
  padded = np.pad(audio_N, (0, max(0, window - len(audio_N))))
  total = np.concatenate([[0], np.cumsum(padded**2)])
  at = np.arange(0, len(padded) - window + 1, step)
  level = 10 * np.log10(np.maximum((total[at + window] - total[at]) / window, _LEAST_RMS**2))
  loudest = int(np.argmax(level[: -(-near // step)]))
  fallen = np.flatnonzero(level[loudest:] <= level[loudest] - _FALL_DB)
  part = level[loudest : loudest + fallen[0] + 1] if len(fallen) else level[loudest:]
  if len(part) < 2:
    return _MOST_S
  slope = np.polyfit(np.arange(len(part)) * step / rate, part, 1)[0]
  return float(np.clip(_FALL_DB / -slope, _LEAST_S, _MOST_S)) if slope < 0 else _MOST_S


def _centroid(audio_N: np.ndarray, rate: int) -> float:
  spectrum = librosa().stft(np.pad(audio_N, (0, max(0, _FFT - len(audio_N)))), n_fft=_FFT, hop_length=_FFT // 4)
  power = np.sum(np.abs(spectrum) ** 2, axis=1)
  return float(np.fft.rfftfreq(_FFT, 1 / rate) @ power / power.sum())


def _samples(seconds: float, rate: int) -> int:
  return max(round(seconds * rate), 1)
