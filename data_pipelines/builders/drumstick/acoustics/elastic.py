"""Elastic constants and damping of rigid materials.

Published rows, density, Young's modulus, Poisson's ratio and Rayleigh damping: Wang and James 2019, "KleinPAT: optimal
mode conflation for time-domain precomputation of acoustic transfer", used again by Gao et al. 2021, "ObjectFolder".
Rows marked so have handbook density and moduli, and damping of our own.
"""

from typing import NamedTuple

import numpy as np


class Elastic(NamedTuple):
  """Density kg/m3, Young's modulus Pa, Poisson's ratio; damping alpha 1/s + beta s * omega^2."""

  density: float
  young: float
  poisson: float
  alpha: float
  beta: float

  def decay(self, omega: np.ndarray, support: float = 0.0) -> np.ndarray:
    """1/s at undamped angular frequencies, rad/s; `support` is added to alpha."""
    return (self.alpha + support + self.beta * omega**2) / 2


ELASTIC = {
  "ceramic": Elastic(2700, 7.2e10, 0.19, 6, 1e-7),
  "glass": Elastic(2600, 6.2e10, 0.20, 1, 1e-7),
  "wood": Elastic(750, 1.1e10, 0.25, 60, 2e-6),
  "plastic": Elastic(1070, 1.4e9, 0.35, 30, 1e-6),
  "polycarbonate": Elastic(1190, 2.4e9, 0.37, 0.5, 4e-7),
  "iron": Elastic(8000, 2.1e11, 0.28, 5, 1e-7),
  "steel": Elastic(7850, 2.0e11, 0.29, 5, 3e-8),
  # Damping of our own from here on.
  "aluminium": Elastic(2700, 6.9e10, 0.33, 5, 8e-8),
  "brass": Elastic(8500, 1.05e11, 0.34, 5, 6e-8),
  "granite": Elastic(2650, 5.0e10, 0.25, 60, 3e-7),
  "tile": Elastic(2300, 5.0e10, 0.20, 15, 3e-7),
  "gypsum": Elastic(750, 2.3e9, 0.25, 60, 3e-6),
}
# What the things of a material are made of.
_MADE_OF = {
  "ceramic": ("ceramic",),
  "drywall": ("gypsum",),
  "glass": ("glass",),
  "metal": ("steel", "iron", "aluminium", "brass"),
  "plastic": ("plastic", "polycarbonate"),
  "rock": ("granite",),
  "tile": ("tile",),
  "wood": ("wood",),
}
RIGID = tuple(_MADE_OF)
_SPREAD = {"density": 0.04, "young": 0.08, "poisson": 0.02, "alpha": 0.3, "beta": 0.3}  # Of the logarithm.
# Damping by what it lies on or hangs from, 1/s, of our own: free things are held loosely or laid on something soft.
_SUPPORT, _BEDDED = (2.0, 90.0), (40.0, 300.0)


def draw_elastic(material: str, rng: np.random.Generator) -> Elastic:
  """One of the things that rigid `material` stands for, some per cent off the table."""
  kinds = _MADE_OF[material]
  row = ELASTIC[kinds[rng.integers(len(kinds))]]
  return Elastic(*(value * np.exp(_SPREAD[name] * rng.standard_normal()) for name, value in row._asdict().items()))


def draw_support(shape: str, rng: np.random.Generator) -> float:
  """Mass-proportional damping that the support adds, 1/s."""
  return float(np.exp(rng.uniform(*np.log(_BEDDED if shape == "ground" else _SUPPORT))))
