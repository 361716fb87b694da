"""How surfaces give: dents and folds of soft things, whole things that shift and rock, rings on water."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.motion import Tip, landing
from data_pipelines.builders.drumstick.picture import relief as maps
from data_pipelines.builders.drumstick.picture.camera import CANVAS, Camera, Light
from data_pipelines.builders.drumstick.picture.still import Still
from data_pipelines.builders.drumstick.scene import Scene, Stroke

# Depth of the dent of a strike of full strength, m, and the part of it that stays as folds and marks.
_SOFTNESS = {
  "carpet": (0.006, 0.1),
  "cloth": (0.018, 0.5),
  "dirt": (0.008, 0.6),
  "grass": (0.02, 0.3),
  "gravel": (0.006, 0.6),
  "leaf": (0.02, 0.5),
  "paper": (0.016, 0.6),
  "plastic": (0.006, 0.0),
  "plastic-bag": (0.022, 0.6),
}
_RINGS_AT_ONCE = 4
_RING_LIFE_S = 1.8
_RING_STEP_M, _RING_BINS = 0.0008, 1500


def _warp(picture: np.ndarray, shift: np.ndarray, low: np.ndarray) -> np.ndarray:
  """The part of `picture` at `low` [2] px whose spots have moved by `shift` [h, w, 2] px."""
  rows, columns = shift.shape[:2]
  x = np.arange(low[0], low[0] + columns, dtype=np.float32)[None, :] - shift[..., 0]
  y = np.arange(low[1], low[1] + rows, dtype=np.float32)[:, None] - shift[..., 1]
  return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _window(at: np.ndarray, reach: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
  """Corners low, high [2] px of the canvas's part about `at`."""
  limit = np.array([CANVAS[1], CANVAS[0]])
  low = np.clip(np.floor(at - reach).astype(int), 0, limit - 2)
  return low, np.clip(np.ceil(at + reach).astype(int), low + 2, limit)


def _scaled(patch: np.ndarray, gain: np.ndarray) -> np.ndarray:
  return cv2.multiply(patch, cv2.merge([gain] * 3), dtype=cv2.CV_8U)


class Dents:
  """The surface sinks under the tip and comes back; some of it stays."""

  def __init__(self, scene: Scene, tip: Tip, still: Still, camera: Camera, light: Light, rng: np.random.Generator):
    self._scene, self._tip, self._still, self._camera, self._rng = scene, tip, still, camera, rng
    depth, self._keeps = _SOFTNESS[scene.thing.material]
    self._depth, self._radius = depth * rng.uniform(0.7, 1.3), rng.uniform(0.025, 0.05)
    self._back_s, self._wave = rng.uniform(0.05, 0.16), rng.uniform(60, 160)
    self._soft = cv2.blur((still.kind == maps.THING).astype(np.float32), (5, 5))
    level = camera.project(np.array([light.to * [1, 1, 0] * 0.1, [0.0, 0, 0]]))
    self._lamp = (level[0] - level[1]) / max(np.hypot(*(level[0] - level[1])), 1e-3) * min(1.6, 1 / light.to[2])
    self._sink = camera.project(np.array([0, 0, -0.01])) - camera.project(np.zeros(3))
    self._sink = (self._sink / np.hypot(*self._sink)).astype(np.float32) * 0.8
    self._stays = np.zeros(CANVAS, np.float32)  # px of height
    self._done = 0

  def _press(self, stroke: Stroke, time_s: float) -> float:
    """How deep a stroke has the surface at that time, m."""
    age = time_s - stroke.time_s
    if age < 0 or age > stroke.duration_s + 6 * self._back_s:
      return 0.0
    full = self._depth * (0.25 + 0.75 * stroke.strength) * (0.6 if stroke.duration_s else 1)
    return full * float(np.exp(-max(0.0, age - stroke.duration_s - 0.01) / self._back_s))

  def _hollow(self, xy: np.ndarray, at: np.ndarray, reach: float, wavy: float, phase: float) -> tuple:
    """Window, and a hollow of unit depth [h, w] about `xy` m, which is at `at` px."""
    scale = float(self._camera.px_per_m(np.array([*xy, 0])))
    low, high = _window(at, 2.4 * reach * scale)
    world = self._still.world[low[1] : high[1], low[0] : high[0]]
    dx, dy = world[..., 0] - np.float32(xy[0]), world[..., 1] - np.float32(xy[1])
    g = np.exp((dx * dx + dy * dy) * np.float32(-1 / reach**2))
    ridges = np.sin(
      (dx * np.float32(np.cos(phase)) + dy * np.float32(np.sin(phase))) * np.float32(self._wave) + np.float32(phase)
    )
    return low, high, g * (1 - wavy + wavy * ridges) * self._soft[low[1] : high[1], low[0] : high[0]], scale

  def _gain(self, height_px: np.ndarray) -> np.ndarray:
    """Brightness of a bent surface against the flat one."""
    gy, gx = np.gradient(height_px)
    return np.clip(1 - (gx * np.float32(self._lamp[0]) + gy * np.float32(self._lamp[1])) * np.float32(0.8), 0.55, 1.4)

  def settle(self, lit: np.ndarray, dim: np.ndarray, time_s: float) -> None:
    """Leaves folds and marks of finished strokes in the still, in place."""
    before = self._done
    while self._done < len(self._scene.strokes) and self._scene.strokes[self._done].end_s + 0.02 < time_s:
      self._mark(self._scene.strokes[self._done])
      self._done += 1
    if self._done == before or not self._keeps:
      return
    shift, gain = -self._stays[..., None] * self._sink, self._gain(self._stays)
    for canvas, clean in ((lit, self._still.lit), (dim, self._still.dim)):
      np.copyto(canvas, _scaled(_warp(clean, shift, np.zeros(2, int)), gain))

  def _mark(self, stroke: Stroke) -> None:
    self._stays *= 0.8
    spots = self._tip.position(np.linspace(stroke.time_s, stroke.end_s, 4 if stroke.duration_s else 1))
    for spot in spots:
      phase, wavy = self._rng.uniform(0, 6), self._rng.uniform(0.3, 0.9)
      where = self._camera.project(spot)
      low, high, g, scale = self._hollow(spot[:2], where, self._radius * self._rng.uniform(0.8, 1.6), wavy, phase)
      size = self._keeps * self._depth * stroke.strength / np.sqrt(len(spots))
      self._stays[low[1] : high[1], low[0] : high[0]] -= np.float32(size * scale) * g

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    """Bends the canvas where the surface is pressed in now, in place."""
    for stroke in self._scene.strokes:
      depth = self._press(stroke, time_s)
      if depth < 2e-4:
        continue
      spot = self._tip.position(np.array([np.clip(time_s, stroke.time_s, stroke.end_s)]))[0]
      low, high, g, scale = self._hollow(spot[:2], self._camera.project(spot), self._radius, 0.12, 1.0 + stroke.time_s)
      height = np.float32(-depth * scale) * g
      bent = _warp(frame, -height[..., None] * self._sink, low)
      frame[low[1] : high[1], low[0] : high[0]] = _scaled(bent, self._gain(height))


