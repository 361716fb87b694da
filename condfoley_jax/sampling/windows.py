"""Which columns of the code grid each pass of the sampler makes, and what it sees meanwhile."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions

# The published code takes a code column for 0.2 s of video, whatever it lasts.
_PUBLISHED_COLUMN_S = 0.2


class Window(NamedTuple):
  """One pass over a clip's length.

  Attributes:
    start: first target column that the window spans.
    known: columns from there on that are sampled already.
    new: columns sampled, right after the known ones.
    frame: first query frame seen.
    condition, condition_frame: first column and first frame of the condition that are seen.
  """

  start: int
  known: int
  new: int
  frame: int
  condition: int = 0
  condition_frame: int = 0


def plan(frames: int, spec: ClipSpec, conventions: Conventions) -> list[Window]:
  """Windows that cover a query of `frames` video frames."""
  columns = columns_of(frames, spec, conventions)
  if conventions.windows == "sliding":
    return sliding(columns, spec)
  return published(columns // spec.code_columns, spec, conventions)


def runs(windows: Sequence[Window]) -> list[list[Window]]:
  """Windows in a row that know and sample as many columns: one loop each."""
  return [list(run) for _, run in itertools.groupby(windows, key=lambda w: (w.known, w.new))]


def table(windows: Sequence[Window]) -> Window:
  """Windows as one of arrays, int32 [n]."""
  return Window(*(np.array(column, np.int32) for column in zip(*windows, strict=True)))


def columns_of(frames: int, spec: ClipSpec, conventions: Conventions) -> int:
  """Code columns that a query of `frames` video frames is given; of whole clips in the published way."""
  if conventions.windows != "sliding":
    # The published program cuts the video to whole clips; what is left over stays silent.
    return max(1, frames // spec.frames) * spec.code_columns
  heard_s = frames / spec.fps - delay(spec, conventions) / spec.sample_rate
  # A column that would begin where the query ends, but for rounding, is not needed.
  return max(1, math.ceil(heard_s / spec.column_seconds - 1e-6))


def columns_up_to(frames: int, spec: ClipSpec, conventions: Conventions) -> np.ndarray:
  """`columns_of` queries of 0 to `frames` frames, int32 [frames + 1]."""
  return np.array([columns_of(length, spec, conventions) for length in range(frames + 1)], np.int32)


def needed(bucket: int, spec: ClipSpec, conventions: Conventions) -> np.ndarray:
  """How many windows of the plan of `bucket` frames make all columns of a query of 0 to `bucket` frames: int32
  [bucket + 1]. A plan of its own may have fewer: a single window makes a whole clip, the first of several does not."""
  made = np.cumsum([window.new for window in plan(bucket, spec, conventions)])
  return 1 + np.searchsorted(made, columns_up_to(bucket, spec, conventions)).astype(np.int32)


def delay(spec: ClipSpec, conventions: Conventions) -> int:
  """Samples between the start of a clip and that of its first code column."""
  return spec.crop_start(conventions.crop) * spec.hop


class Steps(NamedTuple):
  """How windows that slide go on, in columns.

  Attributes:
    hop: from one to the next, half a clip; what each but the first samples.
    known: what each but the first has of the codes before.
    first: what the first of several samples.
  """

  hop: int
  known: int
  first: int


def steps(spec: ClipSpec) -> Steps:
  """The last eighth of a window is left to the next one: what happens there shows in the frames that follow it."""
  left, hop = max(1, spec.code_columns // 8), spec.code_columns // 2
  return Steps(hop, spec.code_columns - hop - left, spec.code_columns - left)


def sliding(columns: int, spec: ClipSpec) -> list[Window]:
  """Windows over frames and codes together, each half a clip after the one before and continuing from its codes."""
  if columns <= spec.code_columns:
    return [Window(0, 0, spec.code_columns, 0)]
  hop, known, first = steps(spec)
  starts = range(0, columns - first + hop, hop)
  frames = [round(start * spec.column_seconds * spec.fps) for start in starts]
  return [Window(s, known if s else 0, hop if s else first, f) for s, f in zip(starts, frames, strict=True)]


def published(clips: int, spec: ClipSpec, conventions: Conventions) -> list[Window]:
  """The published code's windows for a query of `clips` clips.

  The column to be sampled lies in the middle of its window (`half`) or at its end (`last`), nearer to the edge in the
  first and last window. With a condition that does not move, the query frames do not move either.
  """
  columns = spec.code_columns
  place = columns // 2 if conventions.windows == "half" else columns - 1
  windows: list[Window] = []
  for column in range(clips * columns):
    start = min(max(column - place, 0), (clips - 1) * columns)
    if windows and windows[-1].start == start:
      windows[-1] = windows[-1]._replace(new=windows[-1].new + 1)
      continue
    moved = start if conventions.moving_condition else 0
    frame = round(moved * _PUBLISHED_COLUMN_S * spec.fps)
    windows.append(Window(start, column - start, 1, frame, moved, frame))
  return windows
