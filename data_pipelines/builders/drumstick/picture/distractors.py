"""Motion that makes no sound: passing shadows, swinging cords, a resting hand, flicker, a screen's glow, an insect."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture import hand
from data_pipelines.builders.drumstick.picture.camera import CANVAS, HEIGHT, MARGIN, WIDTH, Camera, Light
from data_pipelines.builders.drumstick.picture.noise import any_color, smooth

_NONE = 0.45  # of videos have no distractor


class Distractor:
  """Does nothing; each kind overrides one of these."""

  def shade(self, cover: np.ndarray, time_s: float) -> np.ndarray:
    """`cover` uint8 [rows, columns] of the lamp with this one's shadow added."""
    return cover

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    """Draws on the canvas uint8 [rows, columns, 3], in place."""

  def gain(self, time_s: float) -> float:
    """Multiplies the picture's brightness."""
    return 1.0


def _sway(rng: np.random.Generator, rate: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
  return rng.uniform(*rate, 3), rng.uniform(0, 2 * np.pi, 3)


def _wave(sway: tuple[np.ndarray, np.ndarray], time_s: float) -> float:
  """A smooth irregular swing within -1..1."""
  return float(np.sin(2 * np.pi * sway[0] * time_s + sway[1]) @ [0.55, 0.3, 0.15])


class Passing(Distractor):
  """A soft shadow of someone or of leaves that goes to and fro or walks through."""

  def __init__(self, rng: np.random.Generator):
    self._blob = self._draw(rng)
    self._sway_x, self._sway_y = _sway(rng, (0.05, 0.5)), _sway(rng, (0.05, 0.8))
    self._size = rng.uniform(10, 90), rng.uniform(3, 25)

  def _draw(self, rng: np.random.Generator) -> np.ndarray:
    """uint8, twice the canvas's size, so that it can be moved about."""
    field = smooth(rng, 64, rng.uniform(3, 12))
    soft = np.clip((field - rng.uniform(0.0, 0.9)) * rng.uniform(1, 3), 0, 1) * rng.uniform(100, 255)
    return cv2.resize(soft.astype(np.uint8), (2 * CANVAS[1], 2 * CANVAS[0]), interpolation=cv2.INTER_CUBIC)

  def shade(self, cover: np.ndarray, time_s: float) -> np.ndarray:
    x = round(CANVAS[1] / 2 + self._size[0] * _wave(self._sway_x, time_s))
    y = round(CANVAS[0] / 2 + self._size[1] * _wave(self._sway_y, time_s))
    return cv2.max(cover, self._blob[y : y + CANVAS[0], x : x + CANVAS[1]])


class Cord(Distractor):
  """A cord, leash or twig that hangs in from the top and swings."""

  def __init__(self, rng: np.random.Generator):
    self._x, self._length = MARGIN + rng.uniform(0.05, 0.95) * WIDTH, rng.uniform(15, 60)
    self._sway, self._size = _sway(rng, (0.3, 1.3)), rng.uniform(0.08, 0.4)
    self._thick, self._leaf = int(rng.integers(1, 4)), rng.uniform(0, 6) * (rng.random() < 0.6)
    self._color = (255 * any_color(rng) * rng.uniform(0.4, 0.9)).tolist()

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    angle = self._size * _wave(self._sway, time_s)
    s = np.linspace(0, 1, 9)[:, None]
    way = np.stack([np.sin(angle * (0.5 + s[:, 0])), np.cos(angle * s[:, 0])], axis=-1)
    points = np.array([self._x, 0]) + (MARGIN + self._length) * s * way
    cv2.polylines(frame, [np.round(points * 8).astype(np.int32)], False, self._color, self._thick, cv2.LINE_AA, 3)
    if self._leaf:
      axes = (round(8 * self._leaf), round(5 * self._leaf))
      end = np.round(points[-1] * 8).astype(int).tolist()
      cv2.ellipse(frame, end, axes, 90 - 57 * angle, 0, 360, self._color, -1, cv2.LINE_AA, 3)


class OtherHand(Distractor):
  """The second hand at an edge: it rests, slides and taps the air."""

  def __init__(self, camera: Camera, light: Light, exposure: float, rng: np.random.Generator):
    self._sway_x, self._sway_y, self._sway_turn = (_sway(rng, (0.1, 1.2)) for _ in range(3))
    self._size = rng.uniform(1, 9)
    side = rng.choice([-1, 1])
    flat = np.array([-side, 0.0, 0.0]) @ camera.rotation * [1, 1, 0]
    at = _on_floor(camera, np.array([CANVAS[1] / 2 + side * rng.uniform(105, 130), rng.uniform(30, 110)]))
    grip = at + np.array([0, 0, 0.03])
    limbs = hand.fist(
      grip, _turned(flat, side * rng.uniform(0.3, 1.2)), grip - 0.3 * flat + [0, 0, 0.04], rng.uniform(0.1, 1), rng
    )
    full = hand.draw_limbs(limbs, camera, light, exposure, rng)
    start = round(hand.PAD * hand.DENSITY)
    self._picture = full
    self._base = np.array([[1 / hand.DENSITY, 0, -hand.PAD], [0, 1 / hand.DENSITY, -hand.PAD], [0, 0, 1]])
    rows, columns = np.nonzero(full[..., 3] > 1)
    self._low = np.array([columns.min(initial=start), rows.min(initial=start)]) / hand.DENSITY - hand.PAD - 12
    self._high = np.array([columns.max(initial=start), rows.max(initial=start)]) / hand.DENSITY - hand.PAD + 12

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    limit = [CANVAS[1], CANVAS[0]]
    low, high = np.floor(self._low).astype(int).clip(0, limit), np.ceil(self._high).astype(int).clip(0, limit)
    if np.any(high <= low):
      return
    shift = self._size * np.array([_wave(self._sway_x, time_s), _wave(self._sway_y, time_s)])
    matrix = np.array([[1, 0, shift[0] - low[0]], [0, 1, shift[1] - low[1]], [0, 0, 1]]) @ self._base
    layer = cv2.warpAffine(self._picture, matrix[:2], tuple((high - low).tolist()))
    under = frame[low[1] : high[1], low[0] : high[0]]
    keep = cv2.merge([1 - layer[..., 3] / np.float32(255)] * 3)
    cv2.add(cv2.multiply(under, keep, dtype=cv2.CV_32F), layer[..., :3], under, dtype=cv2.CV_8U)


def _turned(flat: np.ndarray, angle: float) -> np.ndarray:
  c, s = np.cos(angle), np.sin(angle)
  v = np.array([c * flat[0] - s * flat[1], s * flat[0] + c * flat[1], 0])
  return v / max(np.linalg.norm(v), 1e-6)


def _on_floor(camera: Camera, pixel: np.ndarray) -> np.ndarray:
  """The spot of z = 0 that a pixel shows, [3] m."""
  ray = np.array([*((pixel - camera.centre) / camera.focal), 1.0]) @ camera.rotation
  return camera.position - ray * camera.position[2] / min(ray[2], -0.05)


class Flicker(Distractor):
  """Light that hums, a cloud, or the camera's exposure that hunts."""

  def __init__(self, rng: np.random.Generator):
    self._slow, self._fast = _sway(rng, (0.05, 0.4)), _sway(rng, (1, 9))
    self._size = rng.uniform(0, 0.14), rng.choice([0.0, 0.02, 0.04])

  def gain(self, time_s: float) -> float:
    return 1 + self._size[0] * _wave(self._slow, time_s) + self._size[1] * _wave(self._fast, time_s)


class Glow(Distractor):
  """A screen out of sight that changes from time to time."""

  def __init__(self, rng: np.random.Generator):
    x, y = np.meshgrid(np.linspace(-1, 1, CANVAS[1], dtype=np.float32), np.linspace(-1, 1, CANVAS[0], dtype=np.float32))
    at = rng.uniform(-1.2, 1.2, 2)
    self._spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / rng.uniform(0.2, 1.2)).astype(np.float32)
    self._changes_s = np.cumsum(rng.exponential(rng.uniform(0.3, 1.5), 40))
    self._colors = np.array([any_color(rng) for _ in range(41)]) * rng.uniform(10, 45)

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    color = self._colors[np.searchsorted(self._changes_s, time_s)]
    cv2.add(frame, cv2.merge([self._spot * np.float32(c) for c in color]), frame, dtype=cv2.CV_8U)


