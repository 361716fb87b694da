"""What flies up where the stick strikes loose or wet surfaces: pebbles, leaves, drops, in free fall."""

import numpy as np

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Scene, Stroke

_GRAVITY = 9.81
_PER_STRIKE = 14  # pieces of a full-strength strike
_LOOSE = ("scatter", "splash")


class Debris:
  """All pieces of a video; each flies from its launch until it is back on the surface."""

  def __init__(self, scene: Scene, tip: Tip, rng: np.random.Generator):
    loose = scene.row.reaction in _LOOSE
    launched = [_launch(stroke, rng) for stroke in scene.strokes if loose]
    self._start = np.concatenate([np.zeros(0), *(start for start, _ in launched)])
    self._velocity = np.concatenate([np.zeros((0, 3)), *(velocity for _, velocity in launched)])
    self._origin = tip.position(self._start) * [1, 1, 0]
    self._radius = rng.uniform(0.0025, 0.006, len(self._start))
    self.color = _color(scene, rng)

  def flying(self, time_s: float) -> list[tuple[np.ndarray, float]]:
    """(position [3] m, radius m) of the pieces in the air at `time_s`."""
    age = time_s - self._start
    up = (age > 0) & (age < 2 * self._velocity[:, 2] / _GRAVITY)
    age = age[up, None]
    fall = np.array([0, 0, -_GRAVITY / 2])
    position = self._origin[up] + self._velocity[up] * age + fall * age**2
    return list(zip(position, self._radius[up], strict=True))


def _launch(stroke: Stroke, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Instants [K] and velocities [K, 3] of a stroke's pieces: at once for a hit, along the way for a scratch."""
  count = rng.poisson(_PER_STRIKE * stroke.strength)
  speed = (0.4 + 0.9 * stroke.strength) * rng.uniform(0.4, 1.0, count)
  bearing, rise = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.5, 1.4, count)
  level = np.cos(rise)
  direction = np.stack([level * np.cos(bearing), level * np.sin(bearing), np.sin(rise)], axis=-1)
  return stroke.time_s + stroke.duration_s * rng.uniform(0, 1, count), speed[:, None] * direction


def _color(scene: Scene, rng: np.random.Generator) -> tuple[float, float, float]:
  colors = scene.row.look.colors
  base = np.array(colors[rng.integers(len(colors))]) + (90 if scene.row.reaction == "splash" else 20)
  return tuple(np.clip(base, 0, 255).astype(float).tolist())
