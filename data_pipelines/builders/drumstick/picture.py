"""Picture of a scene: a textured table in perspective, the stick with hand and shadow, a slightly moving camera."""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np

from data_pipelines.builders.drumstick import surface
from data_pipelines.builders.drumstick.debris import Debris
from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Scene

WIDTH, HEIGHT = 256, 192
_MARGIN = 12  # px of background beyond the frame, for the camera's motion
_SUBFRAMES = 4  # averaged for motion blur
_SHUTTER = 0.5  # part of the frame's interval that it exposes
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole looking at the table; `project` maps [..., 3] m to [..., 2] px of the frame."""

  position: np.ndarray
  rotation: np.ndarray
  focal: float
  centre: np.ndarray

  def project(self, xyz: np.ndarray) -> np.ndarray:
    local = (xyz - self.position) @ self.rotation.T
    return self.focal * local[..., :2] / local[..., 2:] + self.centre

  def px_per_m(self, xyz: np.ndarray) -> float:
    """Scale of a small thing at `xyz`."""
    return float(self.focal / ((xyz - self.position) @ self.rotation[2]))


@dataclasses.dataclass(frozen=True)
class Stick:
  """Stick and hand: length and radius m, rest direction [3] from tip to hand, colours RGB."""

  length: float
  radius: float
  direction: np.ndarray
  color: np.ndarray
  tip_color: np.ndarray
  skin: np.ndarray
  sleeve: np.ndarray


def render_frames(scene: Scene) -> Iterator[np.ndarray]:
  """Frames uint8 [HEIGHT, WIDTH, 3] RGB; frame k shows the scene at k / fps."""
  rng = scene.rng("picture")
  camera, light = _draw_camera(rng), _draw_light(rng)
  stick = _draw_stick(rng)
  background = _background(scene, camera, rng)
  tip = Tip(scene)
  debris = Debris(scene, tip, rng)
  times = np.arange(scene.frames) / float(scene.fps)
  shake = _shake(times, rng)
  strength = rng.uniform(0.35, 0.6)
  grain = _grain(rng)
  home = tip.position(np.zeros(1))[0]
  for k, time_s in enumerate(times):
    exposed = time_s + (np.arange(_SUBFRAMES) / _SUBFRAMES - 0.375) * _SHUTTER / float(scene.fps)
    tips = tip.position(exposed)
    frame = cv2.warpAffine(background, _shift_matrix(shake[k]), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    ends = [(p, _hand(stick, p, home)) for p in _distinct(tips, camera)]
    _shade(frame, _coverage(ends, camera, shake[k], stick, light), strength)
    for position, radius in debris.flying(time_s):
      _disc(frame, camera.project(position) + shake[k], radius * camera.px_per_m(position), debris.color)
    _paint(frame, ends, camera, shake[k], stick)
    yield cv2.add(frame, grain[k % len(grain)], dtype=cv2.CV_8U)


def _draw_camera(rng: np.random.Generator) -> Camera:
  target = np.array([rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.06), rng.uniform(0.02, 0.08)])
  pitch, yaw, distance = np.deg2rad(rng.uniform(20, 42)), np.deg2rad(rng.uniform(-20, 20)), rng.uniform(0.75, 1.1)
  back = np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
  right = np.array([np.cos(yaw), np.sin(yaw), 0])
  roll = rng.normal(0, 0.03)
  down = np.cross(-back, right)
  right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
  return Camera(
    position=target + distance * back,
    rotation=np.stack([right, down, -back]),
    focal=rng.uniform(1.25, 1.6) * WIDTH,
    centre=np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-10, 10, 2),
  )


def _draw_light(rng: np.random.Generator) -> np.ndarray:
  """Horizontal drift of a shadow per metre of height, [2]."""
  angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.9)
  return slope * np.array([np.cos(angle), np.sin(angle)])


def _draw_stick(rng: np.random.Generator) -> Stick:
  side = rng.choice([-1.0, 1.0])
  bearing, rise = np.deg2rad(rng.uniform(-70, 35)), np.deg2rad(rng.uniform(12, 40))
  direction = np.array([side * np.cos(bearing) * np.cos(rise), np.sin(bearing) * np.cos(rise), np.sin(rise)])
  woods = np.array([(205, 165, 110), (235, 220, 190), (120, 75, 45), (40, 40, 42), (180, 50, 45), (60, 80, 150)])
  color = woods[rng.integers(len(woods))] * rng.uniform(0.85, 1.1)
  return Stick(
    length=rng.uniform(0.26, 0.36),
    radius=rng.uniform(0.007, 0.012),
    direction=direction,
    color=np.clip(color, 0, 255),
    tip_color=np.clip(color * rng.choice([0.6, 1.0, 1.3]), 0, 255),
    skin=np.array([(225, 180, 150), (190, 135, 100), (120, 80, 60), (240, 205, 180)])[rng.integers(4)] * 1.0,
    sleeve=rng.uniform(20, 220, 3),
  )


def _hand(stick: Stick, tip: np.ndarray, home: np.ndarray) -> np.ndarray:
  """The hand's end of the stick: it follows the tip by half, so that the stick turns about the wrist."""
  rest = home * [1, 1, 0.3] + stick.length * stick.direction
  away = rest + (tip - home) * [0.9, 0.9, 0.45] - tip
  return tip + stick.length * away / np.linalg.norm(away)


