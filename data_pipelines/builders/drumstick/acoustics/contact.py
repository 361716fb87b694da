"""The stick and the force of its contacts: half-sine pulses of Hertz's duration (Johnson 1985, section 11.4)."""

import dataclasses

import numpy as np

from data_pipelines.builders.drumstick.acoustics.elastic import ELASTIC, Elastic

_FULL = 0.06  # momentum of a strike of unit area: 20 g at 3 m/s


@dataclasses.dataclass(frozen=True)
class Stick:
  """Effective mass, kg; radius of its tip, m; the wood of its tip, softer than along the grain."""

  mass: float
  radius: float
  tip: Elastic
  length: float
  thickness: float


def draw_stick(rng: np.random.Generator) -> Stick:
  return Stick(
    mass=rng.uniform(0.009, 0.025),
    radius=rng.uniform(0.004, 0.009),
    tip=ELASTIC["wood"]._replace(young=float(np.exp(rng.uniform(*np.log((1.2e9, 14e9)))))),
    length=rng.uniform(0.3, 0.42),
    thickness=rng.uniform(0.011, 0.017),
  )


def hertz_s(stick: Stick, young: float, poisson: float, speed: float) -> float:
  """Contact time against a flat body of that modulus, Pa, at an impact speed, m/s."""
  compliance = (1 - stick.tip.poisson**2) / stick.tip.young + (1 - poisson**2) / young
  return 2.87 * (stick.mass**2 * compliance**2 / (stick.radius * speed)) ** 0.2


def half_sine(time_s: float, length_s: float, area: float, rate: int) -> tuple[int, np.ndarray]:
  """First sample and force of a pulse that begins at the exact instant; each sample holds what came since the last."""
  at, length = time_s * rate, length_s * rate
  start = int(np.floor(at)) + 1
  done = np.clip((np.arange(start - 1, int(np.ceil(at + length)) + 1) - at) / length, 0, 1)
  return start, area * np.diff((1 - np.cos(np.pi * done)) / 2)


def strike(stick: Stick, time_s: float, length_s: float, speed: float, rate: int) -> tuple[int, np.ndarray]:
  """A strike's pulse, its area the stick's momentum over that of a full strike."""
  return half_sine(time_s, length_s, stick.mass * speed / _FULL, rate)
