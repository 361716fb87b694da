"""Prepared dataset, or a cache of model inputs -> batches of NumPy arrays, as a Grain dataset.

The stream of examples is numbered from 0 on and endless in training; example n is a function of the dataset, the seed
and n alone. Global batch b holds examples [b * B, (b + 1) * B), of which a process reads the rows that its devices
hold, so the batches are the same whatever the number of processes, threads and shards. An iterator's `get_state()`
counts batches: a run goes on with `set_state(state)` on any number of processes without losing or repeating an example.
"""

import os
import sys
from collections.abc import Callable, Sequence

import grain
import numpy as np

from condfoley_jax.clip import ClipSpec
from data_pipelines import pairs
from data_pipelines.builders.events import ACTIONS, MATERIALS
from data_pipelines.dataset import Dataset, open_dataset
from data_pipelines.errors import InputError
from data_pipelines.side_shards import SideShards

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
  mode: pairs.Mode = "uniform",
  overlap: bool = False,
  at_event: float = 0,
  rows: Sequence[int] | None = None,
) -> grain.IterDataset:
  """Batches of condition and target windows.

  Args:
    data_dir: folder written by `data_pipelines.prepare`.
    batch_size: examples per global batch.
    seed: of everything random, in [0, 2**32).
    train: endless, with other windows each epoch. Otherwise each example once, but for what is left over of less
      than a batch. Both are shuffled, so that the first batches are of many videos, and neighbours seldom of one.
    mode, overlap, at_event: as for `pairs.make_chooser`.
    rows: of each batch, in order, those that this process reads (`sharding.rows_of`); None for all.

  Yields:
    {"target_audio", "condition_audio": float32 [B, N] in [-1, 1), "target_frames", "condition_frames": uint8
    [B, T, S, S, 3] RGB, S being spec.frame_resize, "target_onsets": float32 [B, T], 1 where a labelled event happens
    during the frame, "target_offsets": float32 [B, T], where within that frame, 0 to 1 (the last event's where there
    are several), "target_material", "target_action": int32 [B], index of the one label that all labelled events of the
    window share, else -1}, B being the number of `rows`.

  Raises:
    InputError: the folder cannot be used, or no video holds such a pair. While iterating: a record is damaged.
  """
  pair_of = Pairs(data_dir, spec, seed=seed, mode=mode, overlap=overlap, at_event=at_event)
  return _batches(len(pair_of), pair_of, batch_size, seed, train, rows)


def clip_batches(
  data_dir: str | os.PathLike,
  spec: ClipSpec,
  *,
  batch_size: int,
  seed: int,
  train: bool,
  at_event: float = 0,
  rows: Sequence[int] | None = None,
) -> grain.IterDataset:
  """Batches of single windows: "audio", "frames", "onsets", "offsets", "material", "action"; else as `pair_batches`."""
  dataset = open_dataset(data_dir, spec)
  chooser = pairs.make_clips(dataset.videos, spec.fps, spec.frames, at_event=at_event)
  _check_not_empty(data_dir, chooser)
  load = lambda epoch, index: _load_window(dataset, chooser.choose(seed, epoch, index).target, spec)
  return _batches(len(chooser), load, batch_size, seed, train, rows)


def example_shapes(spec: ClipSpec, *, pairs: bool) -> dict[str, tuple[str, tuple[int, ...]]]:
  """(dtype, shape) of each array of one example of `pair_batches`, or of `clip_batches`."""
  side = spec.frame_resize
  seen = {"audio": ("float32", (spec.samples,)), "frames": ("uint8", (spec.frames, side, side, 3))}
  labels = {name: ("float32", (spec.frames,)) for name in ("onsets", "offsets")}
  labels |= {name: ("int32", ()) for name in ("material", "action")}
  if not pairs:
    return seen | labels
  target = {f"target_{name}": shape for name, shape in (seen | labels).items()}
  return target | {f"condition_{name}": shape for name, shape in seen.items()}


