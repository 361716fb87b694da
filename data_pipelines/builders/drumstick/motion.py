"""Path of the stick's tip, continuous in time: it comes down to reach the thing at the exact instant of a stroke.

Coordinates as in `things`.
"""

import numpy as np
from scipy import interpolate

from data_pipelines.builders.drumstick.scene import Scene, Stroke
from data_pipelines.builders.drumstick.things import Thing

_DWELL_S = 0.002  # the tip presses in for this long before it rebounds
_MAX_SPEED, _MIN_SPEED = 3.0, 0.35  # of impact, m/s
_SCRATCH_KNOTS_PER_S = 80
_RAMP_S = 0.02  # a scratch's speed builds up in this time
_LIFT_SPEED, _LIFT_S = 0.4, 0.09  # after a scratch, m/s and s
_LANDING = 0.4  # a scratch begins with a strike of this part of its strength


class Tip:
  """Position and speed of the tip at any time of the video."""

  def __init__(self, scene: Scene):
    self._thing = scene.thing
    knots = _knots(scene, scene.rng("motion"))
    time, position, velocity = (np.array(k, dtype=np.float64) for k in zip(*knots, strict=True))
    self._spline = interpolate.CubicHermiteSpline(time, position, velocity)
    self._velocity = self._spline.derivative()

  def position(self, time_s: np.ndarray) -> np.ndarray:
    """[N] s -> [N, 3] m, never below the thing's top."""
    xyz = self._spline(time_s)
    xyz[..., 2] = np.maximum(xyz[..., 2], self._thing.top(xyz[..., :2]))
    return xyz

  def velocity(self, time_s: np.ndarray) -> np.ndarray:
    """[N] s -> [N, 3] m/s."""
    return self._velocity(time_s)

  def slide_speed(self, time_s: np.ndarray) -> np.ndarray:
    """[N] s -> [N] m/s along the surface (meaningful where the tip touches it)."""
    return np.linalg.norm(self._velocity(time_s)[..., :2], axis=-1)


def impact_speed(strength: float) -> float:
  """Speed at which the tip meets the thing, m/s."""
  return _MIN_SPEED + (_MAX_SPEED - _MIN_SPEED) * strength


def landing(stroke: Stroke) -> float:
  """Strength of the strike that a stroke begins with: a scratch sets the tip down more softly than a hit."""
  return _LANDING * stroke.strength if stroke.duration_s else stroke.strength


def lift_height(strength: float) -> float:
  """Height from which a strike of that strength comes down when there is time for it, m."""
  return 0.09 + 0.24 * strength


def _knots(scene: Scene, rng: np.random.Generator) -> list[tuple]:
  """(time, position, velocity) of the path's knots."""
  thing = scene.thing
  rest = thing.draw_spot(rng) + np.array([0, 0, rng.uniform(0.08, 0.16)])
  still = np.zeros(3)
  knots = [(-1.0, rest, still), (0.0, rest, still)]
  heading = thing.heading + rng.normal(0, 0.25)
  for stroke in scene.strokes:
    knots += _lift(knots, stroke.time_s)
    free_s = stroke.time_s - knots[-1][0]
    # The hand comes back to about where it was.
    spot = thing.draw_spot(rng)
    if stroke.duration_s:
      heading += np.pi + rng.normal(0, 0.15)
      path = _scratch(stroke, spot, heading, thing)
      knots += [*_approach(stroke, path[0][1], free_s, rng), *path]
    else:
      knots += [*_approach(stroke, spot, free_s, rng), *_strike(stroke, spot, thing.rebound)]
  knots += _lift(knots, np.inf)
  end = max(scene.duration_s, knots[-1][0]) + 1.0
  return [*knots, (knots[-1][0] + 0.3, rest, still), (end, rest, still)]


def _lift(knots: list[tuple], until_s: float) -> list[tuple]:
  """After a scratch, straight up before anything else; nothing where the tip is in the air or on its way there."""
  time_s, position, velocity = knots[-1]
  if velocity[2] > 0 or len(knots) == 2:
    return []
  lift_s = min(_LIFT_S, 0.3 * (until_s - time_s))
  up = np.array([0, 0, _LIFT_SPEED])
  return [(time_s + lift_s, position + up * lift_s, up)]


def _approach(stroke: Stroke, spot: np.ndarray, free_s: float, rng: np.random.Generator) -> list[tuple]:
  """Hover above the spot, then the swing that ends on the thing at stroke.time_s, `free_s` after the last knot."""
  strength = landing(stroke)
  height, speed = lift_height(strength), impact_speed(strength)
  swing_s = 2 * height / speed  # constant acceleration from rest
  shrink = min(1.0, 0.6 * free_s / swing_s)  # same speed from a lower height when strokes follow closely
  height, swing_s = height * shrink, swing_s * shrink
  above = spot + np.array([0, 0, height])
  knots = []
  rise_s = rng.uniform(0.22, 0.34)
  if free_s - swing_s > rise_s + 0.15:
    hover = above + rng.normal(0, [0.008, 0.006, 0.012])
    knots.append((stroke.time_s - free_s + rise_s, hover, np.zeros(3)))
  return [*knots, (stroke.time_s - swing_s, above, np.zeros(3)), (stroke.time_s, spot, np.array([0, 0, -speed]))]


def _strike(stroke: Stroke, spot: np.ndarray, rebound: float) -> list[tuple]:
  up = np.array([0, 0, rebound * impact_speed(stroke.strength)])
  return [(stroke.time_s + _DWELL_S, spot, up)]


def _scratch(stroke: Stroke, spot: np.ndarray, heading: float, thing: Thing) -> list[tuple]:
  """One sweep along the top, slightly bent, near `spot` in mid-way; the first knot is where it sets off."""
  speed = 0.25 + 0.55 * stroke.strength
  turned = np.array([np.cos(heading - thing.heading), np.sin(heading - thing.heading)])
  room = np.minimum(0.42 * np.array([thing.length, thing.width]), 0.2)
  length = min(speed * stroke.duration_s, 1.6 * np.min(room / np.maximum(np.abs(turned), 1e-3)), 0.2)
  bend = min(0.12 * length, 0.2 * room.min())
  slack = np.maximum(room - length / 2 * np.abs(turned) - bend, 0)
  middle = thing.world(np.clip(thing.local(spot[:2]), -slack, slack))
  along, across = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
  count = max(8, round(_SCRATCH_KNOTS_PER_S * stroke.duration_s))
  time = np.linspace(_DWELL_S, stroke.duration_s, count)
  done, rate = _progress(time - _DWELL_S, stroke.duration_s - _DWELL_S)
  xy = middle + length * (done - 0.5)[:, None] * along + bend * np.sin(np.pi * done)[:, None] * across
  slope = length * along + (bend * np.pi * np.cos(np.pi * done))[:, None] * across
  z = thing.top(xy)
  velocity = np.column_stack([slope * rate[:, None], np.gradient(z, time)])
  velocity[-1] = 0
  return list(zip(stroke.time_s + time, np.column_stack([xy, z]), velocity, strict=True))


def _progress(time: np.ndarray, duration: float) -> tuple[np.ndarray, np.ndarray]:
  """Part done of a sweep and its rate, 1/s: constant but for short ramps at both ends."""
  fine = np.linspace(0, duration, 512)
  pace = np.minimum(1, np.minimum(fine / _RAMP_S, (duration - fine) / _RAMP_S))
  area = np.concatenate([[0], np.cumsum((pace[1:] + pace[:-1]) / 2 * np.diff(fine))])
  return np.interp(time, fine, area) / area[-1], np.interp(time, fine, pace) / area[-1]
