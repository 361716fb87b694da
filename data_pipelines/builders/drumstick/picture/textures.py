"""Patterns of surfaces. Each takes (rng, n, extent m, colour [3]) and gives colours [n, n, 3] in 0..1 and a relief
[n, n] of about unit deviation or range; `extent` is the side of the patch, so that boards and stones keep their size.
"""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture import noise
from data_pipelines.builders.drumstick.picture.noise import (
  facets,
  fractal,
  grid,
  hsv,
  mixed,
  smooth,
  step,
  tinted,
)

Pattern = tuple[np.ndarray, np.ndarray]


def plain(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """An even coat with faint stains, now and then with scuffs."""
  field = 0.6 * smooth(rng, n, 3) + 0.4 * smooth(rng, n, n // 3)
  albedo = tinted(color, field, rng.uniform(0.01, 0.06))
  if rng.random() < 0.5:
    albedo = mixed(albedo, color * rng.uniform(0.5, 1.2), 0.5 * scratches(rng, n, rng.integers(4, 40)))
  return albedo, 0.5 * smooth(rng, n, n // 4) + smooth(rng, n, 5)


def scratches(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
  """Thin random strokes, 0 to 1."""
  canvas = np.zeros((n, n), np.uint8)
  start, bearing = rng.uniform(0, n, (count, 2)), rng.normal(rng.uniform(0, 6), 0.5, count)
  end = start + (rng.uniform(0.03, 0.3, count) * n)[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
  for a, b, shade in zip(
    start.astype(int).tolist(), end.astype(int).tolist(), rng.integers(60, 256, count), strict=True
  ):
    cv2.line(canvas, a, b, int(shade), 1, cv2.LINE_AA)
  return canvas.astype(np.float32) / 255


def wood(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Growth rings cut lengthways, pores, and joints between boards of different shades."""
  _, y = grid(n)
  board = rng.uniform(0.05, 0.22) if rng.random() < 0.6 else 3.0
  row = np.floor(y * extent / board + rng.random()).astype(int)
  count = int(row.max()) + 1
  bend = smooth(rng, n, 5, 1.5) + 0.25 * smooth(rng, n, 30, 3)
  offset = rng.uniform(0, 9, count)[row].astype(np.float32)
  rings = np.sin(2 * np.pi * (extent * rng.uniform(15, 60) * y + rng.uniform(0.4, 1.2) * bend + offset))
  pores = smooth(rng, n, n // 2, 8)
  shade = rng.normal(0, rng.uniform(0.02, 0.12), count)[row].astype(np.float32)
  field = rng.uniform(0.04, 0.2) * rings + rng.uniform(0.02, 0.09) * pores + shade + 0.04 * bend
  edge = y * extent / board - np.floor(y * extent / board)
  joint = (np.minimum(edge, 1 - edge) * board < 0.002) & (board < 1)
  albedo = tinted(color, field, 1.0) * np.where(joint, np.float32(0.45), np.float32(1))[..., None]
  return albedo, 0.3 * pores + 0.3 * rings - 3 * joint + np.zeros((n, n), np.float32)


def brushed(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Metal drawn along x, a little dented and stained."""
  lines = smooth(rng, n, n // 2, 4)
  stain = np.clip(fractal(rng, n, 4), 0, 2)
  albedo = tinted(color, rng.uniform(0.01, 0.08) * lines - rng.uniform(0, 0.1) * stain, 1.0)
  dents = np.minimum(0, smooth(rng, n, rng.integers(4, 12)) + 0.8)
  return albedo, 0.05 * lines + rng.uniform(0, 3) * dents + rng.uniform(0.5, 3) * smooth(rng, n, 3)


def rusty(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Paint or bare metal with patches of rust."""
  field = fractal(rng, n, rng.uniform(3, 9), 5, 0.65)
  rust = tinted(hsv(rng, (0.02, 0.09), (0.45, 0.9), (0.2, 0.55)), fractal(rng, n, 24, 3), 0.3)
  part = step(field, rng.uniform(-0.3, 1.3), 0.25)
  return mixed(tinted(color, smooth(rng, n, 6), 0.04), rust, part), 0.6 * part * fractal(rng, n, 40, 2)


def glaze(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Glazed ware: plain, speckled, with rings, or with painted sprigs."""
  x, y = grid(n)
  albedo = tinted(color, smooth(rng, n, 3), 0.03)
  second = noise.any_color(rng)
  kind = rng.integers(4)
  if kind == 1:
    albedo = mixed(albedo, second * 0.6, 0.8 * step(smooth(rng, n, n // 4), rng.uniform(1.6, 2.4), 0.4))
  if kind == 2:
    radius = np.hypot(x - 0.5, y - 0.5) * rng.uniform(6, 22)
    albedo = mixed(albedo, second, step(np.sin(2 * np.pi * radius), rng.uniform(0.2, 0.9), 0.3))
  if kind == 3:
    albedo = mixed(albedo, second, _sprigs(rng, n, int(rng.integers(6, 40))))
  return albedo, 0.6 * smooth(rng, n, 5)


def _sprigs(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
  """Flowers or dots of several petals, 0 to 1."""
  canvas = np.zeros((n, n), np.uint8)
  petals, size = int(rng.integers(1, 7)), rng.uniform(0.012, 0.04) * n
  for centre in rng.uniform(0, n, (count, 2)):
    for angle in np.arange(petals) * 2 * np.pi / petals + rng.uniform(0, 6):
      at = centre + size * (petals > 1) * np.array([np.cos(angle), np.sin(angle)])
      axes = (max(1, int(size * 0.9)), max(1, int(size * 0.45)))
      cv2.ellipse(canvas, at.astype(int).tolist(), axes, float(np.degrees(angle)), 0, 360, 255, -1, cv2.LINE_AA)
  return canvas.astype(np.float32) / 255


def carpet(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Pile of tufts, flecked, banded or with figures."""
  x, y = noise.warped_grid(rng, n, 8, 0.002)
  tufts = smooth(rng, n, min(n, extent * rng.uniform(160, 320))) + 0.6 * rng.standard_normal((n, n), dtype=np.float32)
  second = np.clip(color * rng.uniform(0.4, 1.6) + rng.normal(0, 0.08, 3), 0.02, 1).astype(np.float32)
  kind = rng.integers(4)
  part = 0.6 * step(smooth(rng, n, min(n, extent * 120)), 0.3, 0.5)
  if kind == 1:
    part = step(np.sin(2 * np.pi * extent * rng.uniform(4, 18) * (x + rng.integers(0, 2) * y)), 0, 0.3)
  if kind == 2:
    part = step(np.sin(2 * np.pi * extent * 6 * x) * np.sin(2 * np.pi * extent * 6 * y), rng.uniform(-0.3, 0.6), 0.2)
  if kind == 3:
    part = _sprigs(rng, n, int(60 * extent))
  albedo = mixed(np.broadcast_to(color, (n, n, 3)), second, part)
  return albedo * (1 + rng.uniform(0.08, 0.25) * tufts + 0.08 * smooth(rng, n, 4))[..., None], tufts


def cloth(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Woven stuff in soft folds: plain, striped, checked, dotted."""
  x, y = noise.warped_grid(rng, n, 4, 0.012)
  second = noise.any_color(rng)
  kind, rate = rng.integers(5), extent * rng.uniform(8, 60)
  across, along = np.sin(2 * np.pi * rate * x), np.sin(2 * np.pi * rate * y)
  edge = rng.uniform(-0.5, 0.8)
  part = {
    0: np.zeros((n, n), np.float32),
    1: step(across, edge, 0.3),
    2: 0.5 * step(across, edge, 0.3) + 0.5 * step(along, edge, 0.3),
    3: step(across * along, 0.2 + 0.3 * edge, 0.3),
    4: _sprigs(rng, n, int(120 * extent)),
  }[int(kind)]
  albedo = mixed(tinted(color, smooth(rng, n, n // 2), 0.05), second, part)
  return albedo, _folds(rng, n, extent)


def _folds(rng: np.random.Generator, n: int, extent: float) -> np.ndarray:
  """Ridges with round backs in about one direction, range about 1."""
  x, y = noise.warped_grid(rng, n, 3, rng.uniform(0.03, 0.15))
  angle = rng.uniform(0, np.pi)
  phase = extent * rng.uniform(5, 14) * (np.cos(angle) * x + np.sin(angle) * y)
  ridges = 1 - np.abs(np.sin(np.pi * phase)).astype(np.float32) ** 0.7
  return ridges * np.clip(0.4 + 0.6 * smooth(rng, n, 4), 0, 1.5) + 0.25 * smooth(rng, n, 7)


def wall(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Painted or bare board: orange peel or roller marks, scuffs, seams, screw heads."""
  peel = fractal(rng, n, n / rng.uniform(3, 9), 2)
  albedo = tinted(color, 0.012 * peel + rng.uniform(0.005, 0.04) * fractal(rng, n, 3), 1.0)
  if rng.random() < 0.4:
    albedo = albedo * (1 - 0.35 * scratches(rng, n, int(rng.integers(2, 14))))[..., None]
  if rng.random() < 0.35:
    x, y = grid(n)
    seam = np.abs(x - rng.uniform(0.1, 0.9)) * extent < rng.uniform(0.001, 0.02)
    albedo = mixed(albedo, color * rng.uniform(0.7, 1.15), seam * np.ones_like(y))
  return albedo, peel


def paper(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """A page: blank, ruled, with lines of print or a picture; flat or crumpled."""
  x, y = grid(n)
  albedo = tinted(color, smooth(rng, n, 4), 0.02)
  ink, kind = hsv(rng, (0, 1), (0, 0.8), (0.05, 0.5)), rng.integers(4)
  rows = extent * rng.uniform(50, 130)
  page = (np.abs(x - 0.5) < rng.uniform(0.3, 0.46)) & (np.abs(y - 0.5) < rng.uniform(0.3, 0.46))
  if kind == 1:
    albedo = mixed(albedo, ink, 0.5 * page * ((y * rows) % 1 < 0.12))
  if kind >= 2:
    words = smooth(rng, n, rows, rows * 2.5) > rng.uniform(-0.6, 0.2)
    albedo = mixed(albedo, ink, 0.8 * page * words * ((y * rows) % 1 < 0.5))
  if kind == 3:
    box = (np.abs(x - rng.uniform(0.3, 0.7)) < rng.uniform(0.08, 0.25)) & (np.abs(y - rng.uniform(0.3, 0.7)) < 0.15)
    albedo = mixed(albedo, tinted(noise.any_color(rng), fractal(rng, n, 5), 0.4), box * np.float32(1))
  crumple = facets(rng, n, int(rng.uniform(12, 60))) + 0.5 * facets(rng, n, int(rng.uniform(80, 250)))
  return albedo, rng.beta(0.6, 1.2) * crumple + 0.3 * smooth(rng, n, 2.5)


def moulded(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Plastic: even colour, with ribs, a label or grain."""
  x, y = grid(n)
  albedo, relief = plain(rng, n, extent, color)
  relief = 0.2 * relief
  kind = rng.integers(4)
  if kind == 1:
    relief = relief + (np.sin(2 * np.pi * extent * rng.uniform(40, 120) * x) > rng.uniform(-0.5, 0.7)) * np.float32(1)
  if kind == 2:
    box = (np.abs(x - rng.uniform(0.35, 0.65)) < rng.uniform(0.05, 0.22)) & (np.abs(y - 0.5) < rng.uniform(0.05, 0.2))
    label, _ = paper(rng, n, extent, noise.any_color(rng))
    albedo = np.where(box[..., None], label, albedo)
  if kind == 3:
    relief = relief + 0.4 * smooth(rng, n, n // 3)
  return albedo, relief


def bag(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Thin crinkled film, sometimes printed."""
  albedo = np.broadcast_to(color, (n, n, 3)).astype(np.float32)
  if rng.random() < 0.5:
    x, y = noise.warped_grid(rng, n, 6, 0.03)
    mark = (np.abs(x - 0.5) < rng.uniform(0.1, 0.4)) & (
      np.abs((y * rng.uniform(1, 4)) % 1 - 0.5) < rng.uniform(0.1, 0.3)
    )
    albedo = mixed(albedo, noise.any_color(rng), 0.85 * cv2.GaussianBlur(mark.astype(np.float32), (0, 0), 1))
  crinkle = facets(rng, n, 40) + 0.7 * facets(rng, n, 160) + 0.5 * facets(rng, n, 600)
  return tinted(np.float32(1), smooth(rng, n, 6), 0.06) * albedo, 0.7 * crinkle + 0.4 * smooth(rng, n, 4)


def tiles(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Tiles in straight or broken courses with grout, plain, mottled, chequered or figured."""
  x, y = grid(n)
  size = np.exp(rng.uniform(np.log(0.03), np.log(0.4)))
  aspect, bond = rng.choice([1.0, 1.0, 2.0, 3.0]), rng.choice([0.0, 0.0, 0.5])
  v = y * extent / size + rng.random()
  row = np.floor(v).astype(int)
  u = x * extent / size / aspect + bond * (row % 2) + rng.random()
  column = np.floor(u).astype(int)
  half = rng.uniform(0.0008, 0.004) / size
  gap = np.minimum(np.minimum(v % 1, 1 - v % 1), aspect * np.minimum(u % 1, 1 - u % 1))
  inside = step(gap, half, half)
  own = rng.normal(0, rng.uniform(0.0, 0.1), (64, 64)).astype(np.float32)[row % 64, column % 64]
  albedo = tinted(color, own + rng.uniform(0, 0.12) * fractal(rng, n, 8) + 0.01 * smooth(rng, n, n // 2), 1.0)
  if rng.random() < 0.3:
    chequer = (
      (row + column) % 2 if rng.random() < 0.6 else step(np.sin(2 * np.pi * u) * np.sin(2 * np.pi * v), 0.3, 0.1)
    )
    albedo = mixed(albedo, noise.any_color(rng), chequer)
  grout = tinted(hsv(rng, (0, 0.2), (0, 0.2), (0.15, 0.9)), smooth(rng, n, n // 3), 0.08)
  return mixed(grout, albedo, inside), inside * np.float32(1)
