"""The force of a sliding tip: a fixed random profile of the surface, read at the tip's speed.

After van den Doel, Kry and Pai 2001, "FoleyAutomatic": a fractal profile, which the contact patch smooths.
"""

import dataclasses

import numpy as np

from data_pipelines.builders.drumstick.acoustics.textures import Skin

_STEP = 4e-5  # m between points of the profile
_POINTS = 1 << 14
_RIDGES = {"tile": 0.3, "wood": 0.35, "metal": 0.25, "plastic": 0.4, "carpet": 0.4, "cloth": 0.3}  # how often ribbed
_RIDGE_M = (0.0012, 0.008)
_UNEVEN_M = 0.004  # over which the surface's grip changes


@dataclasses.dataclass(frozen=True)
class Slide:
  """One scratch from its first sample on: place on the profile [N] m, speed [N] m/s, pressure [N]."""

  start: int
  place: np.ndarray
  speed: np.ndarray
  press: np.ndarray


@dataclasses.dataclass(frozen=True)
class Profile:
  """The surface along a line, which repeats itself after `_POINTS` steps: its slope, of unit power, and its grip."""

  slope: np.ndarray
  grip: np.ndarray

  def force(self, place: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """At `place` [N] m on the line, at `speed` [N] m/s: proportional to the speed, and the faster the higher."""
    return speed * _read(self.slope, place)

  def catch(self, place: np.ndarray) -> np.ndarray:
    """How firmly the tip is held at `place` [N] m, about 1."""
    return _read(self.grip, place)


def draw_profile(skin: Skin, material: str, rng: np.random.Generator) -> Profile:
  """Power over wave number k falls as k^-rough down to the size of the contact patch; ribs on some surfaces."""
  wave = np.fft.rfftfreq(_POINTS, _STEP)
  spectrum = np.maximum(wave, 20) ** (-skin.rough / 2) * np.exp(-((wave * skin.patch_m) ** 2))
  spectrum[0] = 0
  slope = np.fft.irfft(spectrum * np.fft.rfft(rng.standard_normal(_POINTS)))
  slope /= np.std(slope)
  if rng.random() < _RIDGES.get(material, 0.0):
    # A whole number of ribs, so that the profile closes.
    ribs = round(_POINTS * _STEP / np.exp(rng.uniform(*np.log(_RIDGE_M))))
    slope += rng.uniform(1, 4) * np.maximum(0, np.cos(2 * np.pi * ribs * np.arange(_POINTS) / _POINTS)) ** 12
    slope -= slope.mean()
  uneven = np.fft.irfft(np.exp(-((wave * _UNEVEN_M) ** 2)) * np.fft.rfft(rng.standard_normal(_POINTS)))
  return Profile(slope / np.std(slope), np.exp(rng.uniform(0.15, 0.7) * uneven / np.std(uneven)))


def _read(line: np.ndarray, place: np.ndarray) -> np.ndarray:
  return np.interp(place / _STEP % _POINTS, np.arange(_POINTS + 1), np.append(line, line[0]))
