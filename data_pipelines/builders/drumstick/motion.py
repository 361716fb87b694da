"""Path of the stick's tip, continuous in time: it comes down to reach the surface at the exact instant of a stroke.

Coordinates, m: x to the right, y away from the camera, z up; the surface is z = 0.
"""

import numpy as np
from scipy import interpolate

from data_pipelines.builders.drumstick.scene import Scene, Stroke

_DWELL_S = 0.002  # the tip presses in for this long before it rebounds
_MAX_SPEED, _MIN_SPEED = 3.0, 0.35  # of impact, m/s
_SCRATCH_KNOTS_PER_S = 60
_RAMP_S = 0.02  # a scratch's speed builds up in this time
_START_PHASE = 0.6  # rad; a scratch sets off at once instead of easing in from the ellipse's end


class Tip:
  """Position and speed of the tip at any time of the video."""

  def __init__(self, scene: Scene):
    knots = _knots(scene, scene.rng("motion"))
    time, position, velocity = (np.array(k, dtype=np.float64) for k in zip(*knots, strict=True))
    self._spline = interpolate.CubicHermiteSpline(time, position, velocity)
    self._velocity = self._spline.derivative()

  def position(self, time_s: np.ndarray) -> np.ndarray:
    """[N] s -> [N, 3] m; z >= 0."""
    xyz = self._spline(time_s)
    xyz[..., 2] = np.maximum(xyz[..., 2], 0)
    return xyz

  def slide_speed(self, time_s: np.ndarray) -> np.ndarray:
    """[N] s -> [N] m/s along the surface (meaningful where the tip touches it)."""
    return np.linalg.norm(self._velocity(time_s)[..., :2], axis=-1)


def impact_speed(strength: float) -> float:
  """Speed at which the tip meets the surface, m/s."""
  return _MIN_SPEED + (_MAX_SPEED - _MIN_SPEED) * strength


def lift_height(strength: float) -> float:
  """Height from which a strike of that strength comes down when there is time for it, m."""
  return 0.05 + 0.17 * strength


def _knots(scene: Scene, rng: np.random.Generator) -> list[tuple]:
  """(time, position, velocity) of the path's knots."""
  centre = np.array([rng.uniform(-0.05, 0.05), rng.uniform(-0.03, 0.05), 0.0])
  rest = centre + np.array([0, 0, rng.uniform(0.08, 0.16)])
  still = np.zeros(3)
  knots = [(-1.0, rest, still), (0.0, rest, still)]
  rebound = scene.row.rebound
  for stroke in scene.strokes:
    spot = centre + rng.normal(0, [0.022, 0.015, 0])
    knots += _approach(stroke, spot, free_s=stroke.time_s - knots[-1][0], rng=rng)
    knots += _scratch(stroke, spot, rng) if stroke.duration_s else _strike(stroke, spot, rebound)
  end = max(scene.duration_s, knots[-1][0]) + 1.0
  return [*knots, (knots[-1][0] + 0.3, rest, still), (end, rest, still)]


def _approach(stroke: Stroke, spot: np.ndarray, free_s: float, rng: np.random.Generator) -> list[tuple]:
  """Hover above the spot, then the swing that ends on the surface at stroke.time_s."""
  strength = 0.4 * stroke.strength if stroke.duration_s else stroke.strength
  height, speed = lift_height(strength), impact_speed(strength)
  swing_s = 2 * height / speed  # constant acceleration from rest
  shrink = min(1.0, 0.6 * free_s / swing_s)  # same speed from a lower height when strokes follow closely
  height, swing_s = height * shrink, swing_s * shrink
  above = spot + np.array([0, 0, height])
  knots = []
  arrive_s = stroke.time_s - swing_s
  rise_s = rng.uniform(0.22, 0.34)
  if free_s - swing_s > rise_s + 0.15:
    hover = above + rng.normal(0, [0.008, 0.006, 0.012])
    knots.append((stroke.time_s - free_s + rise_s, hover, np.zeros(3)))
  return [*knots, (arrive_s, above, np.zeros(3)), (stroke.time_s, spot, np.array([0, 0, -speed]))]


def _strike(stroke: Stroke, spot: np.ndarray, rebound: float) -> list[tuple]:
  up = np.array([0, 0, rebound * impact_speed(stroke.strength)])
  return [(stroke.time_s + _DWELL_S, spot, up)]


def _scratch(stroke: Stroke, spot: np.ndarray, rng: np.random.Generator) -> list[tuple]:
  """A flat ellipse along the surface: to and fro without ever quite stopping in between."""
  speed = 0.25 + 0.55 * stroke.strength
  strokes = max(1, round(stroke.duration_s / rng.uniform(0.22, 0.4)))
  length = speed * stroke.duration_s / strokes
  heading = rng.uniform(-0.5, 0.5) + np.pi * rng.integers(2)
  along = np.array([np.cos(heading), np.sin(heading), 0]) * length / 2
  across = np.array([-np.sin(heading), np.cos(heading), 0]) * length * 0.12
  count = max(8, round(_SCRATCH_KNOTS_PER_S * stroke.duration_s))
  time = np.linspace(_DWELL_S, stroke.duration_s, count)
  phase, rate = _scratch_phase(time - _DWELL_S, stroke.duration_s - _DWELL_S, np.pi * strokes - _START_PHASE)
  knots = []
  origin = spot + along * np.cos(_START_PHASE) - across * np.sin(_START_PHASE)
  for t, p, r in zip(time, phase + _START_PHASE, rate, strict=True):
    position = origin - along * np.cos(p) + across * np.sin(p)
    knots.append((stroke.time_s + t, position, r * (along * np.sin(p) + across * np.cos(p))))
  return knots


def _scratch_phase(time: np.ndarray, duration: float, total: float) -> tuple[np.ndarray, np.ndarray]:
  """Phase along the ellipse and its rate: constant but for short ramps at both ends."""
  rate = np.minimum(1, np.minimum(time / _RAMP_S, (duration - time) / _RAMP_S))
  fine = np.linspace(0, duration, 512)
  fine_rate = np.minimum(1, np.minimum(fine / _RAMP_S, (duration - fine) / _RAMP_S))
  area = np.concatenate([[0], np.cumsum((fine_rate[1:] + fine_rate[:-1]) / 2 * np.diff(fine))])
  return total * np.interp(time, fine, area) / area[-1], total * rate / area[-1]
