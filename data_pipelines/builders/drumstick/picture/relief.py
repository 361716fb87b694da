"""The world without the stick as a map seen from above: height, colour and finish of every spot of a square."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture.looks import BACKDROPS, Look, draw_look
from data_pipelines.builders.drumstick.picture.noise import facets, smooth
from data_pipelines.builders.drumstick.things import Thing

SIDE = 640  # texels
EXTENT = 1.28  # m; the origin is in the middle
TEXEL = EXTENT / SIDE
GROUND, THING, CLUTTER, WATER = range(4)
_PATCH = 320  # texels of a thing's own texture


@dataclasses.dataclass
class Relief:
  """Maps [SIDE, SIDE] of the square, row by row along y, columns along x.

  Attributes:
    height: m.
    albedo: [SIDE, SIDE, 3] sRGB 0..1.
    finish: [SIDE, SIDE, 3] gloss, rough, metal as in looks.Style.
    kind: uint8 GROUND, THING, CLUTTER or WATER.
  """

  height: np.ndarray
  albedo: np.ndarray
  finish: np.ndarray
  kind: np.ndarray


@dataclasses.dataclass(frozen=True)
class Patch:
  """A part of the maps about an object, with the texels' places in the object's own axes, m."""

  rows: slice
  columns: slice
  along: np.ndarray
  across: np.ndarray


def patch(centre: np.ndarray, heading: float, reach: float) -> Patch:
  """The texels within `reach` m of `centre` [2]."""
  low = np.clip(np.floor((centre - reach) / TEXEL + SIDE / 2).astype(int), 0, SIDE - 1)
  high = np.clip(np.ceil((centre + reach) / TEXEL + SIDE / 2).astype(int), low + 1, SIDE)
  x = ((np.arange(low[0], high[0]) + 0.5 - SIDE / 2) * TEXEL - centre[0]).astype(np.float32)[None, :]
  y = ((np.arange(low[1], high[1]) + 0.5 - SIDE / 2) * TEXEL - centre[1]).astype(np.float32)[:, None]
  c, s = np.float32(np.cos(heading)), np.float32(np.sin(heading))
  return Patch(slice(low[1], high[1]), slice(low[0], high[0]), x * c + y * s, y * c - x * s)


def stamp(
  relief: Relief, at: Patch, look: Look, height: np.ndarray, mask: np.ndarray, extent: float, kind: int
) -> None:
  """Puts an object on the maps: its height and edge mask 0..1 [h, w] in the patch, its look spread over `extent` m."""
  n = look.albedo.shape[0]
  u, v = ((a / np.float32(extent) + np.float32(0.5)) * np.float32(n) - np.float32(0.5) for a in (at.along, at.across))
  albedo = cv2.remap(look.albedo, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
  bumps = cv2.remap(look.relief, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
  where = (at.rows, at.columns)
  part = mask[..., None].astype(np.float32)
  if look.clear:
    albedo = (
      look.clear * _seen_through(relief.albedo[where], bumps, height) * (0.6 + 0.4 * albedo) + (1 - look.clear) * albedo
    )
  relief.albedo[where] += part * (albedo - relief.albedo[where])
  inside = mask > 0.5
  # Texels at the edge stand part of the way up, so that edges are straight.
  relief.height[where] += cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8) * (
    height + bumps - relief.height[where]
  )
  relief.finish[where] += part * (np.array([look.gloss, look.rough, look.metal], np.float32) - relief.finish[where])
  relief.kind[where][inside] = kind


def _seen_through(below: np.ndarray, bumps: np.ndarray, height: np.ndarray) -> np.ndarray:
  """Colours of what lies below, shifted by the slope of a clear thing's top and dark or bright at its edges."""
  rows, columns = height.shape
  slope_y, slope_x = np.gradient(cv2.GaussianBlur((height + bumps).astype(np.float32), (0, 0), 2), np.float32(TEXEL))
  x = np.arange(columns, dtype=np.float32)[None] - np.clip(8 * slope_x, -14, 14)
  y = np.arange(rows, dtype=np.float32)[:, None] - np.clip(8 * slope_y, -14, 14)
  # A clear edge gathers light from one side and is dark on the other.
  edge = 1 + np.float32(0.6) * np.clip(0.8 * slope_x + 0.6 * slope_y, -1, 1)
  return edge[..., None] * cv2.remap(
    below, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
  )


