"""`condfoley generate`: a video and an example to ranked takes on disk, with a report to look at and listen to."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

import condfoley_jax
from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.onsets import detect_onsets, onset_strength
from condfoley_jax.clip import ClipSpec
from condfoley_jax.evaluation import report
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.rerank import Sync, rank, sync_of
from condfoley_jax.weights import folder
from data_pipelines import media
from data_pipelines.errors import InputError

# An example below this peak is silence: 60 dB under full scale.
SILENT_PEAK = 1e-3
_FILM_HEIGHT = 96


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    example: video that sounds right.
    example_start_s: where its clip starts, s; None takes the loudest one.
    candidates: takes to make; take i has seed `seed` + i.
    seed: of the first take.
    temperature, top_k, top_p: of the sampler.
    tau_s: takes whose |offset| is this close to the smallest count as in time, s.
  """

  example: Path
  example_start_s: float | None = None
  candidates: int = 1
  seed: int = 0
  temperature: float = 1.0
  top_k: int = 128
  top_p: float = 1.0
  tau_s: float = 0.2


@dataclasses.dataclass(frozen=True)
class Take:
  """One generated soundtrack: audio float32 [N]; syncs per segment of a clip's length, and of the whole."""

  audio: np.ndarray
  seed: int
  onsets_s: np.ndarray
  segments: list[tuple[float, float, Sync]]
  sync: Sync


@dataclasses.dataclass(frozen=True)
class Generation:
  """Everything that one call made; `takes` best first.

  Attributes:
    query, settings: what was asked.
    example_start_s: where the example's clip starts, s.
    example: its frames and audio.
    takes: ranked.
    seen: [T], onset probability per query frame.
    spec: grid of the weights.
    weights_id: of the weights folder.
    seconds: wall-clock seconds per stage.
  """

  query: Path
  settings: Settings
  example_start_s: float
  example: sampler.Example
  takes: list[Take]
  seen: np.ndarray
  spec: ClipSpec
  weights_id: str
  seconds: dict[str, float]


def run(query: Path, out: Path, settings: Settings, *, weights_dir: Path | None = None) -> Generation:
  """Generates takes for `query` and writes soundtrack.mp4, takes/, generation.json and report.html to `out`.

  Raises:
    InputError: an input cannot be used; nothing is written then.
  """
  generation = make(query, settings, weights_dir=weights_dir)
  write(generation, out, weights_dir=weights_dir)
  return generation


def make(query: Path, settings: Settings, *, weights_dir: Path | None = None) -> Generation:
  """The takes of `run`, not written yet."""
  seconds: dict[str, float] = {}
  with _timed("load weights", seconds):
    weights = folder.load(weights_dir or folder.SHIPPED)
  spec = weights.clip
  with _timed("read videos", seconds):
    info = media.probe(query)
    if not info.has_video:
      raise InputError(f"{query}: has no pictures; the query is a video")
    frames = _crop(media.decode_frames(query, spec.fps, spec.frame_resize), spec)
    start_s, example = read_example(settings.example, settings.example_start_s, spec)
  with _timed("sample and vocode", seconds):
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    seeds = [settings.seed + i for i in range(settings.candidates)]
    made = sampler.Generator(weights)(frames, example, sampling, seeds)
  with _timed("rank", seconds):
    samples = round(info.duration_s * spec.sample_rate)
    takes = [_judge(_fit(a, samples), seed, made.seen, spec) for a, seed in zip(made.audio, seeds, strict=True)]
    order = rank(*np.array([t.sync for t in takes]).T, settings.tau_s)
  ranked = [takes[i] for i in order]
  return Generation(query, settings, start_s, example, ranked, made.seen, spec, weights.id, seconds)