def cached_batches(
  cache: SideShards, *, batch_size: int, seed: int, rows: Sequence[int] | None = None
) -> grain.IterDataset:
  """Batches of what `cache` holds of each pair, shuffled and endless.

  Epoch e gives what the cache holds of epoch e modulo its number of epochs, in the order of `pair_batches`.

  Raises:
    InputError: while iterating: a record is damaged.
  """
  load = lambda epoch, index: cache.read(epoch % cache.epochs, index)
  return _batches(cache.examples, load, batch_size, seed, True, rows)


class Pairs:
  """The pairs that `pair_batches` batches, by epoch and position. Length: pairs of an epoch.

  Raises:
    InputError: as `pair_batches`.
  """

  def __init__(
    self,
    data_dir: str | os.PathLike,
    spec: ClipSpec,
    *,
    seed: int,
    mode: pairs.Mode,
    overlap: bool,
    at_event: float = 0,
  ):
    self._dataset, self._spec, self._seed = open_dataset(data_dir, spec), spec, seed
    how = {"overlap": overlap, "at_event": at_event}
    self._chooser = pairs.make_chooser(self._dataset.videos, spec.fps, spec.frames, mode, **how)
    _check_not_empty(data_dir, self._chooser)

  def __len__(self) -> int:
    return len(self._chooser)

  def __call__(self, epoch: int, index: int) -> Example:
    choice = self._chooser.choose(self._seed, epoch, index)
    target, condition = (_load_window(self._dataset, p, self._spec) for p in (choice.target, choice.condition))
    return {f"target_{name}": value for name, value in target.items()} | {
      f"condition_{name}": condition[name] for name in ("audio", "frames")
    }

  def in_order(self, places: Sequence[tuple[int, int]], batch_size: int) -> grain.IterDataset:
    """Batches of the pairs at (epoch, index) `places`; the last may be smaller."""
    examples = grain.MapDataset.source(places).map(lambda place: self(*place))
    return examples.batch(batch_size).to_iter_dataset(_AHEAD)


def _batches(
  count: int,
  load: Callable[[int, int], Example],
  batch_size: int,
  seed: int,
  train: bool,
  rows: Sequence[int] | None,
) -> grain.IterDataset:
  """Batches of `load(epoch, index)` for `count` examples an epoch."""
  rows = range(batch_size) if rows is None else rows
  order = grain.MapDataset.range(count).shuffle(seed)
  order = order.repeat() if train else order
  # Whole batches alone, of which every process has as many.
  numbers = grain.MapDataset.source(_Numbers(rows, batch_size, (sys.maxsize if train else count) // batch_size))
  examples = numbers.map(lambda number: load(number // count, order[number]))
  return examples.batch(len(rows), drop_remainder=True).to_iter_dataset(_AHEAD)


def _check_not_empty(source: str | os.PathLike, chooser: pairs.Chooser) -> None:
  if not len(chooser):
    raise InputError(f"{source}: {chooser.empty}")


class _Numbers:
  """Numbers of the examples that a process reads: those at `rows` of each of `batches` batches."""

  def __init__(self, rows: Sequence[int], batch_size: int, batches: int):
    self._rows, self._batch_size, self._batches = rows, batch_size, batches

  def __len__(self) -> int:
    return self._batches * len(self._rows)

  def __getitem__(self, number: int) -> int:
    batch, place = divmod(int(number), len(self._rows))
    return batch * self._batch_size + self._rows[place]

  def __repr__(self) -> str:
    return f"numbers of {len(self._rows)} of {self._batch_size} rows"


def _load_window(dataset: Dataset, place: pairs.Place, spec: ClipSpec) -> Example:
  video, start = dataset.videos[place.video], place.start
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
    "frames": window.frames,
    "onsets": onsets,
    "offsets": offsets,
    "material": _shared_label([e.material for e in events], MATERIALS),
    "action": _shared_label([e.action for e in events], ACTIONS),
  }


def _shared_label(labels: Sequence[str], classes: Sequence[str]) -> np.int32:
  """Index in `classes` of the one known label among `labels`; -1 where there is none or they differ."""
  known = {label for label in labels if label in classes}
  return np.int32(classes.index(known.pop()) if len(known) == 1 else -1)
