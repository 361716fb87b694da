"""What this version of the world looks and sounds like, and how it is stored: by running this module.

Sums over blocks, to which every pixel and every sample of a clip of each material adds its share: another processor may
round one the other way, a change of the world moves many.
"""

import hashlib
from pathlib import Path

import numpy as np

from data_pipelines.builders.drumstick.acoustics import render_sound
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, render_frames
from data_pipelines.builders.drumstick.render import draw_coding
from data_pipelines.builders.drumstick.scene import VERSION, Scene, draw_scene

PATH = Path(__file__).with_name(f"version_{VERSION}.npz")
_BLOCK, _SOUND_S, _SECONDS = 16, 0.02, 11
_STEPS = 256  # that a level of 255 is stored in
COUNT = 17  # One video of each material.
# Planned, and not rendered: every split, and another seed.
OTHERS = (("train", 0), ("val", 0), ("test", 1), ("train", 7))


def scenes() -> list[Scene]:
  return [draw_scene("test", 0, index) for index in range(COUNT)]


def others() -> list[Scene]:
  return [draw_scene(split, seed, index) for split, seed in OTHERS for index in range(COUNT)]


def plan(scene: Scene) -> str:
  """Hash of all that is drawn before anything is rendered, and of how the file is compressed."""
  return hashlib.sha256(f"{scene} {draw_coding(scene)}".encode()).hexdigest()


def picture(scene: Scene) -> np.ndarray:
  """Mean of each block over each second, in steps, uint16 [11, H / 16, W / 16, 3]; zeros after the end."""
  totals, counts = np.zeros((_SECONDS, HEIGHT, WIDTH, 3)), np.zeros(_SECONDS)
  for k, frame in enumerate(render_frames(scene)):
    second = int(k / scene.fps)
    totals[second] += frame
    counts[second] += 1
  blocks = totals.reshape(_SECONDS, HEIGHT // _BLOCK, _BLOCK, WIDTH // _BLOCK, _BLOCK, 3).mean(axis=(2, 4))
  return np.round(_STEPS * blocks / np.maximum(counts, 1)[:, None, None, None]).astype(np.uint16)


def sound(scene: Scene) -> np.ndarray:
  """Level of each 20 ms, and mean of its samples, float64 [blocks, 2]; zeros after the end of the longest."""
  audio, size = render_sound(scene).astype(np.float64), round(_SOUND_S * scene.sample_rate)
  blocks = np.pad(audio, (0, -len(audio) % size)).reshape(-1, size)
  told = np.stack([np.sqrt((blocks**2).mean(axis=1)), blocks.mean(axis=1)], axis=-1)
  return np.pad(told, ((0, 520 - len(told)), (0, 0)))


def main() -> None:
  made = scenes()
  np.savez_compressed(
    PATH,
    plans=np.array([plan(s) for s in made]),
    others=np.array([plan(s) for s in others()]),
    pictures=np.array([picture(s) for s in made]),
    sounds=np.array([sound(s) for s in made], np.float32),
  )


if __name__ == "__main__":
  main()