class Shifts:
  """The whole thing jumps a little at each stroke, rocks, and stays elsewhere."""

  def __init__(self, scene: Scene, tip: Tip, still: Still, camera: Camera, rng: np.random.Generator):
    self._strokes = scene.strokes
    thing = scene.thing
    mask = (still.kind == maps.THING).astype(np.uint8)
    rows, columns = np.nonzero(mask)
    inside = np.array([[columns.min(initial=0), rows.min(initial=0)], [columns.max(initial=1), rows.max(initial=1)]])
    self._low, self._high = _window(inside.mean(axis=0), (inside[1] - inside[0]) / 2 + 14)
    where = (slice(self._low[1], self._high[1]), slice(self._low[0], self._high[0]))
    # The ground about it is drawn along, less and less, over 12 px.
    soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((9, 9), np.uint8)).astype(np.float32), (0, 0), 3.0)[where]
    self._soft = cv2.merge([soft, soft])
    self._world = np.ascontiguousarray(np.clip(still.world[where], -0.6, 0.6))
    # Px that a spot moves per m along x, y and z, seen from far, [3, 2].
    self._moves = np.stack([(camera.project(e) - camera.project(np.zeros(3))) * 1e3 for e in np.eye(3) * 1e-3])
    light_weight = rng.uniform(0.3, 1.0) * float(np.clip(0.12 / max(thing.length, thing.width), 0.25, 1.2))
    self._rate, self._last_s = rng.uniform(5, 13), rng.uniform(0.06, 0.25)
    self._size = np.array([0.006, 0.006, 0.0012, 0.05, 0.035, 0.035]) * light_weight
    self._kicks = rng.normal(0, 1, (len(self._strokes), 6))
    self._places = self._walk(rng)

  def _walk(self, rng: np.random.Generator) -> np.ndarray:
    """Where the thing is after each stroke, [strokes + 1, 6]: x, y, z m, turn about z, x, y rad; it stays near."""
    places = [np.zeros(6)]
    for stroke, kick in zip(self._strokes, self._kicks, strict=True):
      step = kick * self._size * landing(stroke) ** 0.7 * [1, 1, 0, 1, 0, 0]
      places.append(np.clip(0.85 * places[-1] + step, -2 * self._size, 2 * self._size))
    return np.array(places)

  def motion(self, time_s: float) -> np.ndarray:
    """[6] as in `_walk`, with the rocking."""
    now = self._places[0].copy()
    for k, stroke in enumerate(self._strokes):
      age = time_s - stroke.time_s
      if age < 0:
        break
      now += (self._places[k + 1] - self._places[k]) * (1 - np.exp(-age / 0.025))
      rock = np.exp(-age / self._last_s) * np.sin(2 * np.pi * self._rate * age)
      now += self._kicks[k] * self._size * landing(stroke) * [0.2, 0.2, 1, 0.2, 1, 1] * rock
    return now

  def settle(self, lit: np.ndarray, dim: np.ndarray, time_s: float) -> None:
    """Nothing stays in the still: the thing's place is drawn in every frame."""

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    motion = self.motion(time_s)
    if not np.any(np.abs(motion) > 1e-6):
      return
    about_z, about_x, about_y = motion[3:]
    turn = np.array([[0, -about_z, about_y], [about_z, 0, -about_x], [-about_y, about_x, 0]])
    matrix = self._moves.T @ np.column_stack([turn, motion[:3]])
    shift = cv2.multiply(cv2.transform(self._world, matrix), self._soft)
    low, high = self._low, self._high
    frame[low[1] : high[1], low[0] : high[0]] = _warp(frame, shift, low)


