"""Patterns of what lies outdoors: earth, grass, stones, leaves, rock, water. As in `textures`."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture import noise
from data_pipelines.builders.drumstick.picture.noise import cells, fractal, hsv, mixed, smooth, step, tinted
from data_pipelines.builders.drumstick.picture.textures import Pattern, plain, scratches, tiles


def soil(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Earth or sand: crumbs, pebbles, bits of straw."""
  rough = fractal(rng, n, 14 * extent, 6, rng.uniform(0.7, 0.95))
  label, edge, _ = cells(rng, n, int(rng.uniform(1500, 6000) * extent**2))
  crumb = np.minimum(edge, 4) * (rng.random(int(label.max()) + 1) < rng.uniform(0.1, 0.7))[label]
  albedo = tinted(color, rng.uniform(0.1, 0.25) * rough + 0.05 * crumb - 0.1, 1.0)
  pebble = hsv(rng, (0.0, 0.15), (0, 0.25), (0.3, 0.7))
  albedo = mixed(
    albedo, pebble, 0.8 * (rng.random(int(label.max()) + 1) < rng.uniform(0, 0.06))[label] * step(edge, 1, 1)
  )
  straw = scratches(rng, n, int(rng.uniform(0, 90) * extent))
  return mixed(albedo, hsv(rng, (0.08, 0.14), (0.2, 0.5), (0.4, 0.8)), straw), 0.7 * rough + 0.35 * crumb


