"""Random fields and colours that textures are made of. Fields are float32 [n, n]; `rng` decides all of them."""

import cv2
import numpy as np

Range = tuple[float, float]
_COMMON_HUES = ((-0.01, 0.15), (0.52, 0.68), (0.2, 0.5), (0.0, 1.0))  # warm, blue, green, any


def smooth(rng: np.random.Generator, n: int, rows: float, columns: float | None = None) -> np.ndarray:
  """Noise that varies over n/rows by n/columns texels, mean 0, deviation 1."""
  shape = (max(2, round(rows)), max(2, round(columns or rows)))
  coarse = rng.standard_normal(shape, dtype=np.float32)
  if min(shape) >= n:
    return coarse[:n, :n]
  fine = cv2.resize(coarse, (n, n), interpolation=cv2.INTER_CUBIC)
  return (fine - fine.mean()) / max(float(fine.std()), 1e-3)


def fractal(rng: np.random.Generator, n: int, cells: float, octaves: int = 4, gain: float = 0.55) -> np.ndarray:
  """Sum of octaves of `smooth`, deviation about 1."""
  total, weight = np.zeros((n, n), np.float32), 1.0
  for octave in range(octaves):
    if cells * 2**octave > n:
      break
    total += weight * smooth(rng, n, cells * 2**octave)
    weight *= gain
  return total * np.float32(np.sqrt(1 - gain**2))


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
  """x [1, n] and y [n, 1] from 0 to 1."""
  line = np.linspace(0, 1, n, dtype=np.float32)
  return line[None, :], line[:, None]


def warped_grid(rng: np.random.Generator, n: int, cells: float, size: float) -> tuple[np.ndarray, np.ndarray]:
  """`grid` [n, n] each, bent by smooth noise of deviation `size`."""
  x, y = grid(n)
  return x + np.float32(size) * smooth(rng, n, cells), y + np.float32(size) * smooth(rng, n, cells)


def cells(rng: np.random.Generator, n: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Voronoi cells of random seeds: label int32 [n, n], texels to the cell's edge [n, n], seeds [labels, 2] x, y."""
  seeds = np.full((n, n), 255, np.uint8)
  at = rng.integers(0, n, (max(2, count), 2))
  seeds[at[:, 1], at[:, 0]] = 0
  _, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
  inside = np.full((n, n), 255, np.uint8)
  inside[:, 1:][label[:, 1:] != label[:, :-1]] = 0
  inside[1:][label[1:] != label[:-1]] = 0
  places = np.zeros((int(label.max()) + 1, 2), np.float32)
  rows, columns = np.nonzero(seeds == 0)
  places[label[rows, columns]] = np.stack([columns, rows], axis=-1)
  return label, cv2.distanceTransform(inside, cv2.DIST_L2, 3), places


def facets(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
  """Tilted flat facets with sharp creases, as of crumpled foil; deviation 1."""
  label, _, places = cells(rng, n, count)
  tilt = rng.standard_normal((len(places), 2)).astype(np.float32)
  x, y = grid(n)
  bias = -(places * tilt).sum(axis=-1)
  field = tilt[label, 0] * (x * n) + tilt[label, 1] * (y * n) + bias[label]
  field = cv2.GaussianBlur(field, (0, 0), 1.2)
  return field / max(float(field.std()), 1e-3)


def hsv(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> np.ndarray:
  """One colour [3] RGB in 0..1; hue in turns, may run below 0 or above 1."""
  h, s, v = rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)
  k = (np.array([5, 3, 1]) + 6 * h) % 6
  return (v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)).astype(np.float32)


def dull(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> np.ndarray:
  """As `hsv`, but few are vivid, and of all hues warm ones are the most common, as around people."""
  if hue[1] - hue[0] >= 1:
    hue = _COMMON_HUES[rng.choice(len(_COMMON_HUES), p=(0.6, 0.18, 0.12, 0.1))]
  low, high = saturation
  saturation = low + (high - low) * rng.random() ** 2
  return hsv(rng, hue, (saturation, saturation), value)


def any_color(rng: np.random.Generator) -> np.ndarray:
  """A colour of made things, [3]."""
  return dull(rng, (0, 1), (0.0, 0.9), (0.1, 0.95))


def tinted(base: np.ndarray, field: np.ndarray, size: float) -> np.ndarray:
  """[n, n, 3]: `base` made lighter and darker by size * field."""
  return base * (1 + np.float32(size) * field[..., None])


def mixed(a: np.ndarray, b: np.ndarray, part: np.ndarray) -> np.ndarray:
  """Colours [n, n, 3]: `a` where part [n, n] is 0, `b` where it is 1."""
  return a + np.clip(part, 0, 1)[..., None].astype(np.float32) * (b - a)


def step(field: np.ndarray, edge: float, width: float) -> np.ndarray:
  """0 below `edge`, 1 above, over `width`."""
  return np.clip((field - np.float32(edge)) / np.float32(width) + 0.5, 0, 1)
