"""Where it happens and what records it: reflections, a decaying tail, the microphone's colour."""

import numpy as np
from scipy import signal

_OUTDOORS = {"dirt": 0.85, "grass": 0.9, "gravel": 0.85, "leaf": 0.85, "rock": 0.5, "water": 0.5, "wood": 0.2}
SPEED_OF_SOUND = 343.0  # m/s
_BANDS_HZ = (350.0, 2500.0)  # between low, middle and high


def draw_room(material: str, rate: int, rng: np.random.Generator) -> np.ndarray:
  """Impulse response [N] whose first sample is the direct sound, 1."""
  outdoors = rng.random() < _OUTDOORS.get(material, 0.1)
  response = outdoor_tail(rate, rng) if outdoors else indoor_tail(rate, rng)
  response[0] = 1.0
  return response


def indoor_tail(rate: int, rng: np.random.Generator) -> np.ndarray:
  """First images in the walls of a box, and a tail whose decay differs by band."""
  tail_s = np.exp(rng.uniform(*np.log((0.12, 0.8)))) * np.array([rng.uniform(0.8, 1.4), 1.0, rng.uniform(0.3, 0.9)])
  elapsed = np.arange(int(1.1 * tail_s.max() * rate)) / rate
  mixing_s = rng.uniform(0.004, 0.02)
  noise = rng.standard_normal(len(elapsed)) * np.minimum(1, elapsed / mixing_s)
  response = np.zeros(len(elapsed))
  for part, decay_s in zip(_bands(noise, rate), tail_s, strict=True):
    response += part * np.exp(-np.log(1000) * elapsed / decay_s)
  response *= 10 ** (rng.uniform(-26, -4) / 20) / max(np.linalg.norm(response), 1e-9)
  _add_images(response, rate, rng)
  return response


def outdoor_tail(rate: int, rng: np.random.Generator) -> np.ndarray:
  """The ground's reflection and a little scattering from what stands around."""
  elapsed = np.arange(int(0.25 * rate)) / rate
  response = rng.standard_normal(len(elapsed)) * np.exp(-elapsed / rng.uniform(0.01, 0.04)) * (elapsed > 0.004)
  response *= 10 ** (rng.uniform(-38, -20) / 20) / np.linalg.norm(response)
  response[max(1, int(rng.uniform(2e-4, 3e-3) * rate))] += rng.uniform(0.1, 0.6)
  return response


def draw_microphone(rate: int, rng: np.random.Generator) -> np.ndarray:
  """Second-order sections [S, 6]: a high-pass, a low-pass, a tilt, up to two resonances."""
  sections = [
    signal.butter(rng.integers(1, 3), np.exp(rng.uniform(*np.log((20, 160)))), "highpass", fs=rate, output="sos"),
    signal.butter(
      rng.integers(1, 3), min(np.exp(rng.uniform(*np.log((6000, 20000)))), 0.46 * rate), fs=rate, output="sos"
    ),
    _tilt(rng.uniform(-3, 6), np.exp(rng.uniform(*np.log((500, 3000)))), rate),
  ]
  for _ in range(rng.integers(0, 3)):
    centre = min(np.exp(rng.uniform(*np.log((120, 9000)))), 0.4 * rate)
    sections.append(_peak(rng.uniform(-6, 6), centre, rng.uniform(0.6, 4), rate))
  return np.concatenate(sections)


def _add_images(response: np.ndarray, rate: int, rng: np.random.Generator) -> None:
  """The six first reflections in a box that holds thing and microphone, each later than the direct sound."""
  box = rng.uniform([2.2, 2.2, 2.2], [8.0, 6.0, 3.5])
  thing = box * rng.uniform([0.2, 0.2, 0.0], [0.8, 0.8, 0.45])
  direction = rng.normal(size=3) * [1, 1, 0.4]
  microphone = np.clip(thing + rng.uniform(0.4, 1.8) * direction / np.linalg.norm(direction), 0.1, box - 0.1)
  direct = np.linalg.norm(thing - microphone)
  for axis in range(3):
    for wall in (0.0, box[axis]):
      image = thing.copy()
      image[axis] = 2 * wall - thing[axis]
      way = np.linalg.norm(image - microphone)
      at = max(1, round((way - direct) / SPEED_OF_SOUND * rate))
      if at < len(response):
        response[at] += rng.uniform(0.3, 0.9) * direct / way


def _bands(noise: np.ndarray, rate: int) -> list[np.ndarray]:
  low, high = (signal.sosfilt(signal.butter(1, edge, fs=rate, output="sos"), noise) for edge in _BANDS_HZ)
  return [low, high - low, noise - high]


def _tilt(db: float, centre_hz: float, rate: int) -> np.ndarray:
  """One section [1, 6] that lowers what is below the centre by half of `db` and raises what is above it by as much."""
  a, w = 10 ** (db / 40), np.tan(np.pi * centre_hz / rate)
  # (s + w / a) / (s + w a) by the bilinear transform, scaled to have the two shelves at -db/2 and +db/2.
  b, c = w / a, w * a
  return np.array([[a * (1 + b), a * (b - 1), 0, 1 + c, c - 1, 0]]) / (1 + c)


def _peak(db: float, centre_hz: float, quality: float, rate: int) -> np.ndarray:
  """One peaking section [1, 6] (Zoelzer 2011, "DAFX", section 2.3)."""
  k, v = np.tan(np.pi * centre_hz / rate), 10 ** (abs(db) / 20)
  top = np.array([1 + v * k / quality + k * k, 2 * (k * k - 1), 1 - v * k / quality + k * k])
  bottom = np.array([1 + k / quality + k * k, 2 * (k * k - 1), 1 - k / quality + k * k])
  b, a = (top, bottom) if db > 0 else (bottom, top)
  return np.concatenate([b, a])[None] / a[0]