def grass(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Blades drawn from low to high, green to straw, over earth."""
  albedo, _ = soil(rng, n, extent, hsv(rng, (0.05, 0.2), (0.2, 0.6), (0.1, 0.3)))
  relief = np.zeros((n, n), np.float32)
  dry = hsv(rng, (0.09, 0.16), (0.2, 0.6), (0.4, 0.8))
  count = int(rng.uniform(4500, 10000) * extent**2)
  length, width = rng.uniform(0.03, 0.1) / extent * n, max(1, round(rng.uniform(0.002, 0.006) / extent * n))
  lean, dryness = rng.uniform(0, 2 * np.pi), rng.beta(0.8, 2.5)
  root = rng.uniform(-0.02, 1.02, (count, 2)) * n
  bearing = lean + rng.normal(0, rng.uniform(0.5, 2.5), count)
  reach = length * rng.uniform(0.4, 1.2, (count, 1))
  tip = root + reach * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
  blade = color + (rng.random((count, 1)) < dryness) * rng.uniform(0.4, 1, (count, 1)) * (dry - color)
  height = np.sort(rng.random(count))
  shade = (0.45 + 0.65 * height)[:, None] * rng.normal(1, 0.14, (count, 1))
  for a, b, c, h in zip(
    root.astype(int).tolist(), tip.astype(int).tolist(), (blade * shade).tolist(), height, strict=True
  ):
    cv2.line(albedo, a, b, c, width, cv2.LINE_AA)
    cv2.line(relief, a, b, float(h), width)
  return albedo, cv2.GaussianBlur(relief, (0, 0), 1.3)


def gravel(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Stones of one size over smaller ones, each of its own shade."""
  size = np.exp(rng.uniform(np.log(0.008), np.log(0.035)))
  albedo, relief = _stones(rng, n, extent, color, size * 0.55)
  upper, high = _stones(rng, n, extent, color, size)
  top = high > rng.uniform(0.35, 0.6)
  return np.where(top[..., None], upper, albedo * 0.85), np.where(top, 0.3 + high, 0.6 * relief).astype(np.float32)


def _stones(rng: np.random.Generator, n: int, extent: float, color: np.ndarray, size: float) -> Pattern:
  label, edge, _ = cells(rng, n, int((extent / size) ** 2))
  count = int(label.max()) + 1
  shade = np.clip(rng.normal(1, rng.uniform(0.1, 0.3), (count, 1)), 0.3, 1.8)
  each = (color * shade + rng.normal(0, rng.uniform(0.005, 0.04), (count, 3))).astype(np.float32)
  dome = np.clip(edge / (0.42 * size / extent * n), 0, 1) * rng.uniform(0.5, 1, count).astype(np.float32)[label]
  albedo = (
    each[label] * (0.35 + 0.65 * np.minimum(1, edge / 2))[..., None] * (1 + 0.07 * smooth(rng, n, n // 3))[..., None]
  )
  return albedo, np.sqrt(dome)


def leaves(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Fallen or plucked leaves over each other, with ribs and curled edges."""
  albedo, _ = soil(rng, n, extent, hsv(rng, (0.03, 0.3), (0.2, 0.6), (0.08, 0.25)))
  relief = np.zeros((n, n), np.float32)
  size = rng.uniform(0.03, 0.09) / extent * n
  count = int(np.clip(rng.uniform(1.5, 4) * (n / size) ** 2, 80, 1100))
  slim, points = rng.uniform(0.25, 0.6), int(rng.choice([1, 1, 3, 5]))
  spread = rng.uniform(0.01, 0.05)
  for k in range(count):
    centre, angle, length = rng.uniform(0, n, 2), rng.uniform(0, 2 * np.pi), size * rng.uniform(0.6, 1.2)
    outline = _leaf(length, slim, points, rng) @ _turn(angle) + centre
    shade = np.clip(color * rng.normal(1, 0.2) + rng.normal(0, spread, 3), 0.02, 1)
    high = (k + rng.uniform(0, 200)) / count
    shape = np.round(outline * 8).astype(np.int32)
    cv2.fillPoly(albedo, [shape + 12], (0.3 * shade).tolist(), cv2.LINE_AA, 3)
    cv2.fillPoly(albedo, [shape], shade.tolist(), cv2.LINE_AA, 3)
    cv2.fillPoly(relief, [shape], high, shift=3)
    a, b = centre - length / 2 * _turn(angle)[0], centre + length / 2 * _turn(angle)[0]
    cv2.line(
      albedo, a.astype(int).tolist(), b.astype(int).tolist(), np.clip(shade * 1.35, 0, 1).tolist(), 1, cv2.LINE_AA
    )
  return albedo, cv2.GaussianBlur(relief, (0, 0), 1.0) + 0.15 * smooth(rng, n, 40)


def _turn(angle: float) -> np.ndarray:
  return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _leaf(length: float, slim: float, points: int, rng: np.random.Generator) -> np.ndarray:
  """Outline [K, 2] about 0 with its tip along x."""
  t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
  lobes = 1 + (0.35 * np.cos(points * t) if points > 1 else 0)
  return np.stack(
    [length / 2 * np.cos(t) * lobes, length / 2 * slim * np.sin(t) * lobes * (1 + 0.3 * np.cos(t))], axis=-1
  )


def stone(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """Rock or concrete: grain of several sizes, veins, cracks, lichen."""
  rough = fractal(rng, n, rng.uniform(4, 12), 6, rng.uniform(0.6, 0.9))
  grain = smooth(rng, n, n // 2)
  x, y = noise.warped_grid(rng, n, 4, 0.05)
  strata = np.sin(2 * np.pi * (rng.uniform(2, 9) * x + rng.uniform(2, 9) * y) + rough) * (rng.random() < 0.4)
  albedo = tinted(color, rng.uniform(0.05, 0.22) * rough + rng.uniform(0.02, 0.14) * grain + 0.08 * strata, 1.0)
  if rng.random() < 0.4:
    lichen = step(fractal(rng, n, 12, 4), rng.uniform(1.0, 2.0), 0.3)
    albedo = mixed(albedo, hsv(rng, (0.08, 0.35), (0.05, 0.5), (0.4, 0.8)), lichen)
  _, edge, _ = cells(rng, n, int(rng.uniform(6, 30)))
  crack = (edge + 3 * rough < rng.uniform(-2, 1.2)).astype(np.float32)
  return albedo * (1 - 0.5 * crack)[..., None], rough + 0.15 * grain + 0.4 * strata - crack


def water(rng: np.random.Generator, n: int, extent: float, color: np.ndarray) -> Pattern:
  """What is seen through the water, tinted, under small waves."""
  bottom = (plain, stone, soil, tiles, gravel)[rng.integers(5)]
  albedo, _ = bottom(
    rng, n, extent, noise.any_color(rng) if rng.random() < 0.5 else hsv(rng, (0, 0.6), (0, 0.4), (0.2, 0.8))
  )
  x, y = noise.warped_grid(rng, n, 6, 0.02)
  angle = rng.uniform(0, np.pi)
  swell = np.sin(2 * np.pi * extent * rng.uniform(4, 16) * (np.cos(angle) * x + np.sin(angle) * y))
  albedo = 0.75 * cv2.GaussianBlur(albedo, (0, 0), rng.uniform(0.5, 3))
  return mixed(albedo, color, np.full((n, n), rng.uniform(0.2, 0.85))), 0.6 * fractal(
    rng, n, 9 * extent, 3
  ) + 0.5 * swell