def read_example(path: Path, start_s: float | None, spec: ClipSpec) -> tuple[float, sampler.Example]:
  """Where the example's clip starts and the clip, padded with silence and its last picture where it ends early.

  Raises:
    InputError: unreadable, without pictures or sound, silent, or no such start.
  """
  info = media.probe(path)
  if not info.has_video:
    raise InputError(f"{path}: has no pictures; the example is a video with sound")
  if not info.has_audio:
    raise InputError(f"{path}: has no sound; choose an example that has")
  audio = media.decode_audio(path, spec.sample_rate)
  if start_s is None:
    start_s = _loudest(audio, spec) / spec.fps
  if start_s >= info.duration_s:
    raise InputError(f"{path}: ends at {info.duration_s:.2f} s; choose --example-start before that")
  first = round(start_s * spec.sample_rate)
  clip = _fit(audio[first : first + spec.samples], spec.samples)
  if np.abs(clip).max() < SILENT_PEAK:
    raise InputError(f"{path}: silent from {start_s:.2f} s on; choose another example or --example-start")
  frames = media.decode_frames(path, spec.fps, spec.frame_resize, start_s=start_s, duration_s=spec.seconds)
  return start_s, sampler.Example(_crop(frames, spec), clip)


def write(generation: Generation, out: Path, *, weights_dir: Path | None = None) -> None:
  """Writes the result aside, then moves it to `out`, in place of an earlier one."""
  out.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as aside:
    aside = Path(aside)
    with _timed("write", generation.seconds):
      _write_media(generation, aside)
    page_of([generation], aside, command=command_of(generation, out, weights_dir), title=generation.query.name)
    (aside / "generation.json").write_text(json.dumps(_describe(generation), indent=1) + "\n")
    shutil.rmtree(out / "takes", ignore_errors=True)
    for made in sorted(aside.iterdir()):
      os.replace(made, out / made.name)


def page_of(generations: list[Generation], directory: Path, *, command: str, title: str, names=("",)) -> None:
  """Writes `directory`/report.html; the media of generation i are in `directory`/`names[i]`."""
  results = [_result(g, directory / name) for g, name in zip(generations, names, strict=True)]
  first = generations[0]
  seconds = {k: sum(g.seconds[k] for g in generations) for k in first.seconds}
  chosen = {k: str(v) for k, v in dataclasses.asdict(first.settings).items() if k not in ("example", "example_start_s")}
  report.write_generation_report(
    directory / "report.html",
    results,
    spec=first.spec,
    title=title,
    command=command,
    settings=chosen | {"weights": first.weights_id},
    seconds=seconds,
  )


def command_of(generation: Generation, out: Path, weights_dir: Path | None) -> str:
  """The command line that repeats a generation."""
  s = generation.settings
  words = ["condfoley", "generate", "--example", s.example, "--example-start", f"{generation.example_start_s:.6g}"]
  words += ["--candidates", s.candidates, "--seed", s.seed, "--temperature", s.temperature, "--top-k", s.top_k]
  words += ["--top-p", s.top_p, "--tau", s.tau_s, *(["--weights", weights_dir] if weights_dir else [])]
  return shlex.join(str(w) for w in [*words, "--out", out, "--", generation.query])


def _write_media(generation: Generation, directory: Path) -> None:
  (directory / "takes").mkdir()
  tags = {"title": generation.query.stem, "comment": f"sound generated by condfoley-jax {condfoley_jax.__version__}"}
  for number, take in enumerate(generation.takes, 1):
    stem = directory / "takes" / f"{number:02d}"
    media.write_wav(stem.with_suffix(".wav"), take.audio, generation.spec.sample_rate)
    media.mux(generation.query, take.audio, generation.spec.sample_rate, stem.with_suffix(".mp4"), metadata=tags)
  shutil.copyfile(directory / "takes" / "01.mp4", directory / "soundtrack.mp4")


def _describe(generation: Generation) -> dict:
  """Content of generation.json: all that is needed to repeat the result."""
  settings = dataclasses.asdict(generation.settings)
  settings |= {"example": str(generation.settings.example), "example_start_s": generation.example_start_s}
  inputs = {"query": generation.query, "example": generation.settings.example}
  return {
    "version": condfoley_jax.__version__,
    "inputs": {name: {"path": str(p), "sha256": _sha256(p)} for name, p in inputs.items()},
    "settings": settings,
    "weights": generation.weights_id,
    "takes": [_describe_take(t, i) for i, t in enumerate(generation.takes, 1)],
    "seconds": {k: round(v, 3) for k, v in generation.seconds.items()},
  }


def _describe_take(take: Take, rank_: int) -> dict:
  segments = [
    {"start_s": a, "end_s": b, "sync_offset_s": s.offset_s, "sync_confidence": s.confidence}
    for a, b, s in take.segments
  ]
  return {"seed": take.seed, "rank": rank_, "onsets_s": take.onsets_s.tolist(), "segments": segments}


