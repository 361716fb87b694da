"""What `condfoley generate` makes, before anything is written: inputs read, takes sampled and ranked."""

import contextlib
import dataclasses
import hashlib
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands import inputs
from condfoley_jax.commands.bar import Bar
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling.rerank import Sync, over_segments, rank
from condfoley_jax.weights import fit, folder
from data_pipelines import interrupt
from data_pipelines.errors import InputError

# Sound of all takes of a long query, bytes, above which it lies in a file.
_IN_MEMORY = 2**28
# Of all takes' sound, float32, that are in memory at once: what the device made, what is written, and what is between.
_COPIES = 4


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    example: video that sounds right; None where the rows of a batch name it.
    example_start_s: where its clip starts, s; None takes the loudest one.
    candidates: takes to make; take i has seed `seed` + i, modulo 2^32.
    seed: of the first take.
    temperature, top_k, top_p, min_p, guidance: of the sampler; top_k and guidance None are what the weights say.
    tau_s: takes whose |offset| is this close to the smallest count as in time, s; None is what goes with the ranking.
  """

  example: Path | None
  example_start_s: float | None = None
  candidates: int = 1
  seed: int = 0
  temperature: float = 1.0
  top_k: int | None = None
  top_p: float = 1.0
  min_p: float = 0.0
  guidance: float | None = None
  tau_s: float | None = None


@dataclasses.dataclass(frozen=True)
class Take:
  """One generated soundtrack: audio float32 [N]; segments of a clip's length: start and end, s, and their sync."""

  audio: np.ndarray
  seed: int
  onsets_s: np.ndarray
  segments: list[tuple[float, float, Sync]]

  @property
  def sync(self) -> Sync:
    """Of the whole."""
    return Sync(*map(float, over_segments(Sync(*np.array([sync for *_, sync in self.segments]).T))))


@dataclasses.dataclass(frozen=True)
class Generation:
  """Everything that one call made; `takes` best first.

  Attributes:
    query, settings: what was asked.
    inputs: both files as they were when they were read (`describe_inputs`).
    example_start_s: where the example's clip starts, s.
    example: its frames and audio.
    takes: ranked.
    seen: [T], onset probability per query frame.
    spec: grid of the weights.
    weights_id, conventions: of the weights folder.
    ranked_by: what ranked the takes.
    seconds: wall-clock seconds per stage.
  """

  query: Path
  settings: Settings
  inputs: dict[str, dict]
  example_start_s: float
  example: sampler.Example
  takes: list[Take]
  seen: np.ndarray
  spec: ClipSpec
  weights_id: str
  conventions: Conventions
  ranked_by: str
  seconds: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Request:
  """One query and example, read and ready to be made; `samples` of sound at the end."""

  query: Path
  settings: Settings
  inputs: dict[str, dict]
  example_start_s: float
  job: sampler.Job
  samples: int

  @property
  def nbytes(self) -> int:
    """Of the arrays, bytes."""
    held = (self.job.frames, *self.job.example, self.job.sparse_frames)
    return sum(array.nbytes for array in held if isinstance(array, np.ndarray))


class Maker:
  """Weights that make generations.

  Args:
    weights_dir: their folder; None for the shipped ones.
    settings: what all generations share; guidance other than 1 must be possible with these weights.

  Raises:
    InputError: the weights cannot be used, or not so.
  """

  def __init__(self, weights_dir: Path | None, settings: Settings):
    self.directory = weights_dir or folder.SHIPPED
    self.weights = sampler.load(self.directory)
    _require_fit(self.weights, self.directory)
    self.sampling = sampler.sampling_of(
      self.weights.conventions,
      temperature=settings.temperature,
      top_k=settings.top_k,
      top_p=settings.top_p,
      min_p=settings.min_p,
      guidance=settings.guidance,
    )
    if self.sampling.guidance is not None and not self.weights.components["transformer"].config.stand_ins:
      raise InputError(f"{self.directory}: never trained without its inputs; choose --guidance 1")
    self.spec, self.generator = self.weights.clip, sampler.Generator(self.weights)

  def read(self, query: Path, settings: Settings) -> Request:
    """Reads a query and its example.

    Raises:
      InputError: one cannot be used.
    """
    spec, samples = self.spec, inputs.query_samples(query, self.spec)
    described = describe_inputs(query, settings)  # Before they are read: what changes while they are is seen later.
    seconds = samples / spec.sample_rate
    # Of a long query one take at a time is in memory, the others in a file.
    at_once = 1 if self.generator.is_long(round(seconds * spec.fps)) else settings.candidates
    require_room(query, seconds, at_once, spec)
    frames = inputs.read_frames(query, spec, long=self.generator.is_long)
    start_s, example = inputs.read_example(
      settings.example,
      settings.example_start_s,
      spec,
      clips=self.generator.example_clips(len(frames)),
      denoised=self.weights.conventions.denoise,
    )
    seeds = [(settings.seed + i) % 2**32 for i in range(settings.candidates)]
    sparse = inputs.sparse_frames(query) if self.generator.ranked_by == "sync" else None
    return Request(
      query, self.settled(settings), described, start_s, sampler.Job(frames, example, seeds, sparse), samples
    )

  def settled(self, settings: Settings) -> Settings:
    """With what the weights decide where the user does not."""
    tau_s = self.generator.tau_s if settings.tau_s is None else settings.tau_s
    guidance = 1.0 if self.sampling.guidance is None else self.sampling.guidance
    return dataclasses.replace(settings, top_k=self.sampling.top_k, guidance=guidance, tau_s=tau_s)

  def begin(self, requests: Sequence[Request]) -> Callable[[], list[sampler.Takes]]:
    """Sets the device to work on requests of one bucket (`Generator.bucket`); gives what waits for their takes.

    A long one (`Generator.is_long`) goes alone, and is made while it is waited for.

    Raises:
      InputError: by what waits: the weights overflow, or there is no room for a long one's takes.
    """
    threading.Thread(target=librosa, daemon=True).start()  # For onsets: it loads while the device works.
    jobs = [request.job for request in requests]
    if self.generator.is_long(len(jobs[0].frames)):
      (job,) = jobs
      wait = lambda: [self._make_long(job)]
    else:
      begun = self.generator.begin(jobs, self.sampling)
      wait = lambda: self.generator.finish(begun, jobs)

    def finish() -> list[sampler.Takes]:
      try:
        return wait()
      except FloatingPointError as error:
        raise InputError(f"{self.directory}: gives {error}; convert or train the weights again") from error

    return finish

  def _make_long(self, job: sampler.Job) -> sampler.Takes:
    shape = len(job.seeds), len(job.frames) * self.spec.samples_per_frame
    with Bar("sample and vocode") as bar:
      return self.generator.make_long(
        job.frames, job.example, self.sampling, job.seeds, audio=_zeros(shape), progress=bar.show
      )

  def rank(self, request: Request, made: sampler.Takes, seconds: dict[str, float]) -> Generation:
    """The generation, best take first."""
    takes = [_judged(request, made, number, self.spec) for number in range(len(request.job.seeds))]
    order = np.asarray(rank(*over_segments(made.syncs), request.settings.tau_s))
    return Generation(
      request.query,
      request.settings,
      request.inputs,
      request.example_start_s,
      request.job.example,
      [takes[i] for i in order],
      made.seen,
      self.spec,
      self.weights.id,
      self.weights.conventions,
      self.generator.ranked_by,
      seconds,
    )