class Insect(Distractor):
  """Something small that walks about and stops."""

  def __init__(self, rng: np.random.Generator):
    self._at = MARGIN + rng.uniform(0.1, 0.9, 2) * [WIDTH, HEIGHT]
    self._sway_x, self._sway_y = _sway(rng, (0.05, 0.35)), _sway(rng, (0.05, 0.35))
    self._reach, self._size = rng.uniform(15, 60), rng.uniform(0.8, 3.5)
    self._color = (255 * any_color(rng) * rng.uniform(0.2, 0.8)).tolist()

  def paint(self, frame: np.ndarray, time_s: float) -> None:
    at = self._at + self._reach * np.array([_wave(self._sway_x, time_s), _wave(self._sway_y, time_s)])
    cv2.circle(frame, np.round(at * 8).astype(int).tolist(), round(8 * self._size), self._color, -1, cv2.LINE_AA, 3)


def draw_distractors(camera: Camera, light: Light, exposure: float, rng: np.random.Generator) -> list[Distractor]:
  """None, one or two."""
  if rng.random() < _NONE:
    return []
  makers = [Passing, Passing, Cord, Flicker, Glow, Insect, lambda r: OtherHand(camera, light, exposure, r)]
  chosen = rng.choice(len(makers), size=2 if rng.random() < 0.35 else 1, replace=False)
  return [makers[k](rng) for k in chosen]
