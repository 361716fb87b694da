"""Prepared dataset -> batches of NumPy arrays, as a Grain iterator.

The iterator's `get_state()` and `set_state(state)` save and resume it at the exact batch. The stream of examples is a
function of the dataset and the seed alone; process i of n takes every n-th example from the i-th on.
"""

import os
from collections.abc import Callable, Sequence

import grain
import numpy as np

from condfoley_jax.clip import ClipSpec
from data_pipelines import pairs
from data_pipelines.builders.events import ACTIONS, MATERIALS
from data_pipelines.dataset import Dataset, Video, open_dataset
from data_pipelines.errors import InputError

Example = dict[str, np.ndarray]

# Whole batches are made ahead, each by one thread; more of them would only hold memory.
_AHEAD = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=min(16, os.cpu_count() or 1))


def pair_batches(
  data_dir: str | os.PathLike,
  spec: ClipSpec,
  *,
  batch_size: int,
  seed: int,
  train: bool,
  process_index: int = 0,
  process_count: int = 1,
) -> grain.DatasetIterator:
  """Batches of condition and target windows of the same videos.

  Args:
    data_dir: folder written by `data_pipelines.prepare`.
    batch_size: examples per batch of this process.
    seed: of everything random, in [0, 2**32).
    train: shuffled and endless, with other windows each epoch. Otherwise each example once, in order, always the same;
      the last batch may be smaller.
    process_index, process_count: which part of the stream this process reads.

  Yields:
    {"target_audio", "condition_audio": float32 [B, N] in [-1, 1), "target_frames", "condition_frames": uint8
    [B, T, S, S, 3] RGB, "target_onsets": float32 [B, T], 1 where a labelled event happens during the frame,
    "target_offsets": float32 [B, T], where within that frame, 0 to 1 (the last event's where there are several),
    "target_material", "target_action": int32 [B], index of the one label that all labelled events of the window share,
    else -1}.

  Raises:
    InputError: the folder cannot be used, or no video is longer than a clip. While iterating: a record is damaged.
  """
  dataset = open_dataset(data_dir, spec)
  chooser = pairs.WindowChooser(dataset.videos, spec.fps, spec.frames, paired=True)

  def load(epoch: int, index: int) -> Example:
    choice = chooser.choose(seed, epoch, index)
    video = dataset.videos[choice.video]
    target = _load_window(dataset, video, choice.target, spec)
    condition = _load_window(dataset, video, choice.condition, spec)
    return {f"target_{name}": value for name, value in target.items()} | {
      f"condition_{name}": condition[name] for name in ("audio", "frames")
    }

  examples = _examples(data_dir, len(chooser), load)
  return _iterate(examples, batch_size, seed, train, process_index, process_count)


def clip_batches(
  data_dir: str | os.PathLike,
  spec: ClipSpec,
  *,
  batch_size: int,
  seed: int,
  train: bool,
  process_index: int = 0,
  process_count: int = 1,
) -> grain.DatasetIterator:
  """Batches of single windows: "audio", "frames", "onsets", "offsets", "material", "action"; else as `pair_batches`."""
  dataset = open_dataset(data_dir, spec)
  chooser = pairs.WindowChooser(dataset.videos, spec.fps, spec.frames, paired=False)

  def load(epoch: int, index: int) -> Example:
    choice = chooser.choose(seed, epoch, index)
    return _load_window(dataset, dataset.videos[choice.video], choice.target, spec)

  examples = _examples(data_dir, len(chooser), load)
  return _iterate(examples, batch_size, seed, train, process_index, process_count)


def _examples(
  data_dir: str | os.PathLike, count: int, load: Callable[[int, int], Example]
) -> grain.MapDataset[Example]:
  """The examples of an epoch; Grain counts on past the end in later epochs, which tells `load` the epoch."""
  if not count:
    raise InputError(f"{data_dir}: no video is long enough for these windows; prepare longer videos")
  return grain.MapDataset.range(count).map_with_index(lambda step, index: load(step // count, index))


def _iterate(
  examples: grain.MapDataset[Example],
  batch_size: int,
  seed: int,
  train: bool,
  process_index: int,
  process_count: int,
) -> grain.DatasetIterator:
  if train:
    examples = examples.shuffle(seed).repeat()
  # Sliced after the repeat, so that all processes have as many batches as each other, forever.
  examples = examples[process_index::process_count]
  return iter(examples.batch(batch_size, drop_remainder=train).to_iter_dataset(_AHEAD))


def _load_window(dataset: Dataset, video: Video, start: int, spec: ClipSpec) -> Example:
  window = dataset.read_window(video, start, spec.frames)
  stamped = [(pairs.event_frame(e.time_s, spec.fps) - start, e) for e in video.events]
  inside = [(frame, e) for frame, e in stamped if 0 <= frame < spec.frames]
  events = [e for _, e in inside]
  onsets, offsets = np.zeros((2, spec.frames), np.float32)
  for frame, event in inside:
    onsets[frame] = 1
    offsets[frame] = event.time_s * spec.fps - start - frame
  return {
    "audio": window.audio,
    "frames": _center_crop(window.frames, spec.frame_size),
    "onsets": onsets,
    "offsets": offsets,
    "material": _shared_label([e.material for e in events], MATERIALS),
    "action": _shared_label([e.action for e in events], ACTIONS),
  }


def _center_crop(frames: np.ndarray, size: int) -> np.ndarray:
  """Centre of frames [T, H, W, 3], [T, size, size, 3]."""
  top, left = ((side - size) // 2 for side in frames.shape[1:3])
  return frames[:, top : top + size, left : left + size]


def _shared_label(labels: Sequence[str], classes: Sequence[str]) -> np.int32:
  """Index in `classes` of the one known label among `labels`; -1 where there is none or they differ."""
  known = {label for label in labels if label in classes}
  return np.int32(classes.index(known.pop()) if len(known) == 1 else -1)