def make(query: Path, settings: Settings, *, weights_dir: Path | None = None) -> Generation:
  """Reads the inputs, samples the takes and ranks them.

  Raises:
    InputError: an input cannot be used.
  """
  seconds: dict[str, float] = {}
  with timed("load weights", seconds):
    maker = Maker(weights_dir, settings)
  with timed("read videos", seconds):
    request = maker.read(query, settings)
  with timed("sample and vocode", seconds):
    (made,) = maker.begin([request])()
  with timed("rank", seconds):
    return maker.rank(request, made, seconds)


def describe_inputs(query: Path, settings: Settings) -> dict[str, dict]:
  """Path and content of query and example; where the user chose that the example starts, s, None where it was found."""
  files = {"query": query, "example": settings.example}
  told = {name: {"path": str(path), "sha256": _sha256(path)} for name, path in files.items()}
  return told | {"example": told["example"] | {"chosen_start_s": settings.example_start_s}}


def _sha256(path: Path) -> str | None:
  """None where there is no file that can be read."""
  try:
    if not path.is_file():
      return None
    with path.open("rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError:
    return None


def _require_fit(weights: folder.Weights, directory: Path) -> None:
  """Refuses a folder whose clip and components were not made for each other."""
  if found := fit.misfits(weights.clip, weights.components):
    remedy = "undo the change, or convert or train the weights again"
    raise InputError(f"{directory / 'config.json'}: what it describes does not fit together ({found}); {remedy}")


def require_room(what: Path, seconds: float, candidates: int, spec: ClipSpec) -> None:
  """Refuses takes whose sound no memory of this machine holds.

  Raises:
    InputError: names `what` they are for.
  """
  needed = _COPIES * 4.0 * seconds * spec.sample_rate * candidates
  there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  if needed > there:
    told = f"{candidates} takes of {seconds:.1f} s need {needed / 2**30:.0f} GiB of memory, of which there are"
    raise InputError(f"{what}: {told} {there / 2**30:.0f}; choose fewer --candidates")


def _zeros(shape: tuple[int, int]) -> np.ndarray:
  """float32, in memory or, where that would be much of it, in a file that goes when nothing refers to it any more.

  Raises:
    InputError: the disk is too full.
  """
  size = 4 * math.prod(shape)
  if size <= _IN_MEMORY:
    return np.zeros(shape, np.float32)
  try:
    with tempfile.TemporaryFile() as file:
      # A file with holes would end the process where one cannot be filled.
      os.posix_fallocate(file.fileno(), 0, size)
      return np.memmap(file, np.float32, "r+", shape=shape)
  except OSError as error:
    told = f"no room for {size / 2**30:.1f} GiB of sound ({error.strerror})"
    raise InputError(f"{tempfile.gettempdir()}: {told}; free some, or name another folder in TMPDIR") from error


def _judged(request: Request, made: sampler.Takes, number: int, spec: ClipSpec) -> Take:
  """A take with its onsets, and how well its segments go with the picture."""
  audio = inputs.fitted(made.audio[number], request.samples)
  end_s = len(audio) / spec.sample_rate
  syncs = [Sync(float(x), float(y)) for x, y in zip(*(of[number] for of in made.syncs), strict=True)]
  spans = [(start / spec.fps, min(end / spec.fps, end_s)) for start, end in made.segments]
  onsets = np.asarray(detect_onsets(audio, spec.sample_rate))
  judged = [(*span, sync) for span, sync in zip(spans, syncs, strict=True)]
  return Take(audio, request.job.seeds[number], onsets, judged)


@contextlib.contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[Callable[[], dict[str, float]]]:
  """Says what is going on, on stderr, and notes how long it took; gives a function for the seconds so far.

  Raises:
    Interrupted: a signal came before.
  """
  start = time.monotonic()

  def so_far() -> dict[str, float]:
    return seconds | {stage: time.monotonic() - start}

  interrupt.check()
  console = Console(stderr=True)
  with interrupt.undone(console.show_cursor), console.status(f"{stage} ..."):
    yield so_far
  seconds.update(so_far())
