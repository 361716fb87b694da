"""Textures of the struck surfaces: from a random generator to a relief [SIZE, SIZE] of about unit deviation."""

from collections.abc import Callable

import cv2
import numpy as np

from data_pipelines.builders.drumstick.materials import Look

SIZE = 384  # px of a texture's side


def surface_texture(look: Look, rng: np.random.Generator) -> np.ndarray:
  """Colours of a surface, float32 [SIZE, SIZE, 3] in [0, 255]."""
  base = np.array(look.colors[rng.integers(len(look.colors))], np.float32) * rng.uniform(0.8, 1.15)
  base = base + rng.normal(0, 8, 3).astype(np.float32)
  relief = TEXTURES[look.texture](rng)[..., None]
  tint = rng.normal(1, 0.08, 3).astype(np.float32)
  blotches = 0.05 * _smooth(rng, 4, 4)[..., None]
  picture = base * (1 + look.contrast * rng.uniform(0.7, 1.3) * relief * tint + blotches)
  return np.clip(picture, 0, 255).astype(np.float32)


def _smooth(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
  """Noise that varies over SIZE/rows by SIZE/columns px, unit deviation, float32 [SIZE, SIZE]."""
  coarse = rng.standard_normal((rows, columns)).astype(np.float32)
  fine = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
  return (fine - fine.mean()) / max(float(fine.std()), 1e-3)


def _grid() -> tuple[np.ndarray, np.ndarray]:
  line = np.linspace(0, 1, SIZE, dtype=np.float32)
  return line[None, :], line[:, None]


def _wood(rng: np.random.Generator) -> np.ndarray:
  """Grain along x, bent by slow noise, with darker joints between boards."""
  _, y = _grid()
  rings = np.sin(2 * np.pi * (rng.uniform(6, 16) * y + 0.5 * _smooth(rng, 5, 2)))
  boards = -1.6 * (np.abs((y * rng.integers(2, 5) + 0.3) % 1 - 0.5) > 0.485)
  return 0.6 * rings + 0.6 * _smooth(rng, 160, 6) + boards


def _brushed(rng: np.random.Generator) -> np.ndarray:
  return 0.8 * _smooth(rng, 256, 3) + 0.5 * _smooth(rng, 3, 3)


def _plain(rng: np.random.Generator) -> np.ndarray:
  return _smooth(rng, 3, 3) + 0.3 * _smooth(rng, 128, 128)


def _speckle(rng: np.random.Generator) -> np.ndarray:
  return 0.5 * _smooth(rng, 12, 12) + 0.45 * _smooth(rng, 48, 48) + 0.4 * _smooth(rng, 192, 192)


def _tiles(rng: np.random.Generator) -> np.ndarray:
  """A square grid of tiles with dark grout, each tile a little different."""
  x, y = _grid()
  count = int(rng.integers(4, 9))
  edge = 0.06
  grout = (np.minimum(x * count % 1, 1 - x * count % 1) < edge) | (np.minimum(y * count % 1, 1 - y * count % 1) < edge)
  shade = rng.standard_normal((count, count)).astype(np.float32)
  each = cv2.resize(shade, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
  return 0.5 * each - 4.0 * grout + 0.2 * _smooth(rng, 128, 128)


def _fuzz(rng: np.random.Generator) -> np.ndarray:
  return 0.8 * rng.standard_normal((SIZE, SIZE)).astype(np.float32) + 0.5 * _smooth(rng, 40, 40)


def _weave(rng: np.random.Generator) -> np.ndarray:
  """Folds and a fine checked weave."""
  x, y = _grid()
  threads = rng.uniform(45, 70)
  weave = np.sin(2 * np.pi * threads * x) * np.sin(2 * np.pi * threads * y)
  return 0.6 * weave + 0.8 * _smooth(rng, 5, 3)


def _leaves(rng: np.random.Generator) -> np.ndarray:
  """Overlapping leaves, each with its own shade and a lighter rib."""
  canvas = np.zeros((SIZE, SIZE), np.float32)
  for _ in range(420):
    centre = tuple(int(v) for v in rng.integers(0, SIZE, 2))
    length, angle = int(rng.uniform(12, 26)), float(rng.uniform(0, 360))
    shade = float(rng.normal())
    cv2.ellipse(canvas, centre, (length, length // 3), angle, 0, 360, shade, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, centre, (length, 1), angle, 0, 360, shade + 0.7, 1, cv2.LINE_AA)
  return canvas


def _gravel(rng: np.random.Generator) -> np.ndarray:
  """Round pebbles over dark gaps, lit from one side."""
  canvas = np.full((SIZE, SIZE), -1.6, np.float32)
  for _ in range(1500):
    x, y = (int(v) for v in rng.integers(0, SIZE, 2))
    radius, shade = int(rng.uniform(3, 9)), float(rng.normal(0, 0.7))
    cv2.circle(canvas, (x, y), radius, shade - 0.8, -1, cv2.LINE_AA)
    cv2.circle(canvas, (x - 1, y - 1), max(1, radius - 2), shade + 0.3, -1, cv2.LINE_AA)
  return canvas


def _lines(rng: np.random.Generator) -> np.ndarray:
  """A sheet with ruled or printed lines and faint creases."""
  _, y = _grid()
  ruled = -1.2 * ((y * rng.uniform(14, 30)) % 1 < 0.14) * (_smooth(rng, 3, 60) > rng.uniform(-3, 0.2))
  return ruled + 0.35 * _smooth(rng, 4, 4) + 0.15 * _smooth(rng, 96, 96)


def _ripples(rng: np.random.Generator) -> np.ndarray:
  x, y = _grid()
  bend = 0.5 * _smooth(rng, 5, 5)
  return np.sin(2 * np.pi * (rng.uniform(10, 18) * y + bend + rng.uniform(-3, 3) * x)) * 0.6 + 0.7 * _smooth(rng, 14, 6)


TEXTURES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
  "wood": _wood,
  "brushed": _brushed,
  "smooth": _plain,
  "speckle": _speckle,
  "tiles": _tiles,
  "fuzz": _fuzz,
  "weave": _weave,
  "leaves": _leaves,
  "gravel": _gravel,
  "lines": _lines,
  "ripples": _ripples,
}
