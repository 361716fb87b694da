"""The broadband part of contacts: a burst at a strike, a rustle along a scratch; harder and faster is brighter."""

import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.acoustics.scrape import Slide
from data_pipelines.builders.drumstick.acoustics.textures import Skin

_ATTACK_S = 3e-4
_FULL_SPEED, _FULL_SLIDE = 3.0, 0.8  # m/s


def bursts(skin: Skin, times_s: list[float], speeds: list[float], rate: int, samples: int, rng) -> np.ndarray:
  """Noise [samples] of strikes at those speeds, m/s."""
  soft, hard = np.zeros((2, samples))
  for time_s, speed in zip(times_s, speeds, strict=True):
    start = int(np.ceil(time_s * rate))
    decay_s = skin.noise_s * rng.uniform(0.85, 1.2)
    elapsed = np.arange(start, min(samples, start + int(8 * decay_s * rate) + 8)) / rate - time_s
    burst = np.minimum(1, elapsed / _ATTACK_S) * np.exp(-elapsed / decay_s) * rng.standard_normal(len(elapsed))
    level = speed / _FULL_SPEED
    soft[start : start + len(burst)] += level * burst
    hard[start : start + len(burst)] += level**1.6 * burst
  return skin.noise * _halves(skin, soft, hard, rate)


def rustle(skin: Skin, slides: list[Slide], rate: int, samples: int, rng) -> np.ndarray:
  """Noise [samples] along scratches."""
  soft, hard = np.zeros((2, samples))
  for slide in slides:
    level = slide.speed / _FULL_SLIDE
    part = slide.press * rng.standard_normal(len(level))
    soft[slide.start : slide.start + len(part)] += level * part
    hard[slide.start : slide.start + len(part)] += level**1.8 * part
  return 0.2 * skin.scrape * _halves(skin, soft, hard, rate)


def _halves(skin: Skin, soft: np.ndarray, hard: np.ndarray, rate: int) -> np.ndarray:
  """The lower half of the band follows `soft`, the upper `hard`."""
  low, high = (min(edge, f * rate) for edge, f in zip(skin.noise_hz, (0.2, 0.46), strict=True))
  middle = np.sqrt(low * high)
  return band(soft, low, middle, rate) + band(hard, middle, max(high, 1.2 * middle), rate)


def band(noise: np.ndarray, low: float, high: float, rate: int) -> np.ndarray:
  """White noise in a band at unit power."""
  sos = signal.butter(1, (low, high), "bandpass", fs=rate, output="sos")
  return signal.sosfilt(sos, noise) * np.sqrt(rate / 2 / (1.57 * (high - low)))