def _background(scene: Scene, camera: Camera, rng: np.random.Generator) -> np.ndarray:
  """The scene without the stick, uint8 with a margin of _MARGIN px on every side."""
  size = (WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN)
  picture = np.full((size[1], size[0], 3), rng.uniform(20, 200, 3), np.float32)
  picture *= np.linspace(*rng.uniform(0.6, 1.2, 2), size[1], dtype=np.float32)[:, None, None]
  half_x, near, far = rng.uniform(0.32, 0.8), rng.uniform(-0.45, -0.25), rng.uniform(0.25, 0.8)
  corners = np.array([[-half_x, far, 0], [half_x, far, 0], [half_x, near, 0], [-half_x, near, 0]])
  pixels = (camera.project(corners) + _MARGIN).astype(np.float32)
  _front_edge(picture, camera, corners, rng)
  source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * surface.SIZE
  texture = surface.surface_texture(scene.row.look, rng)
  matrix = cv2.getPerspectiveTransform(source, pixels)
  cv2.warpPerspective(texture, matrix, size, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
  _light_up(picture, scene.row.look.gloss, rng)
  return np.clip(picture, 0, 255).astype(np.uint8)


def _front_edge(picture: np.ndarray, camera: Camera, corners: np.ndarray, rng: np.random.Generator) -> None:
  """The slab's front face, so that it has a thickness."""
  thick = np.array([0, 0, -rng.uniform(0.01, 0.06)])
  face = camera.project(np.array([corners[3], corners[2], corners[2] + thick, corners[3] + thick])) + _MARGIN
  cv2.fillConvexPoly(picture, np.round(face).astype(np.int32), tuple(rng.uniform(20, 110, 3).tolist()), cv2.LINE_AA)


def _light_up(picture: np.ndarray, gloss: float, rng: np.random.Generator) -> None:
  """Uneven light, a highlight on glossy surfaces and the colour of the light, in place."""
  rows, columns = picture.shape[:2]
  x, y = np.meshgrid(np.linspace(-1, 1, columns, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32))
  picture *= (rng.uniform(0.75, 1.2) + rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y)[..., None]
  centre, width = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.25, 0.6)
  spot = np.exp(-((x - centre[0]) ** 2 + 4 * (y - centre[1]) ** 2) / width**2)
  picture += (gloss * rng.uniform(30, 110) * spot)[..., None]
  picture *= np.clip(rng.normal(1, 0.05, 3), 0.85, 1.15).astype(np.float32)


def _shake(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """The camera's slow drift, px [T, 2], below _MARGIN."""
  size = rng.uniform(0, 2.0)
  rate, phase = rng.uniform(0.15, 1.3, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))
  return size * np.sin(2 * np.pi * rate * times[:, None, None] + phase).sum(axis=1)


def _shift_matrix(shake: np.ndarray) -> np.ndarray:
  return np.array([[1, 0, shake[0] - _MARGIN], [0, 1, shake[1] - _MARGIN]], np.float32)


def _distinct(tips: np.ndarray, camera: Camera) -> np.ndarray:
  """The sub-frames worth drawing: all in fast motion, one when the tip moves less than a pixel."""
  pixels = camera.project(tips)
  return tips if np.ptp(pixels, axis=0).max() > 1.0 else tips[1:2]


