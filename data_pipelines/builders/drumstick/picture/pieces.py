"""What flies off where the stick strikes loose or wet stuff: pebbles, leaves, blades, drops, in free fall."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.builders.drumstick.motion import Tip, landing
from data_pipelines.builders.drumstick.picture.camera import Camera, Light
from data_pipelines.builders.drumstick.picture.still import Still
from data_pipelines.builders.drumstick.scene import Scene, Stroke

GRAVITY = 9.81
# Half length of a piece in m, its slimness, and its launching speed against a pebble's.
_KINDS = {
  "dirt": ((0.001, 0.004), 0.9, 0.8),
  "gravel": ((0.003, 0.008), 0.8, 0.7),
  "leaf": ((0.012, 0.032), 0.5, 0.9),
  "grass": ((0.006, 0.02), 0.14, 0.9),
  "water": ((0.001, 0.0035), 1.0, 1.0),
}
_PER_STRIKE = 22  # pieces of a strike of full strength


@dataclasses.dataclass(frozen=True)
class Flight:
  """Pieces of a video: start [K] s, time in the air [K] s, origin [K, 3] m, velocity [K, 3] m/s, half length [K] m."""

  start: np.ndarray
  lasts: np.ndarray
  origin: np.ndarray
  velocity: np.ndarray
  size: np.ndarray

  def position(self, which: np.ndarray, time_s: float) -> np.ndarray:
    """Of some pieces, [k, 3] m; after its flight a piece rests where it came down."""
    age = np.clip(time_s - self.start[which], 0, self.lasts[which])[:, None]
    return self.origin[which] + self.velocity[which] * age - np.array([0, 0, GRAVITY / 2]) * age**2

  def flying(self, time_s: float) -> np.ndarray:
    """Indices of the pieces in the air."""
    return np.flatnonzero((time_s > self.start) & (time_s < self.start + self.lasts))

  def landed(self, after_s: float, until_s: float) -> np.ndarray:
    """Indices of the pieces that came down in that time."""
    end = self.start + self.lasts
    return np.flatnonzero((end > after_s) & (end <= until_s))


def draw_flight(scene: Scene, tip: Tip, rng: np.random.Generator) -> Flight:
  """All pieces of a video's strokes."""
  sizes, _, pace = _KINDS[scene.thing.material]
  parts = [_launch(s, pace, rng) for s in scene.strokes]
  start = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0)
  velocity = np.concatenate([p[1] for p in parts]) if parts else np.zeros((0, 3))
  origin = tip.position(start)
  origin[:, 2] = scene.thing.top(origin[:, :2])
  level = origin[:, :2] + velocity[:, :2] * (2 * velocity[:, 2:] / GRAVITY)
  ground = np.minimum(_ground(scene, level), origin[:, 2])
  lasts = (velocity[:, 2] + np.sqrt(velocity[:, 2] ** 2 + 2 * GRAVITY * (origin[:, 2] - ground))) / GRAVITY
  return Flight(start, lasts, origin, velocity, rng.uniform(*sizes, len(start)))


def _ground(scene: Scene, xy: np.ndarray) -> np.ndarray:
  """z [K] of what lies at xy [K, 2]: the thing's top, or the floor beside it."""
  thing = scene.thing
  outside = np.any(np.abs(thing.local(xy)) > np.array([thing.length, thing.width]) / 2, axis=-1)
  return np.where(outside & (thing.shape != "ground"), -thing.height, thing.top(xy))


