"""The hand with forearm and the stick, shaped and shaded once per video as premultiplied RGBA pictures."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture.camera import Camera, Light
from data_pipelines.builders.drumstick.picture.noise import any_color, hsv, smooth
from data_pipelines.builders.drumstick.picture.still import tone

DENSITY = 1.25  # picture px per canvas px
PAD = 80  # canvas px that a hand's picture has beyond the canvas on each side
SKIN, CLOTH, NAIL = range(3)


@dataclasses.dataclass(frozen=True)
class Limb:
  """A round cone from `a` to `b` [3] m with radii `ra`, `rb` m, of SKIN, CLOTH or NAIL."""

  a: np.ndarray
  b: np.ndarray
  ra: float
  rb: float
  stuff: int = SKIN


def fist(
  grip: np.ndarray, along: np.ndarray, elbow: np.ndarray, sleeve_part: float, rng: np.random.Generator
) -> list[Limb]:
  """A hand that holds a stick at `grip`; `along` points from tip to butt, `elbow` is the arm's other end, [3]."""
  wrist_way = _unit(elbow - grip)
  # Knuckles lie on the far side of the stick from the wrist, on the upper side of the hand.
  side = _unit(wrist_way - along * (wrist_way @ along))
  up = np.cross(along, side)
  up = up if up[2] > 0 else -up
  size = rng.uniform(0.9, 1.12)
  # The stick lies across the palm at a slant where the arm comes from behind it.
  slant = min(float(np.arcsin(np.clip(wrist_way @ along, -0.9, 0.85))), 0.95)
  back_along, back_side = np.sin(slant), np.cos(slant)

  def at(lengthwise: float, sideways: float, above: float) -> np.ndarray:
    return grip + size * (along * lengthwise + side * sideways + up * above)

  def back(far: float, lengthwise: float, above: float) -> np.ndarray:
    """Points of the hand's back, `far` m from the stick towards the wrist."""
    return at(lengthwise + far * back_along, far * back_side, above)

  limbs = []
  for k in range(4):
    x = -0.030 + 0.020 * k
    thick = size * (0.0105, 0.0108, 0.0102, 0.0090)[k]
    reach = (0.95, 1.0, 0.97, 0.85)[k]
    knuckle = back(0.034, x * 0.92, 0.021)
    middle, end, tip = at(x, -0.014 * reach, 0.021), at(x, -0.022 * reach, -0.004), at(x, -0.003, -0.016)
    limbs += [Limb(knuckle, middle, 1.15 * thick, thick), Limb(middle, end, thick, 0.93 * thick)]
    limbs += [
      Limb(end, tip, 0.93 * thick, 0.8 * thick),
      Limb(back(0.108, 0.35 * x, 0.006), knuckle, 0.019 * size, 1.15 * thick),
    ]
  for k in range(5):  # the back of the hand between the bones
    x = -0.024 + 0.012 * k
    limbs.append(Limb(back(0.106, 0.35 * x, 0.005), back(0.042, x, 0.016), 0.021 * size, 0.0150 * size))
  thumb = [back(0.058, -0.014, 0.002), back(0.030, -0.042, 0.008), at(-0.066, 0.004, 0.011), at(-0.086, -0.001, 0.010)]
  for k, (ra, rb) in enumerate([(0.018, 0.0130), (0.0130, 0.0105), (0.0105, 0.0085)]):
    limbs.append(Limb(thumb[k], thumb[k + 1], ra * size, rb * size))
  limbs.append(Limb(at(-0.078, -0.002, 0.017), at(-0.086, -0.003, 0.0165), 0.0045 * size, 0.0042 * size, NAIL))
  wrist = back(0.115, 0.004, 0.004)
  limbs.append(Limb(back(0.08, 0.0, 0.006), wrist, 0.026 * size, 0.024 * size))
  return limbs + _forearm(wrist, _unit(elbow - wrist), sleeve_part, size, rng)


def _forearm(
  wrist: np.ndarray, way: np.ndarray, sleeve_part: float, size: float, rng: np.random.Generator
) -> list[Limb]:
  """From the wrist out of the picture, with a sleeve that leaves `sleeve_part` of a forearm bare."""
  cuff, loose = 0.25 * sleeve_part, rng.uniform(1.12, 1.5)
  skin = Limb(wrist, wrist + 0.9 * way, 0.024 * size, 0.085 * size)
  start = (0.024 + 0.068 * cuff) * size * loose
  return [skin, Limb(wrist + cuff * way, wrist + 0.9 * way, start, 0.1 * size * loose, CLOTH)]


def _unit(v: np.ndarray) -> np.ndarray:
  return v / max(np.linalg.norm(v), 1e-6)


