"""Queries whose stretches sound like examples of their own: each stretch is made as a query, and they are joined."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.sampling.generate import Takes
from condfoley_jax.sampling.long_video import Frames
from condfoley_jax.sampling.rerank import Sync

# Where one stretch ends it fades into the next, s.
_FADE_S = 0.02


class Span(NamedTuple):
  """A stretch of a query.

  Attributes:
    first, end: frames that are seen, first and past the last.
    start, stop: samples of the query's sound that are kept, first and past the last; a fade is around both.
  """

  first: int
  end: int
  start: int
  stop: int


def spans(bounds_s: Sequence[float], frames: int, spec: ClipSpec) -> list[Span]:
  """Stretches of a query of `frames` frames that meet at `bounds_s`, rising and inside it: one more than those."""
  samples = frames * spec.samples_per_frame
  meets = [0, *(round(bound * spec.sample_rate) for bound in bounds_s), samples]
  fade = _fade(spec)
  found = []
  for start, stop in itertools.pairwise(meets):
    first = max(start - fade, 0) // spec.samples_per_frame
    end = math.ceil(min(stop + fade, samples) / spec.samples_per_frame)
    found.append(Span(first, end, start, stop))
  return found


class Section:
  """Frames `span.first` to `span.end` of a query; see `long_video.Frames`."""

  def __init__(self, frames: Frames, span: Span):
    self._frames, self._span = frames, span

  def __len__(self) -> int:
    return self._span.end - self._span.first

  def read(self, first: int, count: int) -> np.ndarray:
    first = min(first, len(self) - 1)
    shown = self._frames.read(self._span.first + first, min(count, len(self) - first))
    return shown[np.minimum(np.arange(count), len(shown) - 1)]

  def forget(self, first: int) -> None:
    self._frames.forget(self._span.first + first)


class Joined:
  """Takes of a whole query, as their stretches come.

  Args:
    audio: float32 [B, N] zeros that they are written to.
    frames: of the query.
    spec: of the weights.
  """

  def __init__(self, audio: np.ndarray, frames: int, spec: ClipSpec):
    self._audio, self._spec = audio, spec
    self._seen = np.zeros(frames, np.float32)
    self._segments: list[tuple[int, int]] = []
    self._syncs: list[Sync] = []

  def add(self, span: Span, made: Takes) -> None:
    """The next stretch, which fades in where the one before fades out."""
    per_frame, fade = self._spec.samples_per_frame, _fade(self._spec)
    first = span.start - fade if span.start else 0
    last = min(span.stop + fade, span.end * per_frame)
    gain = np.ones(last - first, np.float32)
    if span.start:
      gain[: 2 * fade] = (np.arange(2 * fade) + 0.5) / (2 * fade)
    if span.stop < self._audio.shape[1]:
      gain[-2 * fade :] *= 1 - (np.arange(2 * fade) + 0.5) / (2 * fade)
    # Take by take: all of them may lie in a file.
    for whole, sound in zip(self._audio, made.audio, strict=True):
      whole[first:last] += gain * sound[first - span.first * per_frame : last - span.first * per_frame]
    self._seen[span.first : span.end] = made.seen
    self._segments += [(span.first + a, span.first + b) for a, b in made.segments]
    self._syncs.append(made.syncs)

  def takes(self) -> Takes:
    """All of it; of its codes there is no grid, as stretches begin where no column does."""
    syncs = Sync(*(np.concatenate(x, 1) for x in zip(*self._syncs, strict=True)))
    return Takes(self._audio, None, self._seen, syncs, self._segments)


def _fade(spec: ClipSpec) -> int:
  """Half of a fade, samples."""
  return round(_FADE_S * spec.sample_rate / 2)
