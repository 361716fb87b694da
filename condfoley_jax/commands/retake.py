"""`condfoley retake`: a stretch of a take is made anew, and comes beside the others as another take."""

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands import earlier, inputs, output
from condfoley_jax.commands.generation import PEAK_DB, Generation, Retake, Take, describe_inputs, timed
from condfoley_jax.commands.maker import Maker, frame_count
from condfoley_jax.commands.settings import Example, bounds
from condfoley_jax.sampling import retake
from condfoley_jax.sampling.generate import Example as Heard
from condfoley_jax.sampling.long_video import Frames, Passing
from condfoley_jax.sampling.rerank import Sync
from condfoley_jax.sampling.spans import Section, Span, spans
from data_pipelines import media
from data_pipelines.errors import InputError, printable

# Where the new part begins and ends it fades in and out, s; it is twice as long at the least.
_FADE_S, _SHORTEST_S = 0.02, 0.1


def run(
  out: Path, number: int, from_s: float, to_s: float, *, seed: int | None = None, weights_dir: Path | None = None
) -> None:
  """Makes `from_s` to `to_s` of take `number` in `out` anew; all else of that take is kept, sample for sample.

  Args:
    out: folder of a result of `generate`; the new take comes after its others.
    number: of the take.
    from_s, to_s: the stretch, s.
    seed: of the new part; None for one that no take there has.
    weights_dir: those that made the result; None for the shipped ones.

  Raises:
    InputError: there is no such result, take or stretch, an input has changed, the weights are others, or another
      run is at work there.
  """
  with earlier.alone(out):
    _run(out, number, from_s, to_s, seed, weights_dir)


def _run(out: Path, number: int, from_s: float, to_s: float, seed: int | None, weights_dir: Path | None) -> None:
  """As `run`, in a folder that is this run's alone."""
  record = output.recorded(out)
  try:
    settings, query = earlier.settings_of(record), Path(record["inputs"]["query"]["path"])
    takes = [earlier.take_of(told, out / "takes" / f"{i:02d}.wav") for i, told in enumerate(record["takes"], 1)]
    starts_s, seen = earlier.starts_of(record), np.array(record["onset_curve"], np.float32)
    seconds, damaged_s = dict(record["seconds"]), record["damaged_s"]
  except (KeyError, TypeError, ValueError) as error:
    if isinstance(error, InputError):
      raise
    raise InputError(f"{out / 'generation.json'}: is damaged; run generate again") from error
  if number > len(record["takes"]):
    raise InputError(f"{out}: has {len(record['takes'])} takes; choose --take from them")
  now = describe_inputs(query, settings)
  for name, told in record["inputs"].items():
    if now.get(name) != told:
      raise InputError(f"{told['path']}: is gone, or has changed since; put it back as it was")
  with timed("load weights", {}):
    maker = Maker(weights_dir, settings)
  if maker.weights.id != record["weights"]:
    raise InputError(f"{out}: was made with weights {record['weights']}; name their folder with --weights")
  if maker.generator.conventions.windows != "sliding" or maker.generator.ranked_by == "sync":
    raise InputError(f"{maker.directory}: such weights make takes as a whole; run generate with another --seed")
  samples = inputs.query_samples(query, maker.spec, sound=False)
  if any(take.audio.shape != (samples,) for take in takes):
    raise InputError(f"{out / 'takes'}: a wav there is not as long as the query, or not mono; put it back as it was")
  length_s = samples / maker.spec.sample_rate
  meets = bounds(query, length_s, settings.examples)
  part = _part(query, meets, from_s, to_s, length_s)
  seed = _unused({take.seed for take in takes}) if seed is None else seed
  with timed("read videos", {}):
    heard = [_heard(x, start_s, maker) for x, start_s in zip(settings.examples, starts_s, strict=True)]
  with timed("sample and vocode", {}):
    span = spans(meets, frame_count(length_s, maker.spec), maker.spec)[part]
    made = _made(maker, query, span, heard[part], takes[number - 1], seed, from_s, to_s)
  with timed("rank", {}):
    fields = {"segments": _segments(maker, query, seen, made, from_s, to_s)}
    fields |= {"onsets_s": np.asarray(detect_onsets(made.audio, maker.spec.sample_rate))}
    made = dataclasses.replace(made, retake=Retake(number, from_s, to_s), **fields)
  generation = Generation(
    query,
    settings,
    record["inputs"],
    starts_s,
    heard,
    [*takes, made],
    seen,
    maker.spec,
    maker.weights.id,
    maker.weights.conventions,
    maker.generator.ranked_by,
    damaged_s,
    seconds,
  )
  output.add_take(generation, out, weights_dir=weights_dir)
  told = f"{out / 'takes'}: take {len(takes) + 1} is take {number} with {from_s:g} to {to_s:g} s made anew"
  print(printable(told), file=sys.stderr)


