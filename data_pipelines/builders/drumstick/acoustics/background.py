"""What else is heard: coloured noise, hum, wind, distant rumble; nothing that could be taken for a stroke."""

import numpy as np
from scipy import fft, signal

_LEVEL_DB = ((-74.0, -66.0, -56.0, -38.0), (0.0, 0.35, 0.8, 1.0))  # its quantiles
_SLOWEST, _FASTEST = 0.3, 1.2  # gusts per second: slow against the strokes


def draw_background(rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
  """[samples] of noise at a level drawn by _LEVEL_DB, dB of full scale, now and then almost none."""
  total = _coloured(rng.uniform(0.3, 2.2), rate, samples, rng)
  total /= _rms(total)
  if rng.random() < 0.3:
    total += rng.uniform(0.2, 2) * _hum(rate, samples, rng)
  if rng.random() < 0.35:
    total += rng.uniform(0.3, 2) * _slow(_below(rng.uniform(120, 500), rate, samples, rng), rate, rng)
  if rng.random() < 0.3:
    total += rng.uniform(0.3, 2) * _slow(_below(rng.uniform(50, 120), rate, samples, rng), rate, rng)
  level_db = np.interp(rng.random(), _LEVEL_DB[1], _LEVEL_DB[0]) if rng.random() < 0.92 else -85.0
  return total * 10 ** (level_db / 20) / _rms(total)


def _coloured(slope: float, rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
  """Noise whose power falls as frequency^-slope above 60 Hz."""
  count = fft.next_fast_len(samples, real=True)
  hertz = fft.rfftfreq(count, 1 / rate)
  white = rng.standard_normal((2, len(hertz)))
  return fft.irfft((white[0] + 1j * white[1]) * np.maximum(hertz, 60) ** (-slope / 2), count)[:samples]


def _hum(rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
  """Mains and its harmonics at unit power."""
  time = np.arange(samples) / rate
  mains = rng.choice((50, 60)) * (1 + 1e-3 * rng.standard_normal())
  parts = [
    rng.random() / k * np.sin(2 * np.pi * (k * mains * time + rng.random())) for k in (1, 2, 3, 4, 6)
  ]  # fmt: skip
  return sum(parts) / _rms(sum(parts))


def _below(edge_hz: float, rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
  noise = signal.sosfilt(signal.butter(2, edge_hz, fs=rate, output="sos"), rng.standard_normal(samples))
  return noise / _rms(noise)


def _slow(noise: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
  """With the swell of gusts or of passing cars, by about 10 dB."""
  count = max(4, int(len(noise) / rate * rng.uniform(_SLOWEST, _FASTEST)) + 2)
  knots = np.interp(np.linspace(0, count - 1, 8 * count), np.arange(count), rng.standard_normal(count))
  smooth = np.convolve(np.pad(knots, 4, "edge"), np.hanning(9) / 4, "valid")[: len(knots)]
  gust = np.interp(np.linspace(0, len(smooth) - 1, len(noise)), np.arange(len(smooth)), smooth)
  return noise * 10 ** (8 * gust / 20)


def _rms(x: np.ndarray) -> float:
  return float(np.sqrt(np.mean(x**2)) + 1e-12)