def draw_limbs(
  limbs: list[Limb], camera: Camera, light: Light, exposure: float, rng: np.random.Generator
) -> np.ndarray:
  """Premultiplied float32 [rows, columns, 4], 0..255, DENSITY times the canvas and PAD px more on each side."""
  rows = round((2 * camera.centre[1] + 2 * PAD) * DENSITY)
  columns = round((2 * camera.centre[0] + 2 * PAD) * DENSITY)
  near = np.full((rows, columns), -np.inf, np.float32)
  normal, stuff = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.uint8)
  cover = np.zeros((rows, columns), np.float32)
  for limb in limbs:
    _merge(limb, camera, near, normal, stuff, cover)
  picture = np.zeros((rows, columns, 4), np.float32)
  x, y, w, h = cv2.boundingRect((cover > 0).astype(np.uint8))
  if w and h:
    where = (slice(y, y + h), slice(x, x + w))
    picture[where] = _shaded(near[where], normal[where], stuff[where], cover[where], camera, light, exposure, rng)
  return picture


def _merge(
  limb: Limb, camera: Camera, near: np.ndarray, normal: np.ndarray, stuff: np.ndarray, cover: np.ndarray
) -> None:
  """Draws one limb into the maps where it is nearest; limbs that meet are blended a little."""
  b, rb = limb.b, limb.rb
  ahead_a, ahead_b = camera.depth(limb.a), camera.depth(b)
  if ahead_b < 0.25 < ahead_a:  # it would pass the camera
    part = (ahead_a - 0.25) / (ahead_a - ahead_b)
    b, rb = limb.a + part * (b - limb.a), limb.ra + part * (limb.rb - limb.ra)
  pa, pb = (DENSITY * (camera.project(p) + PAD) for p in (limb.a, b))
  sa, sb = DENSITY * camera.px_per_m(limb.a), DENSITY * camera.px_per_m(b)
  ra, rb = limb.ra * sa, rb * sb
  low = np.floor(np.minimum(pa - ra, pb - rb) - 1).astype(int).clip(0, [near.shape[1], near.shape[0]])
  high = np.ceil(np.maximum(pa + ra, pb + rb) + 2).astype(int).clip(0, [near.shape[1], near.shape[0]])
  if np.any(high <= low):
    return
  where = (slice(low[1], high[1]), slice(low[0], high[0]))
  x = np.arange(low[0], high[0], dtype=np.float32)[None, :] - np.float32(pa[0])
  y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(pa[1])
  d = (pb - pa).astype(np.float32)
  t = np.clip((x * d[0] + y * d[1]) / max(float(d @ d), 1e-3), 0, 1)
  nx, ny = x - t * d[0], y - t * d[1]
  radius = np.float32(ra) + t * np.float32(rb - ra)
  square = (nx * nx + ny * ny) / (radius * radius)
  bulge = np.sqrt(np.maximum(0, 1 - square))
  scale = np.float32(sa) + t * np.float32(sb - sa)
  z = (
    -(np.float32(camera.depth(limb.a)) + t * np.float32(camera.depth(b) - camera.depth(limb.a)))
    + bulge * radius / scale
  )
  inside = square < 1
  # Soft maximum over 7 mm of depth joins fingers and palm.
  weight = np.clip(np.float32(0.5) + (z - near[where]) * np.float32(140 if limb.stuff == SKIN else 2000), 0, 1) * inside
  own = np.stack([nx / radius, ny / radius, -bulge], axis=-1)
  normal[where] += weight[..., None] * (own - normal[where])
  near[where] = np.where(inside, np.maximum(near[where], z), near[where])
  stuff[where] = np.where(weight > 0.5, limb.stuff, stuff[where])
  edge = np.clip((1 - np.sqrt(square)) * radius + np.float32(0.5), 0, 1)
  np.maximum(cover[where], edge, out=cover[where])


def _shaded(
  near: np.ndarray,
  normal: np.ndarray,
  stuff: np.ndarray,
  cover: np.ndarray,
  camera: Camera,
  light: Light,
  exposure: float,
  rng: np.random.Generator,
) -> np.ndarray:
  rows, columns = near.shape
  n = max(rows, columns)
  world = normal @ camera.rotation.astype(np.float32)
  facing = world @ light.to.astype(np.float32)
  skin = _skin(rng)
  blotch = smooth(rng, n, n / 18)[:rows, :columns, None]
  grain = smooth(rng, n, n / 2.5)[:rows, :columns, None]
  base = skin * (1 + 0.035 * blotch * np.array([0.6, 1.2, 1.2], np.float32) + 0.02 * grain)
  cloth = any_color(rng)
  folds = smooth(rng, n, n / rng.uniform(14, 40), n / rng.uniform(8, 30))[:rows, :columns, None]
  base = np.where((stuff == CLOTH)[..., None], cloth * (1 + 0.16 * folds + 0.05 * grain), base)
  base = np.where((stuff == NAIL)[..., None], 0.6 * skin + 0.4 * np.array([0.95, 0.78, 0.72], np.float32), base)
  base = np.clip(base, 0.02, 1) ** 2
  # Light wraps round skin and turns red where it fades; deep gaps between fingers are dark.
  wrap = np.float32(0.25)
  lit = np.clip((facing[..., None] + wrap * np.array([1.4, 0.8, 0.6], np.float32)) / (1 + wrap), 0, 1)
  finite = np.where(np.isfinite(near), near, near[np.isfinite(near)].min() if np.isfinite(near).any() else 0)
  around = cv2.GaussianBlur(finite.astype(np.float32), (0, 0), 3.0)
  open_sky = 1 / (1 + np.clip((around - finite) * 220, 0, 3))
  sky = light.sky.astype(np.float32) * (0.55 + 0.45 * world[..., 2:3]) * open_sky[..., None]
  glint = 0.05 * np.clip(facing, 0, 1)[..., None] ** 12
  linear = (
    base * (sky + light.sun.astype(np.float32) * lit * (0.4 + 0.6 * open_sky[..., None]))
    + light.sun.astype(np.float32) * glint
  )
  picture = tone(exposure * linear)
  return np.dstack([picture * cover[..., None], 255 * cover]).astype(np.float32)


