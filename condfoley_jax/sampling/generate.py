"""Videos and examples as arrays in, takes as arrays out: what is done on the host around `sampling/program.py`.

A query longer than a clip is covered by windows (`sampling/windows.py`); each continues from the codes before it.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from condfoley_jax.audio.onsets import onset_strength
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models import sync
from condfoley_jax.sampling import long_video, placement, program, rerank, windows
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.rerank import Sync
from condfoley_jax.weights import folder
from condfoley_jax.weights.folder import Weights

# What a weights folder must hold to generate, and what it may hold besides.
COMPONENTS = ("vqgan", "vocoder", "video_encoder", "transformer")
OPTIONAL = ("event_head", "sync_net", "sync")
# What a device makes in one call: takes that fill it, and seconds of sound of all takes that its memory holds.
_TAKES, _SECONDS = 128, 2048.0


def load(directory: Path, *, narrow: bool | None = None) -> Weights:
  """The weights of a folder as takes are made with them.

  Args:
    directory: of the weights.
    narrow: the transformer in bfloat16; by default on accelerators, which wait for its weights at every step. What is
      drawn from its logits is drawn in float32.

  Raises:
    InputError: by `folder.load`.
  """
  narrow = jax.default_backend() != "cpu" if narrow is None else narrow
  return folder.load(directory, only=COMPONENTS, optional=OPTIONAL, narrow=("transformer",) if narrow else ())


def sampling_of(
  conventions: Conventions,
  *,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float = 1.0,
  min_p: float = 0.0,
  guidance: float | None = None,
) -> Sampling:
  """How takes are drawn, by what the weights say where top_k or guidance is None."""
  top_k = conventions.top_k if top_k is None else top_k
  guidance = conventions.guidance if guidance is None else guidance
  return Sampling(temperature, min(top_k, 2**31 - 1), top_p, min_p, None if guidance == 1 else guidance)


class Example(NamedTuple):
  """frames: uint8 [T, S, S, 3] and audio: float32 [N] of one clip; frames None where it is sound alone."""

  frames: np.ndarray | None
  audio: np.ndarray


class Job(NamedTuple):
  """What takes are made from.

  Attributes:
    frames: uint8 [F, S, S, 3], the query at the spec's rate.
    example: the clip that sounds right, `Generator.example_clips(F)` clips long.
    seeds: of the takes; a take depends on its own seed only.
    sparse_frames: uint8 [F', 224, 224, 3] at 25 Hz, the query as SparseSync sees it, where that ranks the takes.
  """

  frames: np.ndarray
  example: Example
  seeds: Sequence[int]
  sparse_frames: np.ndarray | None = None


class Takes(NamedTuple):
  """Takes of one job.

  Attributes:
    audio: float32 [B, N], as long as the query: F * samples per frame; as loud as it comes (`program.limit`).
    grids: int32 [B, R, K]; None of a query that was made stretch by stretch with examples of their own.
    seen: float32 [F], probability of an onset per frame.
    syncs: of each take in each segment, float32 [B, G] each.
    segments: frames in which each segment begins and ends.
  """

  audio: np.ndarray
  grids: np.ndarray | None
  seen: np.ndarray
  syncs: Sync
  segments: list[tuple[int, int]]


class Generator:
  """The line from frames and an example to takes, with one set of weights.

  Args:
    weights: see there; its parts, where they are on the devices, are `parts`, its conventions `conventions`.
    mesh: the devices that make takes; by default all of this process (`placement.mesh_of`). Of its axes `fsdp` is 1:
      what is gathered at every step is slow, and XLA's partitioner ends the process where `data` is split by hand.
  """

  def __init__(self, weights: Weights, mesh: Mesh | None = None):
    self.spec: ClipSpec = weights.clip
    self.conventions: Conventions = weights.conventions
    self._mesh = placement.mesh_of(weights.components) if mesh is None else mesh
    self.parts = weights.components if self._mesh.size == 1 else placement.place(weights.components, self._mesh)

  @property
  def ranked_by(self) -> str:
    """What ranks takes: `sync_net`, `sync` (SparseSync) or `onsets`, for want of a network."""
    return next((name for name in ("sync_net", "sync") if name in self.parts), "onsets")

  @property
  def tau_s(self) -> float:
    """How far apart offsets may be and still count as alike, s, where the user does not say."""
    return rerank.TAU_S[self.ranked_by]

  @property
  def goes_without_pictures(self) -> bool:
    """Whether an example may be sound alone."""
    return self.parts["transformer"].config.stand_ins and self.conventions.windows == "sliding"

  def example_clips(self, frames: int) -> int:
    """Clips that the example of a query of `frames` frames is long: 1, or in the published way as many as the query.

    Its features and codes are then those of the whole, though only the first clip of them may be seen.
    """
    if self.conventions.windows == "sliding":
      return 1
    return windows.columns_of(frames, self.spec, self.conventions) // self.spec.code_columns

  def bucket(self, frames: int) -> int:
    """Length in frames that a query of `frames` frames is made at: jobs of one bucket share a program, and a call."""
    if self.conventions.windows == "sliding":
      return -(-frames // self.spec.frames) * self.spec.frames
    # The published program cuts the video to whole clips.
    return max(1, frames // self.spec.frames) * self.spec.frames

  def at_once(self, frames: int) -> int:
    """Takes of queries of `frames` frames that are made in one call."""
    fitting = int(_SECONDS * self.spec.fps / self.bucket(frames))
    return max(1, min(_TAKES, fitting)) * self._mesh.shape["data"]

  def is_long(self, frames: int) -> bool:
    """Whether a query of so many frames is made stretch by stretch (`make_long`).

    The published way, and ranking by SparseSync, make every query whole.
    """
    whole = self.conventions.windows != "sliding" or self.ranked_by == "sync"
    return not whole and frames > long_video.CLIPS * self.spec.frames

  def __call__(self, frames: np.ndarray, example: Example, sampling: Sampling, seeds: Sequence[int]) -> Takes:
    """Makes one take per seed of one job; see `make`."""
    if self.is_long(len(frames)):
      return self.make_long(long_video.Held(frames), example, sampling, seeds)
    return self.make([Job(frames, example, seeds)], sampling)[0]

  def make(self, jobs: Sequence[Job], sampling: Sampling) -> list[Takes]:
    """Makes the takes of several jobs in one run; see `begin`."""
    return self.finish(self.begin(jobs, sampling), jobs)

  def begin(self, jobs: Sequence[Job], sampling: Sampling) -> list[program.Made]:
    """Sets the devices to work on several jobs at once, and does not wait for them.

    Args:
      jobs: of one bucket; those with fewer seeds than another cost as much as that one. More takes of each than
        `at_once` are made in calls one after the other.
      sampling: temperature, limits and guidance, of all.

    Returns:
      What the calls make, some takes of all jobs each.

    Raises:
      ValueError: the jobs are of several buckets, or an example has no pictures and that cannot be.
    """
    gathered = self._gathered(jobs)
    takes = gathered.seeds.shape[1]
    calls = -(-takes // self.at_once(gathered.frames.shape[1]))
    parts = np.split(_repeated(gathered.seeds, calls * -(-takes // calls), 1), calls, axis=1)
    return [self._call(gathered._replace(seeds=seeds), sampling) for seeds in parts]

  def _call(self, jobs: program.Jobs, sampling: Sampling) -> program.Made:
    of = {"spec": self.spec, "conventions": self.conventions}
    if self._mesh.size == 1:
      return program.make_takes(self.parts, jobs, sampling, **of)
    (count, takes), devices = jobs.seeds.shape, self._mesh.shape["data"]
    up = lambda n: -(-n // devices) * devices
    # What leaves fewer devices idle; what fills up the number is not looked at.
    if up(count) * takes <= count * up(takes):
      split, jobs = "jobs", jax.tree.map(lambda x: _repeated(x, up(count), 0), jobs)
    else:
      split, jobs = "takes", jobs._replace(seeds=_repeated(jobs.seeds, up(takes), 1))
    return program.make_takes_on(self.parts, jobs, sampling, **of, mesh=self._mesh, split=split)

  def make_long(
    self,
    frames: long_video.Frames,
    example: Example,
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    audio: np.ndarray | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
  ) -> Takes:
    """Makes the takes of a long query (`is_long`), of which a stretch at a time is in memory.

    Args:
      frames: of the query.
      example, sampling, seeds: as in `Job` and `begin`.
      audio: float32 [B, N] zeros that the takes are written to, which may be on a disk; by default in memory.
      progress: told after every stretch how many frames of how many are done.

    Raises:
      FloatingPointError: the weights overflow.
    """
    if audio is None:
      audio = np.zeros((len(seeds), len(frames) * self.spec.samples_per_frame), np.float32)
    call = lambda takes, stretch: self.make_stretch(example, seeds[takes], stretch, sampling)
    kept, syncs = long_video.make(
      call,
      frames,
      audio,
      self.spec,
      self.conventions,
      at_once=self.at_once(long_video.CLIPS * self.spec.frames),
      network=self.parts.get("sync_net"),
      progress=progress,
    )
    segments = rerank.segments(len(frames), self.spec)
    syncs = syncs or _by_onsets(kept.seen, audio, segments, self.spec)
    return Takes(audio, kept.grids, kept.seen, syncs, segments)

  def make_stretch(
    self, example: Example, seeds: Sequence[int], stretch: long_video.Stretch, sampling: Sampling
  ) -> long_video.Made:
    """Makes a stretch of the takes of these seeds, and maybe of more, that are not to be looked at."""
    jobs = program.Jobs(
      frames=None,
      lengths=stretch.columns[None],
      seeds=np.asarray(seeds, np.uint32)[None],
      **self._examples([example]),
    )
    of = {"spec": self.spec, "conventions": self.conventions}
    if self._mesh.size == 1:
      return long_video.make_stretch(self.parts, jobs, stretch, sampling, **of)
    up = -(-len(seeds) // self._mesh.shape["data"]) * self._mesh.shape["data"]
    jobs = jobs._replace(seeds=_repeated(jobs.seeds, up, 1))
    stretch = stretch._replace(before=_repeated(stretch.before, up, 1))
    return long_video.make_stretch_on(self.parts, jobs, stretch, sampling, **of, mesh=self._mesh)

  def score(
    self, frames: long_video.Frames, seen: np.ndarray, audio: np.ndarray, segments: Sequence[tuple[int, int]]
  ) -> Sync:
    """Sync [B, G] of takes [B, N], not yet turned down, in any segments of the query, rising, a clip long at the most.

    `seen` [F] are the onset probabilities of the query's frames, where no network scores takes.
    """
    if "sync_net" in self.parts:
      return long_video.scored_alone(self.parts["sync_net"], frames, audio, segments, self.spec)
    return _by_onsets(seen, audio, segments, self.spec)

  def finish(self, begun: Sequence[program.Made], jobs: Sequence[Job]) -> list[Takes]:
    """Waits for what was begun for these jobs, or for these and others after them.

    Raises:
      FloatingPointError: the weights overflow.
    """
    made = _joined([jax.tree.map(np.asarray, part) for part in begun])
    if not (np.isfinite(made.audio).all() and np.isfinite(made.seen).all()):
      raise FloatingPointError("sound that is no number")
    return [self._takes(jax.tree.map(lambda x, i=i: x[i], made), job) for i, job in enumerate(jobs)]

  def _gathered(self, jobs: Sequence[Job]) -> program.Jobs:
    if len(buckets := {self.bucket(len(job.frames)) for job in jobs}) > 1:
      raise ValueError(f"jobs of buckets {sorted(buckets)} frames long do not go together")
    (frames,), takes = buckets, max(len(job.seeds) for job in jobs)
    return program.Jobs(
      frames=np.stack([_clip_at(job.frames, frames) for job in jobs]),
      lengths=np.array([min(len(job.frames), frames) for job in jobs], np.int32),
      **self._examples([job.example for job in jobs]),
      seeds=np.stack([_repeated(np.asarray(job.seeds, np.uint32), takes, 0) for job in jobs]),
      **(self._sparse(jobs, frames) if self.ranked_by == "sync" else {}),
    )

  def _examples(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """What of a job's arguments is the example's."""
    shape = (self.example_clips(0) * self.spec.frames, self.spec.frame_size, self.spec.frame_size, 3)
    seen = [example.frames is not None for example in examples]
    if not all(seen) and not self.goes_without_pictures:
      raise ValueError("an example without pictures: these weights never went without")
    shown = [np.zeros(shape, np.uint8) if x.frames is None else x.frames for x in examples]
    found = {"example_frames": np.stack(shown), "example_audio": np.stack([x.audio for x in examples])}
    found["example_audio"] = found["example_audio"].astype(np.float32)
    return found if all(seen) else found | {"example_seen": np.array(seen)}

  def _sparse(self, jobs: Sequence[Job], bucket: int) -> dict[str, np.ndarray]:
    """The queries as SparseSync sees them."""
    longest = -(-bucket * sync.FPS // self.spec.fps)
    return {
      "sparse_frames": np.stack([_clip_at(job.sparse_frames, longest) for job in jobs]),
      "sparse_lengths": np.array([min(len(job.sparse_frames), longest) for job in jobs], np.int32),
    }

  def _takes(self, made: program.Made, job: Job) -> Takes:
    """Of one job, cut to its own length and number."""
    length, takes = len(job.frames), len(job.seeds)
    samples, columns = length * self.spec.samples_per_frame, windows.columns_of(length, self.spec, self.conventions)
    # A query is longer than its bucket where the published way leaves its end silent.
    fill = lambda x, size: np.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, size - x.shape[-1]),))
    audio = fill(made.audio[:takes, :samples], samples)
    seen = fill(made.seen[:length], length)
    judged = min(length, self.bucket(length))
    cut = rerank.sparse_segments if self.ranked_by == "sync" else rerank.segments
    segments = cut(judged, self.spec)
    if made.syncs is None:
      syncs = _by_onsets(seen, audio, segments, self.spec)
    else:
      syncs = Sync(*(x[:takes, : len(segments)] for x in made.syncs))
    return Takes(audio, made.grids[:takes, :, :columns], seen, syncs, segments)

  def through_codes(self, audio: np.ndarray) -> np.ndarray:
    """A clip's audio float32 [N] as codes and vocoder give it back: the best that any choice of codes can sound."""
    return np.asarray(_through_codes(self.parts, audio[None], self.spec, self.conventions)[0])

  def through_mel(self, audio: np.ndarray) -> np.ndarray:
    """A clip's audio float32 [N] as the vocoder gives it back from its mel."""
    return np.asarray(_through_mel(self.parts, audio[None], self.spec, self.conventions)[0])


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def _through_codes(parts: program.Parts, audio: jax.Array, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Audio [1, N] of a clip -> the same, by way of its codes."""
  levelled, gain = program.levelled(audio, conventions)
  mel = parts["vqgan"].decode(parts["vqgan"].encode(program.mel_of(levelled, spec, conventions)))
  made = program.vocode(parts["vocoder"], mel, spec, conventions)
  return program.placed(made, audio.shape[1], spec, conventions) / gain


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def _through_mel(parts: program.Parts, audio: jax.Array, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Audio [1, N] of a clip -> the same, by way of its mel."""
  levelled, gain = program.levelled(audio, conventions)
  made = program.vocode(parts["vocoder"], program.mel_of(levelled, spec, conventions), spec, conventions)
  return program.placed(made, audio.shape[1], spec, conventions) / gain


def _by_onsets(seen: np.ndarray, audio: np.ndarray, segments: Sequence[tuple[int, int]], spec: ClipSpec) -> Sync:
  """Sync of takes [B, G] by what onsets are seen and heard in the segments."""
  heard = [onset_strength(take, spec.sample_rate, spec.fps)[: len(seen)] for take in audio]
  heard = [np.pad(curve, (0, len(seen) - len(curve))) for curve in heard]
  parts = [slice(*segment) for segment in segments]
  found = [[rerank.sync_of(seen[part], curve[part], spec.fps) for part in parts] for curve in heard]
  return Sync(*np.moveaxis(np.array(found, np.float32), -1, 0))


def _joined(parts: Sequence[program.Made]) -> program.Made:
  """Takes of the same jobs together."""
  if len(parts) == 1:
    return parts[0]
  along = lambda *arrays: np.concatenate(arrays, axis=1)
  syncs = None if parts[0].syncs is None else Sync(*map(along, *(part.syncs for part in parts)))
  audio, grids = (along(*(getattr(part, name) for part in parts)) for name in ("audio", "grids"))
  return program.Made(audio, grids, parts[0].seen, syncs)


def _repeated(x: np.ndarray, count: int, axis: int) -> np.ndarray:
  """The first `count` along an axis, begun anew after its end."""
  return np.take(x, np.arange(count) % x.shape[axis], axis)


def _clip_at(frames: np.ndarray, count: int) -> np.ndarray:
  """The first `count` frames, the last one held."""
  return frames[np.minimum(np.arange(count), len(frames) - 1)]
