"""Small events that contacts set off: pebbles and stems, crackles, bubbles. The choice of numbers is our own.

Knocks and crackles are random events in a few resonances (Cook 1997, "Physically informed sonic modeling: PhISEM");
energies of crackles follow a power law (Kramer and Lobkovsky 1996, "Universal power law in the noise from a crumpled
elastic sheet"). Bubbles ring at Minnaert's frequency (1933) and rise (van den Doel 2005, "Physically based models for
liquid sounds").
"""

import dataclasses

import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.acoustics.textures import Grains

_CHANNELS = 12
_DYNAMICS = 1e3  # largest energy over smallest
_PRESSURE, _WATER, _GAMMA = 101325.0, 998.0, 1.4
_RISE = (0.0, 0.25)  # of a bubble's pitch, in units of its decay
_SLIDING = 0.6  # amplitude of a scratch's grains over a strike's
# Exponent of a strike's strength: a harder one throws the same pebbles further; bubbles only get more and smaller.
_FORCED = {"knock": 1.6, "crackle": 1.6, "bubble": 1.0}


@dataclasses.dataclass(frozen=True)
class Event:
  """One grain: time, s; amplitude; place in the video's resonances or bubble sizes, 0 to 1 from low to high pitch."""

  time_s: float
  level: float
  place: float


@dataclasses.dataclass(frozen=True)
class Resonances:
  """What grains of one video ring at: Hz [C] and time to 1/e, s [C]."""

  frequency: np.ndarray
  ring_s: np.ndarray


def draw_resonances(grains: Grains, rng: np.random.Generator) -> Resonances:
  low, high = grains.hertz
  frequency = low * (max(high, 1.5 * low) / low) ** np.sort(rng.random(_CHANNELS))
  return Resonances(frequency, grains.ring_s * np.exp(0.4 * rng.standard_normal(_CHANNELS)))


def strike_events(grains: Grains, time_s: float, strength: float, rng: np.random.Generator) -> list[Event]:
  """Grains of a strike: the harder the more and the louder; they die away over `spread_s`."""
  count = rng.poisson(grains.count * (0.15 + 0.85 * strength))
  delay = rng.exponential(grains.spread_s, count)
  level = strength ** _FORCED[grains.kind] * _levels(grains, count, rng) * np.exp(-delay / grains.spread_s / 2)
  return [Event(*e) for e in zip(time_s + delay, level, _places(np.full(count, strength), rng), strict=True)]


def slide_events(
  grains: Grains, times_s: np.ndarray, speed: np.ndarray, press: np.ndarray, rng: np.random.Generator
) -> list[Event]:
  """Grains of a scratch, at random along its path: times [N] s, speed [N] m/s, pressure [N]."""
  if len(times_s) < 2:
    return []
  way = np.cumsum(speed) * (times_s[1] - times_s[0])
  count = rng.poisson(grains.per_m * way[-1] * (0.4 + 0.6 * press.mean()))
  at = np.searchsorted(way, rng.uniform(0, way[-1], count)).clip(0, len(way) - 1)
  level = _SLIDING * press[at] * _levels(grains, count, rng) * speed[at] / 0.5
  return [Event(*e) for e in zip(times_s[at], level, _places(speed[at] / 0.8, rng), strict=True)]


def sound_of(
  grains: Grains, resonances: Resonances, events: list[Event], rate: int, samples: int, rng: np.random.Generator
) -> np.ndarray:
  """Sound [samples] of those grains."""
  if grains.kind == "bubble":
    return _bubbles(grains, events, rate, samples, rng)
  taps = np.zeros((_CHANNELS, samples + 1))
  for event in events:
    at = int(np.ceil(event.time_s * rate))
    if at < samples:
      taps[int(event.place * _CHANNELS), at] += event.level * rng.choice((-1, 1))
  total = np.zeros(samples)
  for tap, frequency, ring_s in zip(taps, resonances.frequency, resonances.ring_s, strict=True):
    angle, radius = 2 * np.pi * min(frequency / rate, 0.45), np.exp(-1 / (ring_s * rate))
    total += signal.lfilter([np.sin(angle)], [1, -2 * radius * np.cos(angle), radius**2], tap[:samples])
  return total


def minnaert_hz(radius: float) -> float:
  """Frequency of a bubble of that radius, m, in water."""
  return float(np.sqrt(3 * _GAMMA * _PRESSURE / _WATER) / (2 * np.pi * radius))


def bubble(radius: float, rise: float, rate: int) -> np.ndarray:
  """Decaying tone of a bubble that comes up; its decay in 1/s is that of van den Doel."""
  decay = 0.13 / radius + 0.0072 * radius**-1.5
  elapsed = np.arange(int(6.5 / decay * rate)) / rate
  cycles = minnaert_hz(radius) * elapsed * (1 + rise * decay * elapsed / 2)
  return np.exp(-decay * elapsed) * np.sin(2 * np.pi * cycles)


def _bubbles(grains: Grains, events: list[Event], rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
  low, high = grains.hertz
  least, most = (minnaert_hz(1.0) / edge for edge in (min(max(high, 1.5 * low), 0.4 * rate), low))
  total = np.zeros(samples)
  for event in events:
    radius = most * (least / most) ** event.place
    start = int(np.ceil(event.time_s * rate))
    tone = event.level * (radius / most) ** 0.4 * bubble(radius, rng.uniform(*_RISE), rate)
    tone = tone[: max(0, samples - start)]
    total[start : start + len(tone)] += tone
  return total


def _levels(grains: Grains, count: int, rng: np.random.Generator) -> np.ndarray:
  """Amplitudes [count] of energies whose distribution falls as their power -(1 + tail); the largest has `db`."""
  spread = 1 - _DYNAMICS**-grains.tail
  energy = (1 - rng.random(count) * spread) ** (-1 / grains.tail)
  return 10 ** (grains.db / 20) * np.sqrt(energy / _DYNAMICS)


def _places(effort: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Places [N] of grains: the more effort [N], the more small and high ones."""
  return rng.random(len(effort)) ** (1 / (0.3 + 1.2 * np.minimum(effort, 2)))
