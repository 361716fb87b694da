"""Other things on the floor, of any look, that never stand before a contact or in the stick's way."""

import dataclasses

import numpy as np

from data_pipelines.builders.drumstick.picture import relief as maps
from data_pipelines.builders.drumstick.picture.camera import Camera
from data_pipelines.builders.drumstick.picture.looks import draw_look
from data_pipelines.builders.drumstick.things import Thing

_STUFF = (
  "wood",
  "metal",
  "plastic",
  "plastic",
  "ceramic",
  "paper",
  "paper",
  "cloth",
  "rock",
  "plastic-bag",
  "leaf",
  "glass",
)
_TRIES = 12


@dataclasses.dataclass(frozen=True)
class Item:
  """An object: middle [2], half sides, height and heading, m and rad; round ones are domes or discs."""

  centre: np.ndarray
  half: tuple[float, float]
  height: float
  heading: float
  form: str

  @property
  def reach(self) -> float:
    return float(np.hypot(*self.half))


def add_clutter(
  relief: maps.Relief, thing: Thing, camera: Camera, keep: np.ndarray, rng: np.random.Generator
) -> list[Item]:
  """Puts a few things on the maps, in place. `keep` [K, 3]: points that must stay free and in sight."""
  items = []
  for _ in range(int(rng.choice([0, 1, 2, 3, 4, 6], p=[0.15, 0.2, 0.2, 0.2, 0.15, 0.1]))):
    for _ in range(_TRIES):
      item = _draw_item(rng)
      if _is_free(item, thing, camera, keep) and all(_apart(item, other) for other in items):
        items.append(item)
        _put(relief, item, rng)
        break
  return items


def _draw_item(rng: np.random.Generator) -> Item:
  form = str(rng.choice(["box", "box", "dome", "disc", "sheet", "rod", "rod"]))
  size = np.exp(rng.uniform(np.log(0.02), np.log(0.13)))
  half, height = (size, size * rng.uniform(0.4, 1)), rng.uniform(0.005, 0.1)
  if form in ("dome", "disc"):
    half = (min(size, 0.08),) * 2
  if form == "sheet":
    half, height = (rng.uniform(0.06, 0.15), rng.uniform(0.04, 0.12)), 0.002
  if form == "rod":
    thick = rng.uniform(0.003, 0.009)
    half, height = (rng.uniform(0.04, 0.35), thick), 2 * thick
  return Item(rng.uniform(-0.6, 0.6, 2), half, height, rng.uniform(0, np.pi), form)


def _apart(a: Item, b: Item) -> bool:
  return bool(np.hypot(*(a.centre - b.centre)) > 0.7 * (a.reach + b.reach))


def _is_free(item: Item, thing: Thing, camera: Camera, keep: np.ndarray) -> bool:
  """Whether the item stands clear of the thing and of every line of sight to `keep`."""
  if thing.shape not in ("ground", "heap", "sheet") and _overlaps(item, thing):
    return False
  points = keep[:, None] + np.linspace(0, 0.9, 30)[None, :, None] * (camera.position - keep)[:, None]
  near = np.hypot(*np.moveaxis(points[..., :2] - item.centre, -1, 0)) < item.reach + 0.02
  top = -thing.height + item.height + (thing.height if thing.shape in ("heap", "sheet") else 0)
  return not np.any(near & (points[..., 2] < top + 0.02))


def _overlaps(item: Item, thing: Thing) -> bool:
  off = np.abs(thing.local(item.centre)) - np.array([thing.length, thing.width]) / 2
  return bool(np.all(off < item.reach + 0.01))


def _put(relief: maps.Relief, item: Item, rng: np.random.Generator) -> None:
  at = maps.patch(item.centre, item.heading, item.reach + 0.01)
  where = (at.rows, at.columns)
  base = float(np.median(relief.height[where]))
  extent = 2 * max(item.half) * rng.uniform(1.05, 2)
  look = draw_look("paper" if item.form == "sheet" else str(rng.choice(_STUFF)), rng, 96, extent)
  if item.form == "dome":
    square = (at.along**2 + at.across**2) / item.half[0] ** 2
    mask, rise = np.clip((1 - square) * 20, 0, 1), item.height * np.sqrt(np.maximum(0, 1 - square))
  else:
    corner = min(item.half) * (0.99 if item.form in ("disc", "rod") else rng.uniform(0.05, 0.4))
    mask, fall = maps.box(at, item.half, corner, min(0.8 * min(item.half), max(item.height, 0.002) * 0.5))
    rise = item.height - fall
  if item.form == "sheet":
    rise = rise + relief.height[where] - base
  maps.stamp(relief, at, look, (base + rise).astype(np.float32), mask, extent, maps.CLUTTER)
