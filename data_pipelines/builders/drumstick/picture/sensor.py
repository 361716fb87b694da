"""From the canvas to a frame: the camera's sway, exposure, lens and noise."""

import cv2
import numpy as np

from data_pipelines.builders.drumstick.picture.camera import CANVAS, HEIGHT, WIDTH

_NOISES = 5


class Sensor:
  """One camera; `frame` makes the picture of an instant."""

  def __init__(self, rng: np.random.Generator):
    hand_held = rng.random() < 0.6
    self._shift = rng.uniform(0.3, 2.2) if hand_held else 0.0  # px; the sum of three waves stays within MARGIN
    self._turn = rng.uniform(0, 0.006) if hand_held else 0.0
    self._rate, self._phase = rng.uniform(0.1, 1.6, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3))
    self._blur = float(np.clip(rng.normal(0.25, 0.3), 0, 0.9))
    white = np.clip(rng.normal(1, 0.05, 3), 0.88, 1.12) * np.clip(rng.normal(1, 0.08), 0.8, 1.2)
    self._gain = (_vignette(rng)[..., None] * white).astype(np.float32)
    self._noise = _noise(rng, black=rng.uniform(-8, 12))
    self.shutter = rng.uniform(0.2, 0.7)  # part of the frame's interval that it exposes

  def matrix(self, time_s: float) -> np.ndarray:
    """Canvas to frame, [2, 3]."""
    x, y, turn = np.sin(2 * np.pi * self._rate * time_s + self._phase).sum(axis=0)
    c, s = np.cos(self._turn * turn), np.sin(self._turn * turn)
    middle = np.array([CANVAS[1], CANVAS[0]]) / 2
    rotation = np.array([[c, -s], [s, c]])
    shift = np.array([WIDTH, HEIGHT]) / 2 - rotation @ middle + self._shift * np.array([x, y])
    return np.column_stack([rotation, shift])

  def frame(self, canvas: np.ndarray, time_s: float, gain: float, index: int) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]."""
    picture = cv2.warpAffine(
      canvas, self.matrix(time_s), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if self._blur > 0.3:
      picture = cv2.GaussianBlur(picture, (0, 0), self._blur)
    picture = cv2.multiply(picture, self._gain, scale=gain, dtype=cv2.CV_8U)
    x, y = (index * 37) % 16, (index * 23) % 16
    noise = self._noise[index % _NOISES][y : y + HEIGHT, x : x + WIDTH]
    return cv2.add(picture, noise, dtype=cv2.CV_8U)


def _vignette(rng: np.random.Generator) -> np.ndarray:
  """Darker corners, and light that falls off to one side, float32 [HEIGHT, WIDTH]."""
  x = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
  y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
  slope = rng.normal(0, 0.12, 2)
  return 1 + np.float32(slope[0]) * x + np.float32(slope[1]) * y - np.float32(rng.uniform(0, 0.18)) * (x * x + y * y)


def _noise(rng: np.random.Generator, black: float) -> list[np.ndarray]:
  """Grain about the level `black`, partly coarse as after a cheap camera's own compression, int16."""
  level, coarse = np.exp(rng.uniform(np.log(0.6), np.log(4.5))), rng.uniform(0, 1)
  shape = (HEIGHT + 16, WIDTH + 16, 3)
  grains = []
  for _ in range(_NOISES):
    fine = rng.standard_normal(shape, dtype=np.float32)
    fine = 0.6 * fine + 0.8 * fine[..., 1:2]
    fine += coarse * (1.6 * cv2.blur(fine, (2, 2)) - fine)
    grains.append(np.round(level * fine + black).astype(np.int16))
  return grains
