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
from typing import NamedTuple

import numpy as np
from rich.console import Console

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands import inputs
from condfoley_jax.commands.bar import Bar
from condfoley_jax.commands.settings import Example, Settings, bounds
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling.long_video import Frames, Held
from condfoley_jax.sampling.rerank import Sync, over_segments, rank
from condfoley_jax.sampling.spans import Joined, Section, Span
from condfoley_jax.sampling.spans import spans as spans_of
from condfoley_jax.weights import fit, folder
from data_pipelines import interrupt, media
from data_pipelines.errors import InputError

# Sound of all takes of a long query, bytes, above which it lies in a file.
_IN_MEMORY = 2**28
# True peak that no take is above, dB of full scale (EBU R 128), and how exactly the meter tells it, of full scale.
PEAK_DB = -1.0
_PEAK_STEP = 0.0005
# Of all takes' sound, float32, that are in memory at once: what the device made, what is written, and what is between.
_COPIES = 4


class Retake(NamedTuple):
  """Which take a take was made from by making `from_s` to `to_s` of it anew."""

  take: int
  from_s: float
  to_s: float


@dataclasses.dataclass(frozen=True)
class Take:
  """One generated soundtrack.

  Attributes:
    audio: float32 [N], its true peak at most `PEAK_DB`.
    seed: of what was drawn.
    onsets_s: onsets that are heard, s.
    segments: start and end, s, and sync of stretches of a clip's length.
    gain: what the sound was multiplied with, that it is not louder.
    lufs: integrated loudness; None of what is silent or shorter than 0.4 s.
    peak: true peak, 1 being full scale.
    retake: where it is a take with a stretch made anew, with the seed, of what.
  """

  audio: np.ndarray
  seed: int
  onsets_s: np.ndarray
  segments: list[tuple[float, float, Sync]]
  gain: float
  lufs: float | None
  peak: float
  retake: Retake | None = None

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
    starts_s: where the clips of the examples start, s.
    examples: their frames and audio.
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
  starts_s: list[float]
  examples: list[sampler.Example]
  takes: list[Take]
  seen: np.ndarray
  spec: ClipSpec
  weights_id: str
  conventions: Conventions
  ranked_by: str
  seconds: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Request:
  """One query with its examples, read and ready to be made.

  Attributes:
    query, settings, inputs, starts_s, examples: as in `Generation`.
    frames: of the query, in memory or read as they are needed.
    spans: stretches of the query, one per example.
    seeds: of the takes.
    sparse_frames: as in `sampler.Job`.
    samples: of sound at the end.
  """

  query: Path
  settings: Settings
  inputs: dict[str, dict]
  starts_s: list[float]
  examples: list[sampler.Example]
  frames: np.ndarray | Frames
  spans: list[Span]
  seeds: list[int]
  sparse_frames: np.ndarray | None
  samples: int

  @property
  def alone(self) -> bool:
    """Whether it is made stretch by stretch, and so not together with others."""
    return len(self.spans) > 1 or not isinstance(self.frames, np.ndarray)

  @property
  def job(self) -> sampler.Job:
    """Of one that is not made alone."""
    return sampler.Job(self.frames, self.examples[0], self.seeds, self.sparse_frames)

  @property
  def nbytes(self) -> int:
    """Of the arrays, bytes."""
    held = (self.frames, *(x for example in self.examples for x in example), self.sparse_frames)
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
    at_once = 1 if self.generator.is_long(frame_count(seconds, spec)) else settings.candidates
    require_room(query, seconds, at_once, spec)
    spans = spans_of(bounds(query, seconds, settings.examples), frame_count(seconds, spec), spec)
    frames = inputs.read_frames(query, spec, long=self.generator.is_long)
    found = [self.example(x, span.end - span.first) for x, span in zip(settings.examples, spans, strict=True)]
    starts_s, examples = (list(x) for x in zip(*found, strict=True))
    seeds = [(settings.seed + i) % 2**32 for i in range(settings.candidates)]
    sparse = inputs.sparse_frames(query) if self.generator.ranked_by == "sync" else None
    settled = self.settled(settings)
    return Request(query, settled, described, starts_s, examples, frames, spans, seeds, sparse, samples)

  def example(self, example: Example, frames: int) -> tuple[float, sampler.Example]:
    """Where its clip starts, s, and the clip, for a stretch of `frames` frames.

    Raises:
      InputError: by `inputs.read_example`.
    """
    return inputs.read_example(
      example.path,
      example.start_s,
      self.spec,
      clips=self.generator.example_clips(frames),
      denoised=self.weights.conventions.denoise,
      pictures=not self.generator.goes_without_pictures,
    )

  def settled(self, settings: Settings) -> Settings:
    """With what the weights decide where the user does not."""
    tau_s = self.generator.tau_s if settings.tau_s is None else settings.tau_s
    guidance = 1.0 if self.sampling.guidance is None else self.sampling.guidance
    return dataclasses.replace(settings, top_k=self.sampling.top_k, guidance=guidance, tau_s=tau_s)

  def begin(self, requests: Sequence[Request]) -> Callable[[], list[sampler.Takes]]:
    """Sets the device to work on requests of one bucket (`Generator.bucket`); gives what waits for their takes.

    One that is made alone is made while it is waited for.

    Raises:
      InputError: by what waits: the weights overflow, or there is no room for a long one's takes.
    """
    threading.Thread(target=librosa, daemon=True).start()  # For onsets: it loads while the device works.
    if requests[0].alone:
      (request,) = requests
      wait = lambda: [self._make_alone(request)]
    else:
      jobs = [request.job for request in requests]
      begun = self.generator.begin(jobs, self.sampling)
      wait = lambda: self.generator.finish(begun, jobs)

    def finish() -> list[sampler.Takes]:
      try:
        return wait()
      except FloatingPointError as error:
        raise InputError(f"{self.directory}: gives {error}; convert or train the weights again") from error

    return finish

  def _make_alone(self, request: Request) -> sampler.Takes:
    frames = Held(request.frames) if isinstance(request.frames, np.ndarray) else request.frames
    shape = len(request.seeds), len(frames) * self.spec.samples_per_frame
    if len(request.spans) == 1:
      return self._make_long(request, frames, request.examples[0], _zeros(shape))
    joined = Joined(_zeros(shape), len(frames), self.spec)
    for span, example in zip(request.spans, request.examples, strict=True):
      section = Section(frames, span)
      if self.generator.is_long(len(section)):
        made = self._make_long(
          request, section, example, _zeros((shape[0], len(section) * self.spec.samples_per_frame))
        )
      else:
        sparse = inputs.sparse_section(request.sparse_frames, span, self.spec)
        job = sampler.Job(section.read(0, len(section)), example, request.seeds, sparse)
        (made,) = self.generator.make([job], self.sampling)
      joined.add(span, made)
    return joined.takes()

  def _make_long(self, request: Request, frames: Frames, example: sampler.Example, audio: np.ndarray) -> sampler.Takes:
    with Bar("sample and vocode") as bar:
      return self.generator.make_long(frames, example, self.sampling, request.seeds, audio=audio, progress=bar.show)

  def rank(self, request: Request, made: sampler.Takes, seconds: dict[str, float]) -> Generation:
    """The generation, best take first."""
    takes = [_judged(request, made, number, self.spec) for number in range(len(request.seeds))]
    order = np.asarray(rank(*over_segments(made.syncs), request.settings.tau_s))
    return Generation(
      request.query,
      request.settings,
      request.inputs,
      request.starts_s,
      request.examples,
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
  """Path and content of query and examples (`example`, `example_2`, ...); where the user chose that these start and
  what stretch they are for, s; start None where it was found."""
  told = {"query": {"path": str(query), "sha256": _sha256(query)}}
  for number, example in enumerate(settings.examples, 1):
    chosen = {"chosen_start_s": example.start_s, "from_s": example.from_s, "to_s": example.to_s}
    file = {"path": str(example.path), "sha256": _sha256(example.path)}
    told["example" if number == 1 else f"example_{number}"] = file | chosen
  return told


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


def frame_count(seconds: float, spec: ClipSpec) -> int:
  """Frames of a query of so many seconds, as `media.decode_frames` gives them."""
  return max(1, round(seconds * spec.fps))


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
  audio, gain, heard = held_down(inputs.fitted(made.audio[number], request.samples), spec.sample_rate)
  end_s = len(audio) / spec.sample_rate
  syncs = [Sync(float(x), float(y)) for x, y in zip(*(of[number] for of in made.syncs), strict=True)]
  spans = [(start / spec.fps, min(end / spec.fps, end_s)) for start, end in made.segments]
  onsets = np.asarray(detect_onsets(audio, spec.sample_rate))
  judged = [(*span, sync) for span, sync in zip(spans, syncs, strict=True)]
  return Take(audio, request.seeds[number], onsets, judged, gain, heard.integrated_lufs, heard.true_peak)


def held_down(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, float, media.Loudness]:
  """float32 audio [N] turned down where its true peak is above `PEAK_DB`, by what, and how loud it is then."""
  heard = media.measure_loudness(audio, sample_rate)
  gain = min(1.0, 10 ** (PEAK_DB / 20) / (heard.true_peak + _PEAK_STEP))
  if gain == 1:
    return audio, gain, heard
  audio *= gain
  lufs = None if heard.integrated_lufs is None else heard.integrated_lufs + 20 * math.log10(gain)
  return audio, gain, media.Loudness(lufs, heard.true_peak * gain)


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