class Rings:
  """Waves that run out from each stroke over the water."""

  def __init__(self, scene: Scene, tip: Tip, still: Still, camera: Camera, rng: np.random.Generator):
    size = (CANVAS[1] // 2, CANVAS[0] // 2)
    half = cv2.resize(still.world, size, interpolation=cv2.INTER_LINEAR)
    self._x, self._y = (np.ascontiguousarray(half[..., k]) for k in (0, 1))
    wet = cv2.resize((still.kind == maps.WATER).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    self._wet = wet * np.float32(rng.uniform(0.6, 1.2))
    self._speed, self._number = rng.uniform(0.22, 0.38), rng.uniform(150, 320)
    view = rng.uniform(0, 2 * np.pi)
    self._bright = (np.array([np.cos(view), np.sin(view)]) * rng.uniform(60, 130)).astype(np.float32)
    moves = [(camera.project(e) - camera.project(np.zeros(3))) / 0.01 for e in np.eye(3)[:2] * 0.01]
    self._moves = (np.array(moves) / np.hypot(*np.array(moves).T).max() * 3.0).astype(np.float32)
    self._places: dict[int, tuple] = {}  # of the rings that run now
    self._sources = [source for s in scene.strokes for source in self._of(s, tip)]

  def _of(self, stroke: Stroke, tip: Tip) -> list[tuple]:
    """(start s, spot [2] m, size 0..1): one for a hit, several along a scratch."""
    times = np.arange(stroke.time_s, stroke.end_s + 1e-6, 0.07)
    share = 1.0 if stroke.duration_s == 0 else 0.6
    return [(t, p[:2], share * (0.3 + 0.7 * stroke.strength)) for t, p in zip(times, tip.position(times), strict=True)]

  def slope(self, time_s: float) -> np.ndarray | None:
    """Of the water at half size, [2, rows, columns] along x and y; None when it is calm."""
    live = [k for k, s in enumerate(self._sources) if 0 <= time_s - s[0] < _RING_LIFE_S][-_RINGS_AT_ONCE:]
    self._places = {k: self._places.get(k) or self._place(self._sources[k][1]) for k in live}
    if not live:
      return None
    total = np.zeros((2, *self._x.shape), np.float32)
    for k in live:
      start, _, size = self._sources[k]
      bin_, along_x, along_y = self._places[k]
      wave = self._profile(time_s - start, size)[bin_]
      total[0] += wave * along_x
      total[1] += wave * along_y
    return total

  def _place(self, spot: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far, in steps of the profile, and which way each pixel is from a spot; the way is 0 where it is dry."""
    dx, dy = self._x - np.float32(spot[0]), self._y - np.float32(spot[1])
    away = np.sqrt(dx * dx + dy * dy) + np.float32(1e-4)
    bin_ = np.minimum(away * np.float32(1 / _RING_STEP_M), _RING_BINS - 1).astype(np.intp)
    return bin_, dx / away * self._wet, dy / away * self._wet

  def _profile(self, age: float, size: float) -> np.ndarray:
    """Slope of one ring, outwards from its middle, float32 [_RING_BINS]."""
    away = _RING_STEP_M * np.arange(_RING_BINS)
    run, width = self._speed * age, 0.012 + 0.3 * self._speed * age
    loss = size * np.exp(-age / 0.7) / np.sqrt(1 + run / 0.05)
    packet = np.exp(-(((away - 0.75 * run) / width) ** 2))
    return (loss * packet * np.cos((away - run) * self._number)).astype(np.float32)

  def settle(self, lit: np.ndarray, dim: np.ndarray, time_s: float) -> None:
    """Water keeps nothing."""

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    slope = self.slope(time_s)
    if slope is None:
      return
    both = cv2.merge([slope[0], slope[1]])
    both = cv2.resize(both, (CANVAS[1], CANVAS[0]), interpolation=cv2.INTER_LINEAR)
    bent = _warp(frame, cv2.transform(both, self._moves.T), np.zeros(2, int))
    cv2.add(bent, cv2.transform(both, np.stack([self._bright] * 3)), frame, dtype=cv2.CV_8U)