def box(at: Patch, half: tuple[float, float], corner: float, bevel: float) -> tuple[np.ndarray, np.ndarray]:
  """Mask 0..1 and fall below the top, m, of a box with rounded corners in plan and a rounded upper edge."""
  qx, qy = np.abs(at.along) - np.float32(half[0] - corner), np.abs(at.across) - np.float32(half[1] - corner)
  outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - np.float32(corner)
  near = np.clip(1 + outside / np.float32(bevel), 0, 1)
  return np.clip(0.5 - outside / np.float32(TEXEL), 0, 1), np.float32(bevel) * (1 - np.sqrt(1 - near**2))


def draw_relief(thing: Thing, rng: np.random.Generator) -> Relief:
  """The floor and, unless it is the floor itself, the thing on it."""
  ground = thing.shape == "ground"
  name = thing.material if ground else str(rng.choice(BACKDROPS))
  look = draw_look(name, rng, SIDE, EXTENT)
  relief = Relief(
    height=look.relief - np.float32(np.percentile(look.relief[::8, ::8], 85) + thing.height),
    albedo=look.albedo,
    finish=np.empty((SIDE, SIDE, 3), np.float32),
    kind=np.full((SIDE, SIDE), THING if ground else GROUND, np.uint8),
  )
  relief.finish[:] = (look.gloss, look.rough, look.metal)
  if ground and thing.material == "water":
    _shore(relief, rng)
  if not ground:
    _put_thing(relief, thing, rng)
  return relief


def _shore(relief: Relief, rng: np.random.Generator) -> None:
  """A puddle or pond: water about the middle, often with a bank of something else further out."""
  relief.kind[:] = WATER
  if rng.random() < 0.35:
    return
  look = draw_look(str(rng.choice(("dirt", "rock", "gravel", "grass", "tile", "carpet"))), rng, SIDE, EXTENT)
  at = patch(np.zeros(2), 0, EXTENT)
  radius = np.hypot(at.along, at.across) * (1 + 0.13 * smooth(rng, SIDE, 5) + 0.03 * smooth(rng, SIDE, 20))
  rise = np.clip((radius - np.float32(rng.uniform(0.34, 0.6))) * 0.3, -1, 0.05)
  stamp(relief, at, look, rise, np.clip(rise * 300, 0, 1), EXTENT, GROUND)


def _put_thing(relief: Relief, thing: Thing, rng: np.random.Generator) -> None:
  look = draw_look(thing.material, rng, _PATCH, max(thing.length, thing.width) * 1.1)
  at = patch(np.zeros(2), thing.heading, max(thing.length, thing.width) * 0.72 + 0.02)
  if thing.shape == "heap" and thing.material in ("paper", "plastic-bag", "cloth"):
    look.relief[:] *= 1.8
  if thing.shape == "heap" and thing.material == "paper":  # crumpled
    crumple = facets(rng, _PATCH, int(rng.uniform(25, 60))) + 0.7 * facets(rng, _PATCH, int(rng.uniform(90, 220)))
    look.relief[:] += np.float32(rng.uniform(0.004, 0.01)) * crumple
  if thing.shape == "basin":
    _basin(relief, at, look, thing, rng)
    return
  mask, height = _FORMS[thing.shape](at, thing, rng)
  stamp(relief, at, look, height, mask, max(thing.length, thing.width) * 1.1, THING)


