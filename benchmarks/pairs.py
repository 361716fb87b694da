"""Pairs of windows for each second of CPU time, against the published way to read them, on the same clips in one run.

The published way keeps a folder of 640x360 JPEG frames and a WAV file for each video; a pair opens 60 of the frames
one by one, resizes each to 128x128 (bicubic, Pillow) and crops it, and reads the WAV file twice. Augmentation is left
out on both sides: theirs runs on the host as well, ours on the device.
"""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from condfoley_jax.clip import MINI, PAPER, ClipSpec
from data_pipelines import media, pairs, pipeline, prepare
from data_pipelines.builders.drumstick import builder
from data_pipelines.builders.source import Source
from data_pipelines.dataset import Dataset, open_dataset

ROUNDS = 3
_VIDEOS, _COPIES = 6, 24
_BATCH, _BATCHES, _PUBLISHED = 8, 40, 12
_SIZES = {"mini": MINI, "paper": PAPER}
_WIDTH, _HEIGHT = 640, 360


def rows() -> list[dict]:
  """A row for each picture size."""
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    for source in make_datasets(root):
      _unpack(source.video, root / "published" / source.id)
    return [_row(root, name, spec) for name, spec in _SIZES.items()]


def make_datasets(root: Path) -> list[Source]:
  """Renders videos and prepares them at each picture size, in a folder of its name.

  Each is prepared many times: Grain's shuffle is slow where it has few examples, so that a set of real size is needed.
  """
  sources = builder.sources(root / "videos", "train", seed=0, count=_VIDEOS, workers=2)
  copies = [dataclasses.replace(s, id=f"{s.id}-{copy}") for s in sources for copy in range(_COPIES)]
  for name, spec in _SIZES.items():
    prepare.prepare(lambda: copies, root / name, spec, name="bench", split="train", mapper=prepare.in_processes(2))
  return sources


def _row(root: Path, name: str, spec: ClipSpec) -> dict:
  dataset = open_dataset(root / name, spec)
  mine, theirs = [], []
  for _ in range(ROUNDS):
    mine.append(our_rate(root / name, spec))
    theirs.append(rate(_published(root / "published", dataset, spec), _PUBLISHED, 1))
  return as_row(f"{name}: pairs of 2 s windows", max(mine), max(theirs), "the published loader", 20)


def as_row(case: str, ours: float, other: float, against: str, goal: float | None) -> dict:
  """A row of pairs per second of CPU time."""
  return {
    "case": case,
    "ours": ours,
    "other": other,
    "against": against,
    "unit": "pairs per CPU-second",
    "ratio": ours / other,
    "goal": goal,
    "device": "cpu",
  }


def rate(read: Iterator, count: int, size: int) -> float:
  """Pairs per second of CPU time, threads included, of `count` batches of `size`, once some are made ahead."""
  next(read)
  start = time.process_time()
  for _ in range(count):
    next(read)
  return count * size / (time.process_time() - start)


def our_rate(directory: Path, spec: ClipSpec) -> float:
  """Pairs per second of CPU time from a prepared folder."""
  batches = pipeline.pair_batches(directory, spec, batch_size=_BATCH, seed=0, train=True)
  return rate(iter(batches), _BATCHES, _BATCH)


def _published(root: Path, dataset: Dataset, spec: ClipSpec) -> Iterator:
  """Pairs, one by one, as the published code reads them."""
  chooser = pairs.make_chooser(dataset.videos, spec.fps, spec.frames, "uniform")
  rng = np.random.default_rng(0)
  for number in itertools.count():
    yield _published_pair(root, dataset, chooser.choose(0, number, int(rng.integers(len(chooser)))), spec)


def _unpack(video: Path, directory: Path) -> None:
  """Frames at 15 a second as JPEG files, and the sound as WAV, as the published preprocessing leaves them."""
  (directory / "frames").mkdir(parents=True)
  with av.open(str(video)) as container:
    frames = [frame.to_image(width=_WIDTH, height=_HEIGHT) for frame in container.decode(video=0)]
    rate = float(container.streams.video[0].average_rate)
  for i in range(int(len(frames) / rate * PAPER.fps)):
    frames[min(int((i + 0.5) * rate / PAPER.fps), len(frames) - 1)].save(directory / "frames" / f"frame{i + 1:06d}.jpg")
  soundfile.write(directory / "audio.wav", media.decode_audio(video, PAPER.sample_rate), PAPER.sample_rate)


def _published_pair(root: Path, dataset: Dataset, choice: pairs.Choice, spec: ClipSpec) -> list[np.ndarray]:
  parts = []
  for place in (choice.target, choice.condition):
    folder = root / dataset.videos[place.video].id.rpartition("-")[0]
    sound, _ = soundfile.read(folder / "audio.wav", dtype="float32")
    first = place.start * spec.samples_per_frame
    count = len(list((folder / "frames").iterdir()))
    names = [folder / "frames" / f"frame{min(place.start + i, count - 1) + 1:06d}.jpg" for i in range(spec.frames)]
    parts += [sound[first : first + spec.samples], np.stack([_published_frame(name) for name in names])]
  return parts


def _published_frame(path: Path) -> np.ndarray:
  """float32 [112, 112, 3], normalised."""
  small = Image.open(path).convert("RGB").resize((PAPER.frame_resize,) * 2, Image.Resampling.BICUBIC)
  edge = (PAPER.frame_resize - PAPER.frame_size) // 2
  cropped = small.crop((edge, edge, edge + PAPER.frame_size, edge + PAPER.frame_size))
  return (np.asarray(cropped, np.float32) / 255 - 0.45) / 0.225