def _unused(seeds: set[int]) -> int:
  """The next after the largest that is none of them, after 2^32 - 1 from 0 on."""
  return next(seed for i in itertools.count(max(seeds) + 1) if (seed := i % 2**32) not in seeds)


def _part(query: Path, meets: Sequence[float], from_s: float, to_s: float, seconds: float) -> int:
  """Number of the example that the stretch sounds like; one follows another where they `meet`, s."""
  if not (from_s + _SHORTEST_S <= to_s + 1e-6 and to_s <= seconds + 1e-6):
    told = f"{from_s:g} to {to_s:g} s is no stretch of {_SHORTEST_S:g} s or more of its {seconds:.2f} s"
    raise InputError(f"{query}: {told}; choose other --from and --to")
  if crossed := [bound for bound in meets if from_s < bound < to_s]:
    raise InputError(f"{query}: at {crossed[0]:g} s another example begins; retake either side by itself")
  return sum(bound <= from_s for bound in meets)


def _heard(example: Example, start_s: float, maker: Maker) -> Heard:
  chosen = dataclasses.replace(example, start_s=start_s)
  return maker.example(chosen, maker.spec.frames, [])[1]


def _made(
  maker: Maker, query: Path, span: Span, example: Heard, take: Take, seed: int, from_s: float, to_s: float
) -> Take:
  """The take with the new part, not louder than it may be; `span` is what was made as a query of its own."""
  spec, old = maker.spec, np.asarray(take.audio)
  first, last = round(from_s * spec.sample_rate), min(round(to_s * spec.sample_rate), len(old))
  frames = Section(Passing(_frames(maker, query), spec), span)
  begin, end = span.first * spec.samples_per_frame, span.end * spec.samples_per_frame
  try:
    sound, place = old[begin:end] / take.gain, (first - begin, last - begin)
    new = retake.remake(maker.generator, frames, example, maker.sampling, seed, sound, place) * take.gain
  except FloatingPointError as error:
    raise InputError(f"{maker.directory}: gives {error}; convert or train the weights again") from error
  audio = _blended(old, new, first, spec)
  heard, most = media.measure_loudness(audio, spec.sample_rate), 10 ** (PEAK_DB / 20)
  # The rest is as loud as it may be already: the new part alone is turned down.
  if heard.true_peak > most:
    audio = _blended(old, new * (most / heard.true_peak) * 0.99, first, spec)
    heard = media.measure_loudness(audio, spec.sample_rate)
  return Take(audio, seed, take.onsets_s, take.segments, take.gain, heard.integrated_lufs, heard.true_peak)


def _frames(maker: Maker, query: Path) -> Frames:
  """Of the query, none of which was read."""
  return inputs.read_frames(query, maker.spec, [], long=lambda _: True)


def _blended(old: np.ndarray, new: np.ndarray, first: int, spec: ClipSpec) -> np.ndarray:
  """`old` with `new` from sample `first` on, faded at both ends, but for those of the whole."""
  fade, audio = round(_FADE_S * spec.sample_rate), old.copy()
  share = np.ones(len(new), np.float32)
  ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
  if first:
    share[:fade] = ramp
  if first + len(new) < len(old):
    share[-fade:] = ramp[::-1]
  part = slice(first, first + len(new))
  audio[part] = share * new + (1 - share) * old[part]
  return audio


def _segments(
  maker: Maker, query: Path, seen: np.ndarray, take: Take, from_s: float, to_s: float
) -> list[tuple[float, float, Sync]]:
  """Of the take, with those scored again that the stretch is in: as they were, before the sound was turned down."""
  fps = maker.spec.fps
  changed = [i for i, (start, end, _) in enumerate(take.segments) if start < to_s and end > from_s]
  places = [(round(take.segments[i][0] * fps), round(take.segments[i][1] * fps)) for i in changed]
  frames = Passing(_frames(maker, query), maker.spec)
  found = maker.generator.score(frames, seen, take.audio[None] / take.gain, places)
  segments = list(take.segments)
  for i, offset_s, confidence in zip(changed, *(x[0].tolist() for x in found), strict=True):
    segments[i] = (*segments[i][:2], Sync(offset_s, confidence))
  return segments