def _skin(rng: np.random.Generator) -> np.ndarray:
  """sRGB [3] between pale and dark."""
  tones = np.array([[0.97, 0.82, 0.72], [0.88, 0.66, 0.52], [0.70, 0.48, 0.34], [0.45, 0.29, 0.21], [0.30, 0.19, 0.14]])
  at = rng.uniform(0, len(tones) - 1)
  mix = [np.interp(at, np.arange(len(tones)), tones[:, k]) for k in range(3)]
  return np.clip(np.array(mix) * rng.normal(1, 0.04, 3), 0.05, 1).astype(np.float32)


def draw_stick(
  along: np.ndarray,
  width_px: float,
  length_px: float,
  camera: Camera,
  light: Light,
  exposure: float,
  rng: np.random.Generator,
) -> np.ndarray:
  """The stick, tip at the left, premultiplied float32 [rows, columns, 4]; it fills two thirds of the rows' height."""
  rows, columns = int(np.clip(width_px * 2.2, 8, 40)), int(np.clip(length_px * 1.3, 60, 320))
  u = ((np.arange(columns) + 0.5) / columns).astype(np.float32)[None, :]
  v = (((np.arange(rows) + 0.5) / rows - 0.5) * 3).astype(np.float32)[:, None]
  bead, neck = rng.uniform(0.035, 0.06), rng.uniform(0.45, 0.75)
  taper = np.interp(u[0], [0, bead, bead * 1.3, rng.uniform(0.25, 0.4), 1], [neck * 0.9, neck * 1.15, neck * 0.8, 1, 1])
  # The bead's end is round.
  taper = taper * np.sqrt(np.clip(1 - (1 - u[0] / (bead * 0.8)).clip(0, 1) ** 2, 0.02, 1))
  across = v / taper.astype(np.float32)[None, :]
  bulge = np.sqrt(np.clip(1 - across**2, 0, 1))
  ahead = camera.rotation[2]
  side = np.cross(ahead, along)
  side = side / np.linalg.norm(side)
  toward = np.cross(along, side)
  toward = toward if toward @ ahead < 0 else -toward
  # Rows of the picture run across the stick to the right of its course in the canvas.
  facing = across * np.float32(side @ light.to) + bulge * np.float32(toward @ light.to)
  rise = across * np.float32(side[2]) + bulge * np.float32(toward[2])
  base = _stick_colors(rows, columns, u, rng) ** 2
  sky = light.sky.astype(np.float32) * (0.55 + 0.45 * rise)[..., None]
  glint = rng.uniform(0.02, 0.2) * np.clip(facing, 0, 1)[..., None] ** 20
  picture = tone(
    exposure
    * (
      base * (sky + light.sun.astype(np.float32) * np.clip(facing, 0, 1)[..., None])
      + light.sun.astype(np.float32) * glint
    )
  )
  soft = 3.0 / rows
  cover = np.clip((taper[None, :] - np.abs(v)) / soft + 0.5, 0, 1)
  return np.dstack([picture * cover[..., None], 255 * cover]).astype(np.float32)


def _stick_colors(rows: int, columns: int, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  if rng.random() < 0.75:
    base = hsv(rng, (0.055, 0.12), (0.2, 0.65), (0.4, 0.95))
  else:
    base = any_color(rng)
  grain = cv2.resize(rng.standard_normal((rows, 12), dtype=np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
  picture = base * (1 + 0.07 * grain[..., None])
  if rng.random() < 0.3:  # a nylon or painted tip
    picture = np.where((u < rng.uniform(0.05, 0.15))[..., None], any_color(rng), picture)
  if rng.random() < 0.3:  # a maker's mark
    start = rng.uniform(0.3, 0.6)
    picture = np.where(
      ((u > start) & (u < start + 0.1))[..., None] & (np.abs(grain) > 0.5)[..., None], 0.3 * base, picture
    )
  return np.clip(picture, 0.02, 1).astype(np.float32)
