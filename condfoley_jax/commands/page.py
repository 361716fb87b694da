"""The page of `condfoley generate`: a report of one generation, or of several."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands.generation import Generation
from condfoley_jax.evaluation import report
from data_pipelines import media

_FILM_HEIGHT = 96


def write(
  generations: Sequence[Generation],
  directory: Path,
  *,
  title: str,
  command: str,
  seconds: Callable[[], dict[str, float]],
  names: Sequence[str] = ("",),
  home: Path | None = None,
) -> None:
  """Writes `directory`/report.html.

  Args:
    generations: one section each.
    directory: the media of generation i are in `directory`/`names[i]`.
    title: of the page.
    command: what the user would type to repeat it all.
    seconds: gives wall-clock seconds per stage, when all the rest is drawn.
    names: see `directory`.
    home: where `directory`'s content will be moved; None leaves it there.
  """
  results = [_result(g, directory / name) for g, name in zip(generations, names, strict=True)]
  first = generations[0]
  chosen = {k: str(v) for k, v in dataclasses.asdict(first.settings).items() if k not in ("example", "example_start_s")}
  report.write_generation_report(
    directory / "report.html",
    results,
    spec=first.spec,
    title=title,
    command=command,
    settings=chosen | {"weights": first.weights_id},
    seconds=seconds,
    home=home,
  )


def command_of(generation: Generation, out: Path, weights_dir: Path | None) -> str:
  """The command line that repeats a generation."""
  s = generation.settings
  # With `=`, because a path can begin with a dash.
  words = ["condfoley", "generate", f"--example={s.example}", "--example-start", repr(generation.example_start_s)]
  words += ["--candidates", s.candidates, "--seed", s.seed, "--temperature", s.temperature, "--top-k", s.top_k]
  words += ["--top-p", s.top_p, "--min-p", s.min_p, "--guidance", s.guidance, "--tau", s.tau_s]
  words += [f"--weights={weights_dir}"] if weights_dir else []
  return shlex.join(str(w) for w in [*words, f"--out={out}", "--", generation.query])


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
  title = f"{query.name}, to sound like {example.title}"
  return report.Result(title, _query_clip(query, spec), example, takes, frames, times, generation.seen)


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
  # An extreme shape is drawn as a merely wide or narrow one.
  aspect = min(max(info.width / info.height, 0.25), 4)
  size = (round(_FILM_HEIGHT * aspect), _FILM_HEIGHT)
  return np.stack([cv2.resize(f, size) for f in frames]), (np.arange(len(frames)) + 0.5) / spec.fps


def _mel(audio: np.ndarray, spec: ClipSpec) -> np.ndarray:
  return np.asarray(log_mel(audio[None], spec)[0])
