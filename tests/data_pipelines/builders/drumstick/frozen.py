"""What this version of the world looks and sounds like, and how it is stored: by running this module.

Sums over blocks, to which every pixel and every sample of a clip of each material adds its share: another processor may
round one the other way, a change of the world moves many.
"""

import hashlib
import itertools
from pathlib import Path

import numpy as np

from data_pipelines.builders.drumstick.acoustics import render_sound
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, render_frames
from data_pipelines.builders.drumstick.scene import VERSION, Scene, draw_scene

PATH = Path(__file__).with_name(f"version_{VERSION}.npz")
_BLOCK, _SOUND_S = 16, 0.02
COUNT = 17  # One video of each material.


def scenes() -> list[Scene]:
  return [draw_scene("test", 0, index) for index in range(COUNT)]


def plan(scene: Scene) -> str:
  """Hash of all that is drawn before anything is rendered."""
  return hashlib.sha256(repr(scene).encode()).hexdigest()


def picture(scene: Scene) -> np.ndarray:
  """Mean over the time until shortly after the first stroke, of blocks, float64 [H / 16, W / 16, 3]."""
  count = int((scene.strokes[0].time_s + 0.2) * scene.fps)
  total = np.zeros((HEIGHT, WIDTH, 3))
  for frame in itertools.islice(render_frames(scene), count):
    total += frame
  return total.reshape(HEIGHT // _BLOCK, _BLOCK, WIDTH // _BLOCK, _BLOCK, 3).mean(axis=(1, 3)) / count


def sound(scene: Scene) -> np.ndarray:
  """Level of each 20 ms, and mean of its samples, float64 [blocks, 2]; zeros after the end of the longest."""
  audio, size = render_sound(scene).astype(np.float64), round(_SOUND_S * scene.sample_rate)
  blocks = audio[: len(audio) // size * size].reshape(-1, size)
  told = np.stack([np.sqrt((blocks**2).mean(axis=1)), blocks.mean(axis=1)], axis=-1)
  return np.pad(told, ((0, 520 - len(told)), (0, 0)))


def main() -> None:
  made = scenes()
  np.savez_compressed(
    PATH,
    plans=np.array([plan(s) for s in made]),
    pictures=np.array([picture(s) for s in made], np.float32),
    sounds=np.array([sound(s) for s in made], np.float32),
  )


if __name__ == "__main__":
  main()
