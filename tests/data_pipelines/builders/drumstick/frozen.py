"""What this version of the world looks and sounds like, and how it is stored: by running this module.

A hash of every pixel and every sample of a clip of each material, which holds on processors that round as the one it
was made on. For all others, which may round one the other way, sums over blocks: a change of the world moves many.
"""

import hashlib
import re
from pathlib import Path

import cv2
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
  """Hash of all that is drawn before anything is rendered, to 9 digits, and of how the file is compressed."""
  drawn = re.sub(r"\d+\.\d*(e-?\d+)?", lambda number: f"{float(number[0]):.9g}", f"{scene} {draw_coding(scene)}")
  return hashlib.sha256(drawn.encode()).hexdigest()


def picture(scene: Scene) -> tuple[str, np.ndarray]:
  """Hash of all frames, and mean of each block over each second, in steps, uint16 [11, H / 16, W / 16, 3]."""
  digest, totals, counts = hashlib.sha256(), np.zeros((_SECONDS, HEIGHT, WIDTH, 3)), np.zeros(_SECONDS)
  for k, frame in enumerate(render_frames(scene)):
    digest.update(np.ascontiguousarray(frame))
    second = int(k / scene.fps)
    totals[second] += frame
    counts[second] += 1
  blocks = totals.reshape(_SECONDS, HEIGHT // _BLOCK, _BLOCK, WIDTH // _BLOCK, _BLOCK, 3).mean(axis=(2, 4))
  steps = np.round(_STEPS * blocks / np.maximum(counts, 1)[:, None, None, None])
  return digest.hexdigest(), steps.astype(np.uint16)


def sound(scene: Scene) -> tuple[str, np.ndarray]:
  """Hash of all samples; level of each 20 ms, and mean of its samples, float64 [520, 2], zeros after the end."""
  audio, size = render_sound(scene), round(_SOUND_S * scene.sample_rate)
  blocks = np.pad(audio.astype(np.float64), (0, -len(audio) % size)).reshape(-1, size)
  told = np.stack([np.sqrt((blocks**2).mean(axis=1)), blocks.mean(axis=1)], axis=-1)
  return hashlib.sha256(audio).hexdigest(), np.pad(told, ((0, 520 - len(told)), (0, 0)))


def rounding() -> str:
  """Hash of what OpenCV and NumPy make of noise on this processor: where it is equal, so are all pixels and samples."""
  rng, size = np.random.default_rng(0), (256, 192)
  noise = rng.integers(0, 256, (*size, 3), np.uint8)
  smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3.0)
  turn = np.array([[0.9, 0.2, 3.0], [-0.2, 1.1, 2.0], [1e-4, 2e-4, 1.0]])
  grid = rng.uniform(0, 190, (*size, 2)).astype(np.float32)
  weight = rng.uniform(0, 1, size).astype(np.float32)
  made = [
    smooth,
    cv2.GaussianBlur(noise, (0, 0), 1.3),
    cv2.blur(smooth, (5, 5)),
    cv2.Sobel(smooth, cv2.CV_32F, 1, 0),
    cv2.warpPerspective(noise, turn, size),
    cv2.warpPerspective(smooth, turn, size),
    cv2.warpAffine(smooth, turn[:2], size),
    cv2.remap(noise, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
    cv2.remap(smooth, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR),
    *(cv2.resize(x, (100, 70), interpolation=i) for x in (noise, smooth) for i in (cv2.INTER_LINEAR, cv2.INTER_AREA)),
    *(cv2.resize(x, (400, 500), interpolation=i) for x in (noise, smooth) for i in (cv2.INTER_LINEAR, cv2.INTER_CUBIC)),
    cv2.transform(smooth, turn),
    cv2.blendLinear(noise, noise[::-1].copy(), weight, 1 - weight),
    cv2.multiply(noise, smooth / np.float32(200), dtype=cv2.CV_8U),
    cv2.magnitude(smooth[..., 0], smooth[..., 1]),
    cv2.distanceTransform((weight > 0.01).astype(np.uint8), cv2.DIST_L2, 5),
    cv2.ellipse(noise.copy(), ((90.3, 80.2), (61.0, 30.5), 33.0), (9, 99, 200), -1, cv2.LINE_AA),
    np.exp(smooth / np.float32(99)) + np.sin(smooth) + np.tanh(smooth),
    np.sin(grid.astype(np.float64)) + np.exp(grid.astype(np.float64) / 99),
  ]
  return hashlib.sha256(b"".join(x.tobytes() for x in made)).hexdigest()


def main() -> None:
  made = scenes()
  pictures, sounds = [picture(s) for s in made], [sound(s) for s in made]
  np.savez_compressed(
    PATH,
    plans=np.array([plan(s) for s in made]),
    others=np.array([plan(s) for s in others()]),
    rounding=np.array(rounding()),
    exact=np.array([(seen, heard) for (seen, _), (heard, _) in zip(pictures, sounds, strict=True)]),
    pictures=np.array([blocks for _, blocks in pictures]),
    sounds=np.array([blocks for _, blocks in sounds], np.float32),
  )


if __name__ == "__main__":
  main()
