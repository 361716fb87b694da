"""Weights that make takes for the command line: inputs read, takes sampled and ranked."""

import dataclasses
import errno
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands import inputs
from condfoley_jax.commands.bar import Bar
from condfoley_jax.commands.generation import Generation, Take, describe_inputs, held_down, timed
from condfoley_jax.commands.settings import Example, Settings, bounds
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling import long_video
from condfoley_jax.sampling.long_video import Frames, Held
from condfoley_jax.sampling.rerank import Sync, over_segments, rank
from condfoley_jax.sampling.spans import Joined, Section, Span
from condfoley_jax.sampling.spans import spans as spans_of
from condfoley_jax.weights import fit, folder
from data_pipelines import memory
from data_pipelines.errors import InputError

# Sound of all takes of a long query, bytes, above which it lies in a file.
_IN_MEMORY = 2**28
# Bytes of that file that are written at a time.
_AT_A_TIME = 2**24
# Of all takes' sound, float32, that are in memory at once: what the device made, what is written, and what is between.
_COPIES = 4


@dataclasses.dataclass(frozen=True)
class Request:
  """One query with its examples, read and ready to be made.

  Attributes:
    query, settings, inputs, starts_s, examples, damaged_s: as in `Generation`; of a query that is read as it is
      needed, more is added to damaged_s then.
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
  damaged_s: dict[str, list[float]]

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
    spec = self.spec
    samples = inputs.query_samples(query, spec, sound=settings.original_db is not None)
    described = describe_inputs(query, settings)  # Before they are read: what changes while they are is seen later.
    seconds = samples / spec.sample_rate
    spans = spans_of(bounds(query, seconds, settings.examples), frame_count(seconds, spec), spec)
    self._require_room(query, seconds, spans, settings.candidates)
    damaged_s: dict[str, list[float]] = {name: [] for name in described}
    query_s, *examples_s = damaged_s.values()
    frames = inputs.read_frames(query, spec, query_s, long=self.generator.is_long)
    lengths = [span.end - span.first for span in spans]
    found = [self.example(*x) for x in zip(settings.examples, lengths, examples_s, strict=True)]
    starts_s, examples = (list(x) for x in zip(*found, strict=True))
    seeds = [(settings.seed + i) % 2**32 for i in range(settings.candidates)]
    sparse = inputs.sparse_frames(query) if self.generator.ranked_by == "sync" else None
    settled = self.settled(settings)
    return Request(query, settled, described, starts_s, examples, frames, spans, seeds, sparse, samples, damaged_s)

  def _require_room(self, query: Path, seconds: float, spans: Sequence[Span], candidates: int) -> None:
    """`require_room` of what is in memory at once.

    Of a long query that is one take, and of all takes a stretch that is made, or scored; the rest is in a file.
    """
    spec = self.spec
    if not self.generator.is_long(frame_count(seconds, spec)):
      require_room(query, seconds, candidates, spec)
      return
    require_room(query, seconds, 1, spec)
    longest = max(span.end - span.first for span in spans)
    require_room(query, min(longest, long_video.CLIPS * spec.frames) / spec.fps, candidates, spec)

  def example(self, example: Example, frames: int, damaged_s: list[float]) -> tuple[float, sampler.Example]:
    """Where its clip starts, s, and the clip, for a stretch of `frames` frames; `damaged_s` as in `inputs`.

    Raises:
      InputError: by `inputs.read_example`.
    """
    return inputs.read_example(
      example.path,
      example.start_s,
      self.spec,
      damaged_s,
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
      frames.forget(span.first)
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
      request.damaged_s,
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
  there = memory.machine_bytes()
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
    # Of a disk that it fills others would have nothing meanwhile.
    if size > shutil.disk_usage(tempfile.gettempdir()).free:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with tempfile.TemporaryFile() as file:
      # A file with holes would end the process where one cannot be filled.
      for first in range(0, size, _AT_A_TIME):
        file.write(bytes(min(_AT_A_TIME, size - first)))
      file.flush()
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
