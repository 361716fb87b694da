"""What is beyond the table or floor: a wall, or a room out of focus."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture.camera import Camera, Light
from data_pipelines.builders.drumstick.picture.looks import BACKDROPS, draw_look
from data_pipelines.builders.drumstick.picture.noise import any_color, smooth

_PATCH, _PATCH_M = 160, 1.6


def paint_backdrop(
  sky: np.ndarray,
  lamp: np.ndarray,
  world: np.ndarray,
  rays: np.ndarray,
  camera: Camera,
  light: Light,
  outdoors: bool,
  rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
  """Linear light [rows, columns, 3] of all round and of the lamp, with the backdrop beyond an edge of the floor."""
  ahead = camera.rotation[2, :2] / np.hypot(*camera.rotation[2, :2])
  turn = rng.normal(0, 0.15)
  ahead = (np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ ahead).astype(np.float32)
  away = ahead[0] * world[0] + ahead[1] * world[1]
  aside = ahead[0] * world[1] - ahead[1] * world[0]
  far = np.float32(rng.uniform(0.8, 2.2) if outdoors else rng.uniform(0.38, 1.3))
  fade = np.clip((away - far) * 300, 0, 1)
  if rng.random() < 0.45:
    picture = _wall(away, rays, ahead, far, camera, rng)
    light_part = np.float32(rng.uniform(0.2, 0.7))
  else:
    picture, light_part = _room(sky.shape[:2], rng), np.float32(0.0)
    if not outdoors and rng.random() < 0.5:  # the table's other edges
      half, near = rng.uniform(0.35, 0.8), rng.uniform(-0.75, -0.32)
      fade = np.maximum(
        fade, np.maximum(np.clip((np.abs(aside) - half) * 300, 0, 1), np.clip((near - away) * 300, 0, 1))
      )
  part = fade[..., None]
  sky = sky + part * (picture * light.sky.astype(np.float32) - sky)
  lamp = lamp + part * (picture * light.sun.astype(np.float32) * light_part - lamp)
  return sky, lamp


def _wall(
  away: np.ndarray, rays: np.ndarray, ahead: np.ndarray, far: float, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
  """A wall that stands on the floor's edge, reflectance [rows, columns, 3]."""
  forward = np.maximum(ahead[0] * rays[0] + ahead[1] * rays[1], np.float32(0.05))
  depth = (far - np.float32(camera.position[:2] @ ahead)) / forward
  up = np.float32(camera.position[2]) + depth * rays[2]
  along = depth * (ahead[0] * rays[1] - ahead[1] * rays[0])
  look = draw_look(str(rng.choice(("drywall", "drywall", *BACKDROPS))), rng, _PATCH, _PATCH_M)
  u, v = (along / _PATCH_M * _PATCH).astype(np.float32), (up / _PATCH_M * _PATCH).astype(np.float32)
  picture = cv2.remap(look.albedo, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
  if rng.random() < 0.4:
    skirting = (up < rng.uniform(0.03, 0.12))[..., None]
    picture = np.where(skirting, any_color(rng), picture)
  return picture * picture * (np.float32(0.5) + np.float32(0.5) * np.clip(up * 12 + 0.3, 0, 1))[..., None]


def _room(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
  """Furniture and walls out of focus, reflectance [rows, columns, 3]."""
  rows, columns = 40, 52
  picture = (any_color(rng) * (1 + 0.2 * smooth(rng, columns, 3)[:rows, :, None])).astype(np.float32)
  for _ in range(int(rng.integers(2, 12))):
    x, y, w, h = rng.integers(-8, columns), rng.integers(-12, rows), rng.integers(3, 26), rng.integers(3, 26)
    picture[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = any_color(rng)
  picture = cv2.GaussianBlur(np.clip(picture, 0, 1), (0, 0), rng.uniform(0.5, 2.5))
  return cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).clip(0, 1) ** 2
