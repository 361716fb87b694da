"""One look at the world without the stick: where each pixel's ray meets the maps, and how that spot is lit."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture.backdrop import paint_backdrop
from data_pipelines.builders.drumstick.picture.camera import CANVAS, Camera, Light
from data_pipelines.builders.drumstick.picture.noise import hsv, smooth
from data_pipelines.builders.drumstick.picture.relief import SIDE, TEXEL, Relief

_SCALE = 1.75  # the still is made larger, then reduced, so that edges are smooth
_STEPS, _HALVINGS = 40, 5  # of a ray's way down to the maps
_SHADOW_STEPS_M = np.geomspace(0.004, 0.45, 18)
_GAMMA_SHOULDER = 1.5
_LEVEL_M = 0.008  # a spot this near to the height of the contacts mirrors the stick where it should be


@dataclasses.dataclass(frozen=True)
class Still:
  """The canvas without stick.

  Attributes:
    lit, dim: uint8 [rows, columns, 3] sRGB, with the lamp and in its shadow.
    world: float32 [rows, columns, 3] m, what each pixel shows.
    kind: uint8 [rows, columns] of `relief`.
    mirror: float32 [rows, columns], how much a spot at the height of the contacts mirrors what is above it.
    exposure: multiplies linear light before the tone curve.
  """

  lit: np.ndarray
  dim: np.ndarray
  world: np.ndarray
  kind: np.ndarray
  mirror: np.ndarray
  exposure: float


def tone(linear: np.ndarray) -> np.ndarray:
  """Linear light, exposed, to 0..255: soft at the bright end."""
  return 255 * np.sqrt(1 - np.exp(-_GAMMA_SHOULDER * np.maximum(linear, 0)))


def render_still(relief: Relief, camera: Camera, light: Light, outdoors: bool, rng: np.random.Generator) -> Still:
  """Marches, shades, puts what lies beyond the table's edge behind it, and reduces to the canvas."""
  rays = camera.rays(_SCALE)
  world = _meet(relief, camera.position.astype(np.float32), rays)
  sky, lamp = _shade(relief, world, rays, light, rng)
  sky, lamp = paint_backdrop(sky, lamp, world, rays, camera, light, outdoors, rng)
  size = (CANVAS[1], CANVAS[0])
  level = float(np.mean(cv2.resize(sky + lamp, (32, 24), interpolation=cv2.INTER_AREA)))
  exposure = float(np.exp(rng.normal(0, 0.3))) * 0.2 / (0.35 * level + 0.65 * np.sqrt(level * 0.2) + 1e-4)
  dim = cv2.resize(tone(exposure * sky), size, interpolation=cv2.INTER_AREA)
  lit = cv2.resize(tone(exposure * (sky + lamp)), size, interpolation=cv2.INTER_AREA)
  places = cv2.resize(np.moveaxis(world, 0, -1), size, interpolation=cv2.INTER_LINEAR)
  at = _texels(places[..., 0], places[..., 1])
  kind, finish = _sample(relief.kind, *at, cv2.INTER_NEAREST), _sample(relief.finish, *at)
  mirror = np.clip(finish[..., 0], 0, 0.6) * (1 - finish[..., 1]) ** 2 * (np.abs(places[..., 2]) < _LEVEL_M)
  lit, dim = (np.clip(a, 0, 255).astype(np.uint8) for a in (lit, dim))
  return Still(lit, dim, places, kind, cv2.blur(mirror, (3, 3)), exposure)