def _slab(at: Patch, thing: Thing, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Mask and height of plates, bars and blocks."""
  half = (thing.length / 2, thing.width / 2)
  corner = min(half) * (0.98 if thing.shape == "plate" and rng.random() < 0.25 else rng.uniform(0.03, 0.35))
  bevel = min(0.45 * min(half), max(0.002, thing.height * rng.uniform(0.1, 0.7)), 0.03)
  if thing.material == "rock":
    return _boulder(at, half, thing.height, rng)
  mask, fall = box(at, half, corner, bevel)
  if thing.shape == "bar" and rng.random() < 0.5:
    fall = half[1] * (1 - np.sqrt(np.clip(1 - (at.across / half[1]) ** 2, 0, 1))) * min(1, thing.height / half[1])
  return mask, -fall


def _boulder(
  at: Patch, half: tuple[float, float], height: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  wobble = 0.08 * np.sin(3 * np.arctan2(at.across, at.along) + rng.uniform(0, 6)) + 0.05 * np.sin(
    5 * np.arctan2(at.across, at.along) + rng.uniform(0, 6)
  )
  radius = (np.abs(at.along / half[0]) ** 2.6 + np.abs(at.across / half[1]) ** 2.6) ** (1 / 2.6) * (1 + wobble)
  fall = height * (1 - np.sqrt(1 - 0.98 * np.clip(radius, 0, 1) ** rng.uniform(5, 8)))
  return np.clip((1 - radius) * half[1] / TEXEL + 0.5, 0, 1), -fall


def _dome(at: Patch, thing: Thing, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Mask and height of an upturned bowl, often with a foot ring beyond where it is struck."""
  square = (at.along * (2 / thing.length)) ** 2 + (at.across * (2 / thing.width)) ** 2
  height = -thing.height * (1 - np.sqrt(np.maximum(0, 1 - square)))
  if rng.random() < 0.5:
    ring = np.abs(np.sqrt(square) - rng.uniform(0.42, 0.55))
    height = height + rng.uniform(0.001, 0.005) * np.clip(1.5 - ring * thing.length / 2 / 0.002, 0, 1)
  return np.clip((1 - np.sqrt(square)) * thing.width / 2 / TEXEL + 0.5, 0, 1), height.astype(np.float32)


def _heap(at: Patch, thing: Thing, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Mask and height of a mound with an uneven outline."""
  angle = np.arctan2(at.across, at.along)
  wobble = sum(rng.normal(0, 0.06) * np.sin(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4, 5, 7))
  square = ((at.along * (2 / thing.length)) ** 2 + (at.across * (2 / thing.width)) ** 2) * (1 + wobble) ** 2
  fall = 1 - np.maximum(0, 1 - square) ** 1.5
  return np.clip((1 - np.sqrt(square)) * thing.width / 2 / TEXEL + 0.5, 0, 1), (-thing.height * fall).astype(np.float32)


def _sheet(at: Patch, thing: Thing, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Mask and height of something flat and soft; cloth and bags have bent edges, all may curl."""
  bent = {"cloth": 0.02, "plastic-bag": 0.025, "carpet": 0.004}.get(thing.material, 0.001)
  phase = rng.uniform(0, 6, 4)
  shift = np.sin(9 * at.across / thing.width + phase[0]) + 0.6 * np.sin(17 * at.across / thing.width + phase[1])
  other = np.sin(8 * at.along / thing.length + phase[2]) + 0.6 * np.sin(19 * at.along / thing.length + phase[3])
  warped = Patch(at.rows, at.columns, at.along + np.float32(bent) * shift, at.across + np.float32(bent) * other)
  mask, _ = box(warped, (thing.length / 2, thing.width / 2), 0.01, 0.01)
  far = np.maximum(np.abs(warped.along) * (2 / thing.length), np.abs(warped.across) * (2 / thing.width))
  edge = thing.height * (rng.uniform(0.0, 0.4) if thing.material == "carpet" else rng.uniform(0.7, 0.95))
  return mask, (-(np.clip((far - 0.6) / 0.4, 0, 1) ** 2) * edge).astype(np.float32)


def _basin(relief: Relief, at: Patch, wet: Look, thing: Thing, rng: np.random.Generator) -> None:
  """A vessel of some stuff, and water up to its rim."""
  half, extent = np.array([thing.length, thing.width]) / 2, thing.length * 1.1
  round_part, rim = 0.99 if rng.random() < 0.4 else rng.uniform(0.1, 0.4), rng.uniform(0.006, 0.02)
  look = draw_look(str(rng.choice(("plastic", "ceramic", "metal", "glass", "wood"))), rng, 128, extent)
  mask, fall = box(at, tuple(half), min(half) * round_part, 0.006)
  stamp(relief, at, look, 0.004 - fall, mask, extent, THING)
  inner, _ = box(at, tuple(half - rim), min(half - rim) * round_part, 0.006)
  stamp(relief, at, wet, np.zeros_like(inner), inner, extent, WATER)


_FORMS = {
  "plate": _slab,
  "bar": _slab,
  "block": _slab,
  "bowl": _dome,
  "sheet": _sheet,
  "heap": _heap,
}
