"""Modes of simple bodies by formula.

Plate: simply supported, Kirchhoff. Beam: free at both ends, Euler-Bernoulli, with Timoshenko's correction where it is
thick (Weaver, Timoshenko and Young 1990, section 5.12). Ring: Rayleigh 1894, "Theory of sound", section 233; what a
bowl's base adds is French's for the wine glass (1983, "In vino veritas"), and its fall with n is our own.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from data_pipelines.builders.drumstick.acoustics.elastic import Elastic

_BEAM = np.array([4.730040745, 7.853204624, 10.995607838, 14.137165491, 17.278759657])
_SHEAR = 5 / 6  # Timoshenko's coefficient of a rectangular section


@dataclasses.dataclass(frozen=True)
class Modes:
  """Modes in order of frequency.

  Attributes:
    omega: undamped, rad/s [K].
    shape: displacement [K], at most 1, at a spot [2] m in the body's own axes whose origin is its middle.
    weight: [K], how many modes each stands for, as an amplitude.
  """

  omega: np.ndarray
  shape: Callable[[np.ndarray], np.ndarray]
  weight: np.ndarray

  def take(self, index: np.ndarray, weight: np.ndarray | float = 1.0) -> "Modes":
    return Modes(self.omega[index], lambda spot: self.shape(spot)[index], self.weight[index] * weight)


def plate_modes(elastic: Elastic, length: float, width: float, thickness: float, top_hz: float) -> Modes:
  """Those below `top_hz` of a plate of that size, m."""
  rigidity = elastic.young * thickness**3 / (12 * (1 - elastic.poisson**2))
  speed = np.pi**2 * np.sqrt(rigidity / (elastic.density * thickness))
  reach = np.sqrt(2 * np.pi * top_hz / speed)
  m, n = (1 + np.arange(int(side * reach) + 1) for side in (length, width))
  m, n = (grid.ravel() for grid in np.meshgrid(m, n))
  omega = speed * ((m / length) ** 2 + (n / width) ** 2)

  def shape(spot: np.ndarray) -> np.ndarray:
    return np.sin(m * np.pi * (spot[0] / length + 0.5)) * np.sin(n * np.pi * (spot[1] / width + 0.5))

  return _below(top_hz, omega, shape)


def beam_modes(
  elastic: Elastic, length: float, thickness: float, top_hz: float, *, thick: bool = False, axis: int = 0
) -> Modes:
  """Those below `top_hz` of a beam along `axis` of the body."""
  speed = np.sqrt(elastic.young / elastic.density) * thickness / np.sqrt(12)
  count = int(length * np.sqrt(2 * np.pi * top_hz / speed) / np.pi) + 1 if not thick else 12
  root = (2 * np.arange(1, count + 1) + 1) * np.pi / 2
  root[: len(_BEAM)] = _BEAM[:count]
  omega = speed * (root / length) ** 2
  if thick:
    shear = 2 * (1 + elastic.poisson) / _SHEAR
    omega = omega / np.sqrt(1 + (root / length * thickness) ** 2 / 12 * (1 + shear))
  return _below(top_hz, omega, lambda spot: beam_shape(root, spot[axis] / length + 0.5))


def beam_shape(root: np.ndarray, place: float) -> np.ndarray:
  """Displacement [K] of a free beam at `place` in 0 to 1 along it; 1 at its ends."""
  x = root * np.clip(place, 0, 1)
  # 1 - sigma of cosh + cos - sigma (sinh + sin), without the difference of large numbers.
  rest = (np.cos(root) - np.sin(root) - np.exp(-root)) / (np.sinh(root) - np.sin(root))
  rising, falling = rest * np.exp(x), (2 - rest) * np.exp(-x)
  return ((rising + falling) / 2 + np.cos(x) - (1 - rest) * np.sin(x)) / 2


def ring_modes(
  elastic: Elastic, radius: float, thickness: float, height: float, top_hz: float, *, turn: float = 0.0
) -> Modes:
  """Flexural modes of a bowl's wall, each twice: along cos and sin of n (theta - turn)."""
  n = np.arange(2, 40)
  omega = np.sqrt(elastic.young / (12 * elastic.density)) * thickness / radius**2 * n * (n**2 - 1) / np.sqrt(n**2 + 1)
  omega = omega * np.sqrt(1 + 4 / 3 * (radius / height) ** 4 * (2 / n) ** 4)
  n, omega = np.repeat(n, 2), np.repeat(omega, 2)
  quarter = np.tile([0, np.pi / 2], len(n) // 2)

  def shape(spot: np.ndarray) -> np.ndarray:
    out = min(1.0, np.hypot(*spot) / radius)  # The base moves less than the wall.
    return (0.15 + 0.85 * out) * np.cos(n * (np.arctan2(spot[1], spot[0]) - turn) - quarter)

  return _below(top_hz, omega, shape)


def joined(parts: list[Modes]) -> Modes:
  """All modes of one body that moves in several ways."""
  omega = np.concatenate([p.omega for p in parts])
  weight = np.concatenate([p.weight for p in parts])
  order = np.argsort(omega, kind="stable")
  return Modes(omega, lambda spot: np.concatenate([p.shape(spot) for p in parts]), weight).take(order)


def thinned(modes: Modes, count: int) -> Modes:
  """At most `count`: the lower half of them as they are, above it fewer and fewer, which stand for their neighbours."""
  total = len(modes.omega)
  if total <= count:
    return modes
  low = count // 2
  edges = np.unique(np.round(np.geomspace(low, total, count - low + 1)).astype(int))
  index = np.concatenate([np.arange(low), (edges[:-1] + edges[1:]) // 2])
  return modes.take(index, np.sqrt(np.concatenate([np.ones(low), np.diff(edges)])))


def _below(top_hz: float, omega: np.ndarray, shape: Callable[[np.ndarray], np.ndarray]) -> Modes:
  order = np.argsort(omega, kind="stable")
  index = order[omega[order] < 2 * np.pi * top_hz]
  return Modes(omega, shape, np.ones(len(omega))).take(index)