def _launch(stroke: Stroke, pace: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Instants [K] and velocities [K, 3]: at once for a hit, along the way for a scratch."""
  strength = landing(stroke) if stroke.duration_s == 0 else 0.7 * stroke.strength
  count = 1 + rng.poisson(_PER_STRIKE * strength)
  speed = pace * (0.35 + 1.2 * strength) * rng.uniform(0.3, 1.0, count)
  bearing, rise = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.5, 1.4, count)
  direction = np.stack([np.cos(rise) * np.cos(bearing), np.cos(rise) * np.sin(bearing), np.sin(rise)], axis=-1)
  return stroke.time_s + stroke.duration_s * rng.uniform(0, 1, count), speed[:, None] * direction


class Pieces:
  """Draws the pieces; those of loose stuff stay where they come down."""

  def __init__(self, scene: Scene, tip: Tip, still: Still, camera: Camera, light: Light, rng: np.random.Generator):
    self.flight = draw_flight(scene, tip, rng)
    self._camera, self._light = camera, light
    self._wet = scene.thing.reaction == "splash"
    self._slim = _KINDS[scene.thing.material][1]
    self._lit, self._dim = self._colors(still, rng)
    count = len(self.flight.start)
    self._turn, self._spin = rng.uniform(0, 360, count), rng.normal(0, 900, count)
    self._baked_s = -1.0

  def _colors(self, still: Still, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours [K, 3] with and without the lamp, taken from the surface about where each piece leaves."""
    rows, columns = still.kind.shape
    at = self._camera.project(self.flight.origin) + rng.normal(0, 9, (len(self.flight.start), 2))
    x, y = np.clip(np.round(at).astype(int), 0, [columns - 1, rows - 1]).T
    lit, dim = still.lit[y, x].astype(float), still.dim[y, x].astype(float)
    if self._wet:
      bright = rng.uniform(60, 160, (len(x), 1))
      return np.clip(lit + bright, 0, 255), np.clip(dim + bright, 0, 255)
    shade = rng.normal(1.05, 0.15, (len(x), 1))
    return np.clip(lit * shade, 0, 255), np.clip(dim * shade, 0, 255)

  def settle(self, lit: np.ndarray, dim: np.ndarray, time_s: float) -> None:
    """Leaves pieces that have come down by `time_s` in the still, in place."""
    which = self.flight.landed(self._baked_s, time_s)
    self._baked_s = time_s
    if self._wet or not len(which):
      return
    for k, xyz in zip(which, self.flight.position(which, time_s), strict=True):
      shift = self._camera.project(xyz - 0.4 * self.flight.size[k] * self._light.to * [1, 1, 0])
      for canvas, color in ((lit, self._lit[k]), (dim, self._dim[k])):
        self._ellipse(canvas, k, shift, xyz, 0.45 * color, time_s)
        self._ellipse(canvas, k, self._camera.project(xyz), xyz, color, time_s)

  def shade(self, cover: np.ndarray, time_s: float) -> None:
    """Adds the flying pieces' shadows to uint8 `cover`, in place."""
    which = self.flight.flying(time_s)
    for k, xyz in zip(which, self.flight.position(which, time_s), strict=True):
      foot = xyz - self._light.to * (xyz[2] - self.flight.origin[k, 2]) / self._light.to[2]
      self._ellipse(cover, k, self._camera.project(foot), foot, 70 if self._wet else 190, time_s)

  def paint(self, frame: np.ndarray, time_s: float, exposure_s: float) -> None:
    """Draws the flying pieces with their way during the exposure, in place."""
    which = self.flight.flying(time_s)
    before, after = (self.flight.position(which, time_s + d * exposure_s / 2) for d in (-1, 1))
    for k, a, b in zip(which, before, after, strict=True):
      pa, pb = self._camera.project(a), self._camera.project(b)
      if np.hypot(*(pb - pa)) < 1.5 or self._slim < 0.6:
        self._ellipse(frame, k, (pa + pb) / 2, a, self._lit[k], time_s)
        continue
      thick = max(1, round(1.6 * float(self.flight.size[k] * self._camera.px_per_m(a))))
      ends = [tuple(np.clip(p * 8, -9000, 9000).astype(int).tolist()) for p in (pa, pb)]
      cv2.line(frame, *ends, self._lit[k].tolist(), thick, cv2.LINE_AA, 3)

  def _ellipse(self, canvas: np.ndarray, k: int, at: np.ndarray, xyz: np.ndarray, color, time_s: float) -> None:
    if np.any(at < -40) or np.any(at > 400):
      return
    half = float(self.flight.size[k] * self._camera.px_per_m(xyz))
    age = float(np.clip(time_s - self.flight.start[k], 0, self.flight.lasts[k]))
    flip = 0.35 + 0.65 * abs(np.cos(0.01 * self._spin[k] * age + self._turn[k])) if self._slim < 0.6 else 1.0
    axes = (max(5, round(8 * half)), max(4, round(8 * half * self._slim * flip)))
    centre = tuple(np.round(at * 8).astype(int).tolist())
    shade = color if np.isscalar(color) else np.asarray(color).tolist()
    cv2.ellipse(canvas, centre, axes, self._turn[k] + self._spin[k] * age, 0, 360, shade, -1, cv2.LINE_AA, 3)