def _quad(a: np.ndarray, b: np.ndarray, width_a: float, width_b: float) -> np.ndarray:
  """Corners, px in OpenCV's fixed point, of a bar from `a` to `b` with those widths."""
  along = b - a
  normal = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-3) / 2
  corners = np.array([a + normal * width_a, b + normal * width_b, b - normal * width_b, a - normal * width_a])
  return np.round(corners * (1 << _SHIFT)).astype(np.int32)


def _bar(canvas: np.ndarray, a: np.ndarray, b: np.ndarray, widths: tuple[float, float], color) -> None:
  cv2.fillConvexPoly(canvas, _quad(a, b, *widths), color, cv2.LINE_AA, _SHIFT)


def _disc(canvas: np.ndarray, centre: np.ndarray, radius: float, color) -> None:
  at = tuple(int(v) for v in np.round(centre * (1 << _SHIFT)))
  cv2.circle(canvas, at, max(1, round(radius * (1 << _SHIFT))), color, -1, cv2.LINE_AA, _SHIFT)


def _coverage(ends: list, camera: Camera, shake: np.ndarray, stick: Stick, light: np.ndarray) -> np.ndarray:
  """How much of each pixel the shadow covers, uint8 [HEIGHT, WIDTH]; at contact it meets the tip."""
  total = np.zeros((HEIGHT, WIDTH), np.uint16)
  for tip, hand in ends:
    layer = np.zeros((HEIGHT, WIDTH), np.uint8)
    fall = [np.array([*(p[:2] + light * p[2]), 0.0]) for p in (tip, hand)]
    a, b = (camera.project(p) + shake for p in fall)
    width = 2.2 * stick.radius * camera.px_per_m(fall[0])
    _bar(layer, a, b, (width, width), 255)
    _disc(layer, b, 0.035 * camera.px_per_m(fall[1]), 255)
    total += layer
  return cv2.blur((total // len(ends)).astype(np.uint8), (3, 3))


def _shade(frame: np.ndarray, coverage: np.ndarray, strength: float) -> None:
  """Darkens `frame` in place where the shadow falls."""
  keep = 255 - cv2.convertScaleAbs(coverage, alpha=strength)
  cv2.multiply(frame, cv2.merge([keep, keep, keep]), frame, 1 / 255)


def _paint(frame: np.ndarray, ends: list, camera: Camera, shake: np.ndarray, stick: Stick) -> None:
  """Paints stick and hand over `frame` in place, averaged over the sub-frames."""
  layers = np.zeros(frame.shape, np.uint16)
  for tip, hand in ends:
    layer = frame.copy()
    _draw_arm(layer, tip, hand, camera, shake, stick)
    layers += layer
  np.copyto(frame, layers // len(ends), casting="unsafe")


def _draw_arm(
  layer: np.ndarray, tip: np.ndarray, hand: np.ndarray, camera: Camera, shake: np.ndarray, stick: Stick
) -> None:
  a, b = camera.project(tip) + shake, camera.project(hand) + shake
  scale_a, scale_b = camera.px_per_m(tip), camera.px_per_m(hand)
  elbow = b + (b - a) / max(np.hypot(*(b - a)), 1) * 220
  _bar(layer, b, elbow, (0.05 * scale_b, 0.09 * scale_b), tuple(stick.sleeve.tolist()))
  wide = 2 * stick.radius
  _bar(layer, a, b, (wide * scale_a, wide * scale_b), tuple(stick.color.tolist()))
  _bar(layer, a, a + (b - a) * 0.12, (wide * scale_a * 1.15, wide * scale_a * 1.15), tuple(stick.tip_color.tolist()))
  _disc(layer, a, 1.15 * stick.radius * scale_a, tuple(stick.tip_color.tolist()))
  _disc(layer, b, 0.034 * scale_b, tuple(stick.skin.tolist()))
  _disc(layer, b + (b - a) * 0.08, 0.030 * scale_b, tuple((0.9 * stick.skin).tolist()))


def _grain(rng: np.random.Generator) -> np.ndarray:
  """A few frames of sensor noise to take in turn, int16 [4, HEIGHT, WIDTH, 3]."""
  level = rng.uniform(0.5, 2.5)
  return np.round(level * rng.standard_normal((4, HEIGHT, WIDTH, 3), dtype=np.float32)).astype(np.int16)