def _result(generation: Generation, directory: Path) -> report.Result:
  spec, query = generation.spec, generation.query
  example = report.Clip(
    generation.settings.example.name,
    video=generation.settings.example,
    audio=generation.example.audio,
    sample_rate=spec.sample_rate,
    mel=_mel(generation.example.audio, spec),
    onsets_s=detect_onsets(generation.example.audio, spec.sample_rate),
    start_s=generation.example_start_s,
  )
  takes = [_take(generation, i, directory) for i in range(1, len(generation.takes) + 1)]
  frames, times = _film(query, spec)
  return report.Result(_query_clip(query, spec), example, takes, frames, times, generation.seen)


def _take(generation: Generation, number: int, directory: Path) -> report.Take:
  take, spec = generation.takes[number - 1], generation.spec
  clip = report.Clip(
    f"Take {number}",
    video=directory / "takes" / f"{number:02d}.mp4",
    sample_rate=spec.sample_rate,
    mel=_mel(take.audio, spec),
    onsets_s=take.onsets_s,
  )
  return report.Take(clip, number, number, take.seed, take.sync.offset_s, take.sync.confidence)


def _query_clip(query: Path, spec: ClipSpec) -> report.Clip:
  if not media.probe(query).has_audio:
    return report.Clip(query.name, video=query)
  audio = media.decode_audio(query, spec.sample_rate)
  onsets = detect_onsets(audio, spec.sample_rate)
  return report.Clip(query.name, query, audio, spec.sample_rate, _mel(audio, spec), onsets)


def _film(query: Path, spec: ClipSpec) -> tuple[np.ndarray, np.ndarray]:
  """Small frames at the spec's rate in their own aspect ratio, and the times of their middles, s."""
  info = media.probe(query)
  frames = media.decode_frames(query, spec.fps, _FILM_HEIGHT)
  size = (round(_FILM_HEIGHT * info.width / info.height), _FILM_HEIGHT)
  return np.stack([cv2.resize(f, size) for f in frames]), (np.arange(len(frames)) + 0.5) / spec.fps


def _judge(audio: np.ndarray, seed: int, seen: np.ndarray, spec: ClipSpec) -> Take:
  """Onsets of a take and how well they go with the onsets seen, per segment and on the whole."""
  heard = onset_strength(audio, spec.sample_rate, spec.fps)[: len(seen)]
  heard = np.pad(heard, (0, len(seen) - len(heard)))
  segments = []
  for start in range(0, len(seen), spec.frames):
    part = slice(start, start + spec.frames)
    end_s = min((start + spec.frames) / spec.fps, len(audio) / spec.sample_rate)
    segments.append((start / spec.fps, end_s, sync_of(seen[part], heard[part], spec.fps)))
  onsets = np.asarray(detect_onsets(audio, spec.sample_rate))
  return Take(audio, seed, onsets, segments, sync_of(seen, heard, spec.fps))


def _loudest(audio: np.ndarray, spec: ClipSpec) -> int:
  """First frame of the clip with the most energy."""
  per_frame = audio[: len(audio) // spec.samples_per_frame * spec.samples_per_frame].reshape(-1, spec.samples_per_frame)
  total = np.concatenate([[0.0], np.cumsum(np.sum(per_frame.astype(np.float64) ** 2, 1))])
  if len(total) <= spec.frames:
    return 0
  return int(np.argmax(total[spec.frames :] - total[: -spec.frames]))


def _mel(audio: np.ndarray, spec: ClipSpec) -> np.ndarray:
  return np.asarray(log_mel(audio[None], spec)[0])


def _crop(frames: np.ndarray, spec: ClipSpec) -> np.ndarray:
  offset = (spec.frame_resize - spec.frame_size) // 2
  return frames[:, offset : offset + spec.frame_size, offset : offset + spec.frame_size]


def _fit(audio: np.ndarray, samples: int) -> np.ndarray:
  """Cut, or padded with silence, to `samples`."""
  return np.pad(audio[:samples], (0, max(samples - len(audio), 0)))


def _sha256(path: Path) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
  """Says what is going on, on stderr, and notes how long it took."""
  start = time.monotonic()
  with Console(stderr=True).status(f"{stage} ..."):
    yield
  seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - start
