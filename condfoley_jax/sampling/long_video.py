"""Queries that are too long to be made as a whole: stretch by stretch, in as much memory as one takes.

The windows are those of the whole (`windows.sliding`), so codes are the same: each stretch goes on from the codes
before it. Codec and vocoder hear a clip more on either side of what is kept of their sound, which is further than our
own reach: where two stretches meet, both would make the same.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.sync_net import SyncNet
from condfoley_jax.sampling import program, rerank, windows
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.windows import Window

# Clips of a stretch. Of longer ones less is made twice, and they take more memory.
CLIPS = 16
# Where two stretches meet one fades into the other, s: models that hear all of what they are given at once, as the
# published VQGAN, make slightly different sound there.
_FADE_S = 0.02


class Frames(Protocol):
  """Frames of a query, read from the first to the last. Length: how many."""

  def __len__(self) -> int: ...

  def read(self, first: int, count: int) -> np.ndarray:
    """uint8 [count, S, S, 3] from frame `first` on, the last one held after the end."""

  def forget(self, first: int) -> None:
    """Frames before `first` are not asked for again."""


class Held:
  """Frames [F, S, S, 3] that are in memory."""

  def __init__(self, frames: np.ndarray):
    self._frames = frames

  def __len__(self) -> int:
    return len(self._frames)

  def read(self, first: int, count: int) -> np.ndarray:
    return self._frames[np.minimum(np.arange(first, first + count), len(self) - 1)]

  def forget(self, first: int) -> None:
    pass


class Passing:
  """Frames that are read from any on, but never from before what was read last; what lies before is let go unseen, a
  clip at a time, and so is what was read. See `Frames`."""

  def __init__(self, frames: Frames, spec: ClipSpec):
    self._frames, self._step, self._first = frames, spec.frames, 0

  def __len__(self) -> int:
    return len(self._frames)

  def read(self, first: int, count: int) -> np.ndarray:
    for passed in range(self._first, first, self._step):
      self._frames.read(passed, 1)
      self._frames.forget(passed)
    self._first = first
    shown = self._frames.read(first, count)
    self._frames.forget(first)
    return shown

  def forget(self, first: int) -> None:
    pass


class Stretch(NamedTuple):
  """What is made at once, and what it goes on from.

  Attributes:
    before: int32 [1, B, R, K], the columns before the stretch's own; of the first K is 0.
    frames: uint8 [1, F, S, S, 3], what its windows see; after the query's end its last frame is held.
    table: `Window` of int32 [W]; starts are counted from the first column of `before`, frames from that of `frames`.
    first: int32 [], number of its first window among those of the query.
    needed: int32 [], windows that the query has.
    column: int32 [], where in the query the first column of `before` is.
    columns: int32 [], columns of the query; of a part of it, where its codes end. After it the last ones go on.
  """

  before: jax.Array
  frames: jax.Array
  table: Window
  first: jax.Array
  needed: jax.Array
  column: jax.Array
  columns: jax.Array


class Made(NamedTuple):
  """Of B takes: audio float32 [B, N] of the columns before and the stretch's own, their codes int32 [B, R, K], and the
  onset probability per frame that a window of the stretch sees, float32 [F]."""

  audio: jax.Array
  grids: jax.Array
  seen: jax.Array


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def make_stretch(
  parts: program.Parts,
  jobs: program.Jobs,
  stretch: Stretch,
  sampling: Sampling,
  *,
  spec: ClipSpec,
  conventions: Conventions,
) -> Made:
  """Makes a stretch of all takes of one job; arguments are as for `program.make_takes`, less `jobs.frames`."""
  audio, gains = program.levelled(jobs.example_audio, conventions)
  example = program.mel_of(audio, spec, conventions)
  codes = parts["vqgan"].encode(example)
  steps, count = windows.steps(spec), len(stretch.table.start)
  of = lambda first, end: jax.tree.map(lambda x: x[first:end], stretch.table)
  runs = [program.Run(steps.known, steps.hop, of(0, count))]
  if not stretch.before.shape[3]:
    runs = [program.Run(0, steps.first, of(0, 1)), program.Run(steps.known, steps.hop, of(1, count))]
  new = sum(run.new * len(run.table.start) for run in runs)
  grid = jnp.concatenate([stretch.before, jnp.zeros((*stretch.before.shape[:3], new), jnp.int32)], 3)
  grid, seen = program.sample_windows(
    parts,
    jobs,
    codes,
    program.Watched(parts, stretch.frames, 0, spec, conventions),
    runs,
    stretch.first,
    stretch.needed[None],
    grid,
    sampling,
    spec,
    conventions,
  )
  own = jnp.clip(stretch.columns - stretch.column, 1, grid.shape[3])[None]
  sound = program.sounded(parts, grid, own, jobs, example, codes, spec, conventions, stretch.column)
  return Made(sound[:, : grid.shape[3] * spec.samples_per_column] / gains, grid[0], seen[0])


@functools.partial(jax.jit, static_argnames=("spec", "conventions", "mesh"))
def make_stretch_on(parts, jobs, stretch, sampling, *, spec: ClipSpec, conventions: Conventions, mesh: Mesh) -> Made:
  """`make_stretch` on the devices of a mesh, its takes split along `data`."""
  whole, takes = P(), P(None, "data")
  of_jobs = program.Jobs(*(None if x is None else whole for x in jobs))._replace(seeds=takes)
  of_stretch = jax.tree.map(lambda _: whole, stretch)._replace(before=takes)
  make = functools.partial(make_stretch, spec=spec, conventions=conventions)
  by_hand = frozenset(mesh.axis_names if mesh.size == mesh.shape["data"] else ("data",))
  given, made = (whole, of_jobs, of_stretch, whole), Made(P("data"), P("data"), whole)
  return jax.shard_map(make, mesh=mesh, in_specs=given, out_specs=made, axis_names=by_hand, check_vma=False)(
    parts, jobs, stretch, sampling
  )


class Piece(NamedTuple):
  """A stretch of the plan: windows, counted as in `Stretch`, and where its frames, codes and sound are in the query.

  Attributes:
    table: `Window` of int32 [W].
    first: number of its first window.
    frame: its first frame; `seen`: past the last frame that its windows see.
    column: first column of `before`; `new`: first of its own; `end`: past its last.
    sound: columns of which its sound is kept, first and past the last.
  """

  table: Window
  first: int
  frame: int
  seen: int
  column: int
  new: int
  end: int
  sound: tuple[int, int]


def pieces(frames: int, spec: ClipSpec, conventions: Conventions) -> list[Piece]:
  """Stretches that cover a query of `frames` frames."""
  plan, columns = windows.plan(frames, spec, conventions), windows.columns_of(frames, spec, conventions)
  context = spec.code_columns
  found = []
  for first in range(0, len(plan), 2 * CLIPS):
    group = plan[first : first + 2 * CLIPS]
    new, end = group[0].start + group[0].known, min(group[-1].start + group[-1].known + group[-1].new, columns)
    column = new - 2 * context if first else 0
    last = first + len(group) == len(plan)
    # All tables are of one length; windows beyond those needed are not looked at.
    table = windows.table(group + group[-1:] * (2 * CLIPS - len(group)))
    table = table._replace(start=table.start - column, frame=table.frame - group[0].frame)
    seen = min(group[-1].frame + spec.frames, frames)
    sound = (new - context if first else 0, end if last else end - context)
    found.append(Piece(table, first, group[0].frame, seen, column, new, end, sound))
  return found


def frames_of_piece(spec: ClipSpec) -> int:
  """Frames that the windows of a stretch see, at the most."""
  return int(np.ceil((2 * CLIPS - 1) * windows.steps(spec).hop * spec.column_seconds * spec.fps)) + 1 + spec.frames


class Kept:
  """Takes of a query as they are made, stretch by stretch.

  Attributes:
    audio: float32 [B, N], complete up to the last stretch's end.
    grids: int32 [B, R, K].
    seen: float32 [F], onset probability per frame.
  """

  def __init__(self, audio: np.ndarray, frames: int, spec: ClipSpec, conventions: Conventions):
    columns = windows.columns_of(frames, spec, conventions)
    self.audio = audio
    self.grids = np.zeros((len(audio), spec.code_rows, columns), np.int32)
    self.seen = np.zeros(frames, np.float32)
    self._spec, self._delay, self._fade = spec, windows.delay(spec, conventions), fade_samples(spec)

  def stretch(self, piece: Piece, takes: slice, frames: np.ndarray, needed: int) -> Stretch:
    """What the `takes` go on from."""
    before = self.grids[None, takes, :, piece.column : piece.new]
    numbers = (piece.first, needed, piece.column, self.grids.shape[2])
    return Stretch(before, frames[None], piece.table, *map(np.int32, numbers))

  def add(self, piece: Piece, takes: slice, made: Made) -> None:
    """What was made of the first of `takes`, as many as there are."""
    grids, audio = self.grids[takes], self.audio[takes]
    count, before = len(grids), piece.new - piece.column
    grids[..., piece.new : piece.end] = np.asarray(made.grids[:count])[..., before : before + piece.end - piece.new]
    self.seen[piece.frame : piece.seen] = np.asarray(made.seen)[: piece.seen - piece.frame]
    first, end = (self._delay + column * self._spec.samples_per_column for column in piece.sound)
    offset = self._delay + piece.column * self._spec.samples_per_column
    # A little of what the next stretch makes as well, to fade from the one to the other.
    sound = np.asarray(made.audio[:count])[:, first - offset : end + self._fade - offset]
    lay(audio, first, sound, self._fade if piece.first else 0)

  def frames_done(self, piece: Piece) -> int:
    """Frames whose sound is complete after a stretch."""
    if piece.end == self.grids.shape[2]:
      return len(self.seen)
    return (self._delay + piece.sound[1] * self._spec.samples_per_column) // self._spec.samples_per_frame


def fade_samples(spec: ClipSpec) -> int:
  """How long one stretch fades into the next."""
  return round(_FADE_S * spec.sample_rate)


def lay(audio: np.ndarray, first: int, sound: np.ndarray, fade: int) -> None:
  """Writes sound [B, N] to audio [B, N'] from sample `first` on, as far as there is room; within the first `fade`
  samples it fades in over what is there."""
  there = audio[:, first : first + sound.shape[1]]
  sound = sound[:, : there.shape[1]]
  share = ((np.arange(min(fade, sound.shape[1])) + 0.5) / max(fade, 1)).astype(np.float32)
  faded = len(share)
  there[:, :faded] = share * sound[:, :faded] + (1 - share) * there[:, :faded]
  there[:, faded:] = sound[:, faded:]


def make(
  call: Callable[[slice, Stretch], Made],
  frames: Frames,
  audio: np.ndarray,
  spec: ClipSpec,
  conventions: Conventions,
  *,
  at_once: int,
  network: SyncNet | None,
  progress: Callable[[int, int], None],
) -> tuple[Kept, rerank.Sync | None]:
  """Makes B takes, stretch by stretch, and scores their segments as soon as they are complete.

  Args:
    call: makes a stretch of some of the takes, of `at_once` at the most.
    frames: of the query.
    audio: float32 [B, N] zeros, which become the takes.
    spec, conventions: of the weights.
    network: what scores; None leaves that out.
    progress: told after every stretch how many frames of how many are done.

  Raises:
    FloatingPointError: the weights overflow.
  """
  count, judged, syncs = len(frames), 0, []
  kept, segments = Kept(audio, count, spec, conventions), rerank.segments(count, spec)
  plan, needed = pieces(count, spec, conventions), len(windows.plan(count, spec, conventions))
  for piece, following in itertools.zip_longest(plan, plan[1:]):
    shown = frames.read(piece.frame, frames_of_piece(spec))
    for first in range(0, len(audio), at_once):
      takes = slice(first, first + at_once)
      made = call(takes, kept.stretch(piece, takes, shown, needed))
      if not np.isfinite(made.audio).all():
        raise FloatingPointError("sound that is no number")
      kept.add(piece, takes, made)
    done = kept.frames_done(piece)
    while network and (ready := [s for s in segments[judged : judged + CLIPS] if s[1] <= done]):
      slices = [audio[first : first + at_once] for first in range(0, len(audio), at_once)]
      syncs.append(_stacked([_scored(network, frames, some, ready, spec, CLIPS) for some in slices], 0))
      judged += len(ready)
    if following:
      frames.forget(min(following.frame, segments[judged][0]) if network else following.frame)
    progress(done, count)
  return kept, _stacked(syncs, 1) if syncs else None


def _stacked(syncs: Sequence[rerank.Sync], axis: int) -> rerank.Sync:
  return rerank.Sync(*(np.concatenate(x, axis) for x in zip(*syncs, strict=True)))


def scored_alone(
  network: SyncNet, frames: Frames, audio: np.ndarray, segments: Sequence[tuple[int, int]], spec: ClipSpec
) -> rerank.Sync:
  """Sync [B, G] of takes [B, N] in any segments of a query, rising, each of a clip at the most; see `_scored`."""
  found = []
  for start, end in segments:
    shown = Held(frames.read(start, end - start))
    sound = audio[:, start * spec.samples_per_frame : end * spec.samples_per_frame]
    found.append(_scored(network, shown, sound, [(0, end - start)], spec, 1))
  return _stacked(found, 1)


def _scored(
  network: SyncNet,
  frames: Frames,
  audio: np.ndarray,
  segments: Sequence[tuple[int, int]],
  spec: ClipSpec,
  clips: int,
) -> rerank.Sync:
  """Sync [B, G] of takes [B, N] in G segments of a query, at most `clips` in a row (`rerank.segments`).

  Args:
    network: what scores.
    frames: of the query.
    audio, segments, spec: as said.
    clips: for each number a program is compiled.
  """
  first, size = segments[0][0], clips * spec.frames
  samples = slice(first * spec.samples_per_frame, (first + size) * spec.samples_per_frame)
  sound = audio[:, samples]
  sound = np.pad(sound, ((0, 0), (0, size * spec.samples_per_frame - sound.shape[1])))
  lengths = np.array([min(len(frames) - first, size)], np.int32)
  found = _score(network, frames.read(first, size)[None], lengths, sound[None], spec=spec)
  return rerank.Sync(*(np.asarray(x)[0, :, : len(segments)] for x in found))


_score = jax.jit(rerank.score_segments, static_argnames="spec")
