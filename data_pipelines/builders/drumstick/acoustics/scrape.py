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


@dataclasses.dataclass(frozen=True)
class Profile:
  """Slope of the surface along a line, of unit power, which repeats itself after `_POINTS` steps."""

  slope: np.ndarray

  def force(self, place: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """At `place` [N] m on the line, at `speed` [N] m/s: proportional to the speed, and the faster the higher."""
    at = place / _STEP
    return speed * np.interp(at % _POINTS, np.arange(_POINTS + 1), np.append(self.slope, self.slope[0]))


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
  return Profile(slope / np.std(slope))
