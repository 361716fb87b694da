"""Camera and light of a video. Pixels are those of the canvas, which has MARGIN px more than the frame on each side."""

import dataclasses

import numpy as np

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture.noise import hsv
from data_pipelines.builders.drumstick.scene import Scene

WIDTH, HEIGHT = 256, 192
MARGIN = 10  # px of canvas beyond the frame, for the camera's motion
CANVAS = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)  # rows, columns
_INSIDE = 15 + MARGIN - 1  # px of the frame that a contact keeps from its edge, the camera's motion included


@dataclasses.dataclass(frozen=True)
class Camera:
  """A pinhole: `rotation` has right, down and forward as rows; `project` maps [..., 3] m to canvas px [..., 2]."""

  position: np.ndarray
  rotation: np.ndarray
  focal: float
  centre: np.ndarray

  def project(self, xyz: np.ndarray) -> np.ndarray:
    local = (xyz - self.position) @ self.rotation.T
    return self.focal * local[..., :2] / np.maximum(local[..., 2:], 0.05) + self.centre

  def depth(self, xyz: np.ndarray) -> np.ndarray:
    """[..., 3] -> [...] m along the view axis."""
    return (xyz - self.position) @ self.rotation[2]

  def px_per_m(self, xyz: np.ndarray) -> np.ndarray:
    """Scale of a small thing at xyz [..., 3]."""
    return self.focal / np.maximum(self.depth(xyz), 0.05)

  def rays(self, scale: float) -> np.ndarray:
    """Directions float32 [3, rows, columns] of a canvas of `scale` times the size, one metre deep."""
    rows, columns = round(CANVAS[0] * scale), round(CANVAS[1] * scale)
    x = ((np.arange(columns) + 0.5) / scale - 0.5 - self.centre[0]) / self.focal
    y = ((np.arange(rows) + 0.5) / scale - 0.5 - self.centre[1]) / self.focal
    right, down, forward = self.rotation[:, :, None, None]
    return (right * x[None, None, :] + down * y[None, :, None] + forward).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Light:
  """A far lamp or sun and the light from all round.

  Attributes:
    to: unit vector towards the lamp.
    sun, sky: linear RGB [3] of the lamp and of the rest.
    spread: rad, half the lamp's apparent size; shadows are that soft.
  """

  to: np.ndarray
  sun: np.ndarray
  sky: np.ndarray
  spread: float


def contacts(scene: Scene, tip: Tip) -> np.ndarray:
  """Where the tip touches the thing, [K, 3] m: at hits, and all along scratches."""
  times = [np.linspace(s.time_s, s.end_s, 8 if s.duration_s else 1) for s in scene.strokes]
  return tip.position(np.concatenate(times)) if times else np.zeros((1, 3))


def draw_camera(spots: np.ndarray, rng: np.random.Generator) -> Camera:
  """A webcam's or phone's view in which every contact, [K, 3] m, is well inside the frame."""
  pitch, yaw = np.deg2rad(rng.triangular(22, 30, 50)), np.deg2rad(rng.uniform(-180, 180))
  roll, distance = rng.normal(0, 0.05), rng.uniform(0.5, 1.05)
  back = np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
  right = np.array([np.cos(yaw), np.sin(yaw), 0])
  down = np.cross(-back, right)
  right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
  focal, centre = rng.uniform(1.2, 1.6) * WIDTH, np.array([CANVAS[1], CANVAS[0]]) / 2
  target = spots.mean(axis=0) + right * rng.uniform(-0.08, 0.08) + down * rng.uniform(-0.08, 0.03)
  while True:
    camera = Camera(target + distance * back, np.stack([right, down, -back]), focal, centre)
    off = np.abs(camera.project(spots) - centre)
    if np.all(off < np.array([WIDTH, HEIGHT]) / 2 - _INSIDE):
      return camera
    distance *= 1.06
    target = target + 0.1 * (spots.mean(axis=0) - target)


def draw_light(camera: Camera, rng: np.random.Generator) -> Light:
  rise, bearing = np.deg2rad(rng.uniform(30, 75)), rng.uniform(0, 2 * np.pi)
  to = np.array([np.cos(rise) * np.cos(bearing), np.cos(rise) * np.sin(bearing), np.sin(rise)])
  part = rng.uniform(0.3, 0.9)  # of the light that comes from the lamp
  sun = hsv(rng, (0.03, 0.16), (0, 0.3), (1, 1)) if rng.random() < 0.7 else hsv(rng, (0.5, 0.65), (0, 0.2), (1, 1))
  sky = hsv(rng, (0, 1), (0, 0.12), (1, 1))
  return Light(
    to, sun * part / to[2] * 1.1, sky * (1 - 0.85 * part), float(np.exp(rng.uniform(np.log(0.015), np.log(0.2))))
  )
