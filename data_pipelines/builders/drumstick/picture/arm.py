"""Where stick, hand and forearm are at any time, and how they and their shadow come into a frame."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture import hand
from data_pipelines.builders.drumstick.picture.camera import CANVAS, MARGIN, Camera, Light
from data_pipelines.builders.drumstick.scene import Scene

_MOST_EXPOSED = 10  # instants averaged for motion blur
_PX_BETWEEN = 2.0  # the tip's way between two of them
_TRIES, _LEAST_PX = 60, 58  # of the stick between tip and grip
_MOSTLY = 0.8  # of the contacts have the hand in the picture
_FALL = 0.45  # the hand's part in the tip's height


class Arm:
  """Stick, hand and forearm of a video.

  The hand follows the tip, by less in height than sideways, so that the stick turns about the wrist.
  """

  def __init__(self, scene: Scene, tip: Tip, camera: Camera, light: Light, rng: np.random.Generator):
    self._tip, self._camera, self._light = tip, camera, light
    self.radius = rng.uniform(0.0055, 0.0095)
    self._reach = rng.uniform(0.20, 0.33)  # from tip to grip
    self._beyond = rng.uniform(0.02, 0.11)  # from grip to butt
    self._home = tip.position(np.zeros(1))[0]
    self._times = np.array([s.time_s for s in scene.strokes] or [0.0])
    self._way, self._fore = self._choose_way(rng)
    self._sleeve = rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.3, 1.0), 3.0])
    spots = [tip.position(np.array([s.time_s]))[0] for s in scene.strokes] or [self._home]
    self._model = np.mean(spots, axis=0) + np.array([0, 0, 0.03])  # tip's place in which the hand is modelled

  def _choose_way(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The first of some ways to hold the stick that shows all, or the one that shows most; as `_draw_way`."""
    best, chosen = -1.0, None
    for k in range(_TRIES):
      self._way, self._fore = way = _draw_way(self._camera, rng, sideways=k > 0.7 * _TRIES)
      if (seen := self._seen()) > best:
        best, chosen = seen, way
      if seen == 1:
        break
    return chosen

  def _seen(self) -> float:
    """How well contacts are seen, 1 if at each the stick shows its length, beside the hand, which is in the picture."""
    end, grip, _, elbow = self.points(self._times)
    a, b, c = (self._camera.project(p) for p in (end, grip, grip + 0.5 * (elbow - grip)))
    near = min(self._camera.depth(grip).min(), self._camera.depth(elbow).min() + 0.1)
    if near <= 0.33:  # It would fill the picture.
      return 0.0
    long_enough = np.hypot(*(b - a).T) > _LEAST_PX
    apart = ((b - a) * (c - b)).sum(axis=-1) > -0.2 * np.hypot(*(b - a).T) * np.hypot(*(c - b).T)
    steady = np.abs(b - b.mean(axis=0)).max() < hand.PAD
    inside = np.all((b > MARGIN) & (b < np.array(CANVAS[::-1]) - MARGIN), axis=-1)
    return float(np.mean([np.mean(long_enough), np.mean(apart), steady, min(1.0, np.mean(inside) / _MOSTLY)]))

  def points(self, time_s: np.ndarray) -> tuple[np.ndarray, ...]:
    """Axis points at times [N]: tip's end, grip, butt and elbow, each [N, 3] m."""
    return self._points(self._tip.position(time_s))

  def _points(self, tips: np.ndarray) -> tuple[np.ndarray, ...]:
    ends = tips + np.array([0, 0, 0.8 * self.radius])  # its axis is a radius above what it touches
    rest = self._home * [1, 1, 0.25] + self._reach * self._way
    away = rest + (tips - self._home) * [0.92, 0.92, _FALL] - ends
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    grip = ends + self._reach * away
    elbow = rest + 0.3 * self._fore + 0.3 * (grip - rest)
    return ends, grip, grip + self._beyond * away, elbow

  def make_pictures(self, exposure: float, rng: np.random.Generator) -> None:
    """Draws the hand and the stick once, as they are near a contact."""
    ends, grip, butt, elbow = (p[0] for p in self._points(self._model[None]))
    along = (butt - ends) / np.linalg.norm(butt - ends)
    limbs = hand.fist(grip, along, elbow, self._sleeve, rng)
    self._hand = hand.draw_limbs(limbs, self._camera, self._light, exposure, rng)
    rows, columns = np.nonzero(self._hand[..., 3])
    low, high = (columns.min(initial=9999), rows.min(initial=9999)), (columns.max(initial=0), rows.max(initial=0))
    self._box = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]], float)
    self._hand_base = self._anchors(grip, elbow)
    width = 2 * self.radius * self._camera.px_per_m(ends)
    length = np.hypot(*(self._camera.project(butt) - self._camera.project(ends)))
    self._stick = hand.draw_stick(along, width, length, self._camera, self._light, exposure, rng)

  def _anchors(self, grip: np.ndarray, elbow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grip and a point of the forearm near it, canvas px."""
    near = grip + 0.35 * (elbow - grip)
    return self._camera.project(grip), self._camera.project(near)

  def exposed(self, start_s: float, length_s: float) -> np.ndarray:
    """Instants that make up a frame's exposure, [n] s: more in fast motion, one at rest."""
    ends = self._camera.project(self._tip.position(start_s + length_s * np.linspace(0, 1, 5)))
    way = np.hypot(*np.diff(ends, axis=0).T).sum()
    count = int(np.clip(np.ceil(way / _PX_BETWEEN), 1, _MOST_EXPOSED))
    return start_s + length_s * (np.arange(count) + 0.5) / count

  def paint(self, frame: np.ndarray, times: np.ndarray) -> None:
    """Paints the stick and over it the hand on the canvas uint8 [rows, columns, 3], averaged over `times`, in place."""
    self._draw(frame, self.points(times))

  def paint_mirrored(self, frame: np.ndarray, times: np.ndarray, mirror: np.ndarray) -> None:
    """Paints the mirror image in what is level at z = 0, `mirror` [rows, columns] strong, in place."""
    below = frame.copy()
    self._draw(below, tuple(p * [1, 1, -1] for p in self.points(times)))
    np.copyto(frame, cv2.blendLinear(frame, below, 1 - mirror, mirror))

  def _draw(self, frame: np.ndarray, points: tuple[np.ndarray, ...]) -> None:
    """Paints the mean of stick and hand at those `points`, in place."""
    ends, grip, butt, elbow = points
    _blend(frame, self._stick, [self._stick_shape(a, b) for a, b in zip(ends, butt, strict=True)])
    few = slice(None, None, 2) if len(ends) > 3 else slice(None)
    _blend(frame, self._hand, [self._hand_shape(a, b) for a, b in zip(grip[few], elbow[few], strict=True)])

  def _stick_shape(self, end: np.ndarray, butt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix from the stick's picture to the canvas, and its corners there."""
    a, b = self._camera.project(end), self._camera.project(butt)
    side = np.array([-(b - a)[1], (b - a)[0]]) / max(np.hypot(*(b - a)), 1e-3) * 1.5 * self.radius
    wa, wb = (side * self._camera.px_per_m(p) for p in (end, butt))
    a = a - 0.3 * self.radius * self._camera.px_per_m(end) * (b - a) / max(np.hypot(*(b - a)), 1e-3)
    corners = np.array([a - wa, b - wb, b + wb, a + wa], np.float32)
    rows, columns = self._stick.shape[:2]
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - 0.5
    return cv2.getPerspectiveTransform(source, corners), corners

  def _hand_shape(self, grip: np.ndarray, elbow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hand turns and grows in the picture as the line from grip to forearm does."""
    (a0, b0), (a1, b1) = self._hand_base, self._anchors(grip, elbow)
    was, now = complex(*(b0 - a0)), complex(*(b1 - a1))
    ratio = now / was if abs(was) > 8 else 1
    ratio *= np.clip(abs(ratio), 0.8, 1.25) / max(abs(ratio), 1e-6)
    c, s = ratio.real / hand.DENSITY, ratio.imag / hand.DENSITY
    turn = np.array([[c, -s], [s, c]])
    shift = a1 - turn @ (hand.DENSITY * (a0 + hand.PAD))
    return np.vstack([np.column_stack([turn, shift]), [0, 0, 1]]), self._box @ turn.T + shift


def _draw_way(camera: Camera, rng: np.random.Generator, sideways: bool) -> tuple[np.ndarray, np.ndarray]:
  """Unit vectors from the tip to the hand, mostly from a side or from where the camera is, and along the forearm."""
  back = -camera.rotation[2, :2] / np.hypot(*camera.rotation[2, :2])
  angle = np.deg2rad(rng.uniform(15, 110) if rng.random() < 0.85 else rng.uniform(110, 175))
  angle = rng.choice([-1, 1]) * (np.deg2rad(rng.uniform(75, 105)) if sideways else angle)
  rise = np.deg2rad(rng.uniform(8, 38))
  level = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ back
  way = np.array([*(np.cos(rise) * level), np.sin(rise)])
  lean = rng.choice([-1, 1]) * rng.uniform(0.15, 0.4 if sideways else 1.0)
  turn = np.array([[np.cos(lean), -np.sin(lean), 0], [np.sin(lean), np.cos(lean), 0], [0, 0, rng.uniform(0.1, 0.8)]])
  fore = turn @ way
  return way, fore / np.linalg.norm(fore)


def _blend(frame: np.ndarray, picture: np.ndarray, shapes: list) -> None:
  """Draws the mean of `picture` under several matrices over the canvas, in place."""
  corners = np.concatenate([c for _, c in shapes])
  low = np.floor(corners.min(axis=0)).astype(int).clip(0, [CANVAS[1], CANVAS[0]])
  high = (np.ceil(corners.max(axis=0)) + 1).astype(int).clip(0, [CANVAS[1], CANVAS[0]])
  if np.any(high <= low):
    return
  move = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]], float)
  size = tuple((high - low).tolist())
  layer = cv2.warpPerspective(picture, move @ shapes[0][0], size)
  for matrix, _ in shapes[1:]:
    cv2.accumulate(cv2.warpPerspective(picture, move @ matrix, size), layer)
  layer *= np.float32(1 / len(shapes))
  under = frame[low[1] : high[1], low[0] : high[0]]
  keep = cv2.merge([1 - layer[..., 3] / np.float32(255)] * 3)
  cv2.add(cv2.multiply(under, keep, dtype=cv2.CV_32F), layer[..., :3], under, dtype=cv2.CV_8U)


class Shadow:
  """How much of the lamp the arm hides from each pixel: exact for round limbs and any shape of the ground."""

  def __init__(self, world: np.ndarray, light: Light, radius: float):
    to = light.to
    right = np.cross(to, [0, 1, 0])
    right /= np.linalg.norm(right)
    self._axes = np.stack([right, np.cross(to, right), to])
    half = cv2.resize(world, (CANVAS[1] // 2, CANVAS[0] // 2), interpolation=cv2.INTER_LINEAR)
    self._at = np.ascontiguousarray(np.moveaxis(half @ self._axes.T.astype(np.float32), -1, 0))
    self._spread, self._radius = 2 * light.spread, radius

  def cover(self, points: tuple[np.ndarray, ...]) -> np.ndarray:
    """`Arm.points` -> uint8 [rows, columns], 255 where the lamp is hidden; the mean over up to 3 instants."""
    count = len(points[0])
    chosen = sorted({0, count // 2, count - 1}) if count > 1 else [0]
    total = np.float32(0)
    for k in chosen:
      end, grip, butt, elbow = (self._axes @ p[k] for p in points)
      open_part = 1 - self._hidden(end, butt, self._radius, self._radius)
      wrist = grip + 0.3 * (elbow - grip)
      open_part *= 1 - self._hidden(grip, wrist, 0.036, 0.026)
      open_part *= 1 - self._hidden(wrist, grip + 2 * (elbow - grip), 0.027, 0.055)
      total = total + open_part
    share = np.float32(255 / len(chosen))
    return cv2.resize(cv2.convertScaleAbs(255 - share * total), (CANVAS[1], CANVAS[0]), interpolation=cv2.INTER_LINEAR)

  def _hidden(self, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> np.ndarray:
    """Part of the lamp, 0..1, behind a round limb from `a` to `b` (along the axes)."""
    d = (b - a).astype(np.float32)
    x, y, depth = self._at
    dx, dy = x - np.float32(a[0]), y - np.float32(a[1])
    t = np.clip((dx * d[0] + dy * d[1]) * np.float32(1 / max(float(d[0] ** 2 + d[1] ** 2), 1e-6)), 0, 1)
    dx -= t * d[0]
    dy -= t * d[1]
    away = cv2.magnitude(dx, dy)
    radius = np.float32(ra) + t * np.float32(rb - ra)
    gap = np.float32(a[2]) + t * d[2] - depth
    soft = np.maximum(gap, 0) * np.float32(self._spread) + np.float32(0.004)
    outer = np.clip((away + radius) / soft, -0.5, 0.5) - np.clip((away - radius) / soft, -0.5, 0.5)
    return outer * (gap > np.float32(-0.004))