def _texels(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """World m to columns and rows of the maps."""
  return x * np.float32(1 / TEXEL) + np.float32(SIDE / 2 - 0.5), y * np.float32(1 / TEXEL) + np.float32(SIDE / 2 - 0.5)


def _sample(field: np.ndarray, u: np.ndarray, v: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
  """The map goes on in its mirror image beyond its sides."""
  return cv2.remap(field, u, v, how, borderMode=cv2.BORDER_REFLECT)


def _meet(relief: Relief, eye: np.ndarray, rays: np.ndarray) -> np.ndarray:
  """Where each ray first meets the maps, float32 [3, rows, columns] m."""
  high, low = float(relief.height.max()) + 1e-4, float(relief.height.min()) - 1e-4
  slope = rays[:2] / np.minimum(rays[2], np.float32(-0.06))  # m sideways per m of height
  u0, v0 = _texels(eye[0] - slope[0] * eye[2], eye[1] - slope[1] * eye[2])
  su, sv = slope / np.float32(TEXEL)
  stride = (high - low) / _STEPS
  count = np.zeros(u0.shape, np.uint8)  # of steps that are still above
  above = np.full(u0.shape, 255, np.uint8)
  for z in np.float32(high - stride * np.arange(1, _STEPS)):
    below = cv2.compare(_sample(relief.height, u0 + su * z, v0 + sv * z), float(z), cv2.CMP_LT)
    cv2.bitwise_and(above, below, above)
    cv2.add(count, 1, count, mask=above)
  z = (high - stride * (count.astype(np.float32) + 0.5)).astype(np.float32)
  for k in range(_HALVINGS):
    inside = _sample(relief.height, u0 + su * z, v0 + sv * z) >= z
    z += np.where(inside, np.float32(stride / 2 ** (k + 2)), np.float32(-stride / 2 ** (k + 2)))
  return np.stack([eye[0] + slope[0] * (z - eye[2]), eye[1] + slope[1] * (z - eye[2]), z])


def _shade(
  relief: Relief, world: np.ndarray, rays: np.ndarray, light: Light, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Linear light [rows, columns, 3] from all round and from the lamp."""
  u, v = _texels(world[0], world[1])
  normal = _normals(relief, u, v)
  # A wall shows the top's pattern folded down over the edge.
  soft = cv2.GaussianBlur(relief.height, (0, 0), 2.5)
  sx, sy = (-_sample(cv2.Sobel(soft, cv2.CV_32F, *d, ksize=3), u, v) for d in ((1, 0), (0, 1)))
  side = np.hypot(sx, sy) + np.float32(1e-9)
  drop = np.where(normal[2] < 0.5, _sample(_grown(relief.height), u, v) - world[2], np.float32(0)) / np.float32(TEXEL)
  iu, iv = u - sx / side * drop, v - sy / side * drop
  albedo = _sample(relief.albedo, iu, iv)
  finish = _sample(relief.finish, u, v)
  base = albedo * albedo
  metal = finish[..., 2:3]
  open_sky = _openness(relief.height, world[2], u, v)
  sun = _sunlit(relief.height, world, light) * np.maximum(0, np.tensordot(light.to.astype(np.float32), normal, 1))
  fill = open_sky * (np.float32(0.6) + np.float32(0.4) * normal[2])
  mirror, glint = _reflections(rays, normal, finish, light, rng)
  tint = 1 + metal * (base - 1)
  matt = base * (1 - np.float32(0.92) * metal)
  sky = light.sky.astype(np.float32) * (matt * fill[..., None] + tint * mirror * open_sky[..., None])
  lamp = light.sun.astype(np.float32) * (matt * sun[..., None] + tint * (glint * (sun > 0.02))[..., None])
  return sky, lamp


def _grown(height: np.ndarray) -> np.ndarray:
  """The highest of the neighbourhood, so that a wall knows its upper edge."""
  return cv2.dilate(height, np.ones((5, 5), np.uint8))


def _normals(relief: Relief, u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Unit normals float32 [3, rows, columns]."""
  slope = np.float32(-1 / (8 * TEXEL))
  gx, gy = (_sample(slope * cv2.Sobel(relief.height, cv2.CV_32F, *d, ksize=3), u, v) for d in ((1, 0), (0, 1)))
  length = np.sqrt(1 + gx * gx + gy * gy)
  return np.stack([gx / length, gy / length, 1 / length])


def _openness(height: np.ndarray, z: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """How much of the sky a spot sees: less where its surroundings stand higher."""
  hidden = np.float32(0)
  small = cv2.resize(height, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
  for size, depth in ((5, 0.006), (13, 0.016), (51, 0.06)):
    around = _sample(cv2.blur(small, (size, size), borderType=cv2.BORDER_REFLECT), u / 2 - 0.25, v / 2 - 0.25)
    hidden = hidden + np.clip((around - z) * np.float32(1 / depth), 0, 2)
  return 1 / (1 + np.float32(0.6) * hidden)


def _sunlit(height: np.ndarray, world: np.ndarray, light: Light) -> np.ndarray:
  """0 in the shadow of the maps' own shapes, 1 in the lamp's light, float32 [rows, columns]."""
  u, v = _texels(world[0], world[1])
  seen = np.ones(u.shape, np.float32)
  highest = float(height.max())
  for way in _SHADOW_STEPS_M:
    lift = np.float32(light.to[2] * way)
    if float(world[2].min()) + lift > highest:
      break
    shift = light.to[:2] * way / TEXEL
    gap = world[2] + lift - _sample(height, u + np.float32(shift[0]), v + np.float32(shift[1]))
    np.minimum(seen, np.float32(0.5) + gap * np.float32(0.5 / (way * light.spread + 0.001)), out=seen)
  return np.clip(seen, 0, 1)


def _reflections(
  rays: np.ndarray, normal: np.ndarray, finish: np.ndarray, light: Light, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """What the surface mirrors of the room, [rows, columns, 3], and of the lamp, [rows, columns]; both take the gloss."""
  view = rays / np.sqrt((rays * rays).sum(axis=0))
  facing = (view * normal).sum(axis=0)
  out = view - 2 * facing * normal
  gloss, rough = finish[..., 0], finish[..., 1]
  fresnel = gloss + (1 - gloss) * np.clip(1 + facing, 0, 1) ** 5 * (1 - rough) * np.minimum(1, gloss * 25)
  sharp, dull = _surroundings(rng)
  u = (np.arctan2(out[1], out[0]) / np.float32(2 * np.pi) + np.float32(0.5)) * (sharp.shape[1] - 1)
  v = np.clip(out[2], 0, 1) * (sharp.shape[0] - 1)
  near = np.clip(rough * 1.5, 0, 1)[..., None]
  clear, blurred = (cv2.remap(m, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for m in (sharp, dull))
  mirror = fresnel[..., None] * (clear + near * (blurred - clear))
  to = np.tensordot(light.to.astype(np.float32), out, 1)
  width = np.float32(light.spread**2) + (0.03 + 0.6 * rough) ** 2
  glint = fresnel * np.exp((to - 1) * 2 / width) * np.minimum(0.6 / width, 40)
  return mirror, glint


def _surroundings(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """The room or sky that glossy things mirror, by bearing and height, sharp and blurred, float32 [48, 96, 3]."""
  base = (0.5 + 0.5 * smooth(rng, 96, 4)[:48])[..., None] * hsv(rng, (0, 1), (0, 0.25), (0.5, 1.2))
  room = np.clip(base, 0.03, 2).astype(np.float32)
  for _ in range(int(rng.integers(2, 7))):
    x, y, w, h = rng.integers(0, 80), rng.integers(0, 40), rng.integers(4, 20), rng.integers(3, 16)
    room[y : y + h, x : x + w] = hsv(rng, (0, 1), (0, 0.4), (0, 1)) * rng.choice([0.2, 1.0, 5.0])
  return cv2.GaussianBlur(room, (0, 0), 0.7), cv2.GaussianBlur(room, (0, 0), 8, borderType=cv2.BORDER_REFLECT)
