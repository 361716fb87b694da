"""The page of `condfoley generate`: a report of one generation, or of several."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands.generation import Generation
from condfoley_jax.commands.settings import Example
from condfoley_jax.evaluation import report
from data_pipelines import media
from data_pipelines.errors import InputError

_FILM_HEIGHT = 96
# Pictures, and columns of a spectrogram, of which a long video shows no more.
_FILM_FRAMES, _LONG_FILM_FRAMES, _MEL_COLUMNS = 600, 60, 6000
# Own sound of the query that the page holds, s.
_PLAYED_S = 120


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
  chosen = {k: str(v) for k, v in first.settings.chosen().items()}
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
  """The command lines that repeat a generation, and what was made anew of it."""
  s = generation.settings
  # With `=`, because a path can begin with a dash.
  words: list[object] = ["condfoley", "generate"]
  for example, start_s in zip(s.examples, generation.starts_s, strict=True):
    words += [f"--example={_named(example, len(s.examples))}", "--example-start", repr(start_s)]
  words += ["--candidates", s.candidates, "--seed", s.seed, "--temperature", s.temperature, "--top-k", s.top_k]
  words += ["--top-p", s.top_p, "--min-p", s.min_p, "--guidance", s.guidance, "--tau", s.tau_s]
  words += [f"--keep-original-audio={_plain(s.original_db)}dB"] if s.original_db is not None else []
  words += [f"--weights={weights_dir}"] if weights_dir else []
  lines = [[*words, f"--out={out}", "--force", "--", generation.query]]
  for take in generation.takes:
    if take.retake:
      stretch = ["--take", take.retake.take, "--from", take.retake.from_s, "--to", take.retake.to_s]
      named = [f"--weights={weights_dir}"] if weights_dir else []
      lines.append(["condfoley", "retake", *stretch, "--seed", take.seed, *named, "--", out])
  return "\n".join(shlex.join(str(word) for word in line) for line in lines)


def _named(example: Example, count: int) -> str:
  """As the user names it."""
  if count == 1:
    return str(example.path)
  return f"{example.path}@{_plain(example.from_s)}-" + ("" if example.to_s is None else _plain(example.to_s))


def _plain(number: float) -> str:
  """The shortest that reads back the same, without an exponent, which no stretch may have."""
  return np.format_float_positional(number, trim="-")


def _result(generation: Generation, directory: Path) -> report.Result:
  spec, query = generation.spec, generation.query
  examples = [_example(generation, index) for index in range(len(generation.examples))]
  takes = [_take(generation, i, directory) for i in range(1, len(generation.takes) + 1)]
  frames, times = _film(query, spec)
  title = f"{query.name}, to sound like {', '.join(clip.title for clip in examples)}"
  curve_times = (np.arange(len(generation.seen)) + 0.5) / spec.fps
  return report.Result(title, _query_clip(query, spec), examples, takes, frames, times, generation.seen, curve_times)


def _example(generation: Generation, index: int) -> report.Clip:
  spec, audio, chosen = generation.spec, generation.examples[index].audio, generation.settings.examples[index]
  title = chosen.path.name
  if len(generation.examples) > 1:
    title += f", from {chosen.from_s:g} s" + ("" if chosen.to_s is None else f" to {chosen.to_s:g} s")
  return report.Clip(
    title,
    video=chosen.path if generation.examples[index].frames is not None else None,
    audio=audio,
    sample_rate=spec.sample_rate,
    onsets_s=detect_onsets(audio, spec.sample_rate),
    start_s=generation.starts_s[index] if generation.examples[index].frames is not None else 0.0,
    **_mel(audio, spec),
  )


def _take(generation: Generation, number: int, directory: Path) -> report.Take:
  take, spec = generation.takes[number - 1], generation.spec
  made = f": take {take.retake.take}, from {take.retake.from_s:g} to {take.retake.to_s:g} s anew" if take.retake else ""
  clip = report.Clip(
    f"takes/{number:02d}.mp4{made}",
    video=directory / "takes" / f"{number:02d}.mp4",
    sample_rate=spec.sample_rate,
    onsets_s=take.onsets_s,
    **(_mel(take.audio, spec) if number <= report.DRAWN_TAKES else {}),
  )
  loudness = "no loudness" if take.lufs is None else f"{take.lufs:.1f} LUFS"
  peak = "silent" if take.peak == 0 else f"{20 * np.log10(take.peak):.1f} dBTP"
  return report.Take(clip, number, number, take.seed, take.sync.offset_s, take.sync.confidence, f"{loudness}, {peak}")


def _query_clip(query: Path, spec: ClipSpec) -> report.Clip:
  try:
    audio = media.decode_audio(query, spec.sample_rate, damaged_s=[])
  except InputError:  # It has none that can be read, which no take needs.
    return report.Clip(query.name, video=query)
  onsets = detect_onsets(audio, spec.sample_rate)
  # Of a long one only the picture: the page holds the sound.
  played = audio if len(audio) <= _PLAYED_S * spec.sample_rate else None
  return report.Clip(query.name, query, played, spec.sample_rate, **_mel(audio, spec), onsets_s=onsets)


def _film(query: Path, spec: ClipSpec) -> tuple[np.ndarray, np.ndarray]:
  """Small frames in their own aspect ratio, and the times of their middles, s: all of a short query, some of a long."""
  info = media.probe(query)
  count = max(1, round(info.duration_s * spec.fps))
  if count <= _FILM_FRAMES:
    frames = media.decode_frames(query, spec.fps, _FILM_HEIGHT, damaged_s=[])
    times_s = (np.arange(count) + 0.5) / spec.fps
  else:
    times_s = (np.arange(_LONG_FILM_FRAMES) + 0.5) * info.duration_s / _LONG_FILM_FRAMES
    one = {"duration_s": 1 / spec.fps, "damaged_s": []}
    frames = [media.decode_frames(query, spec.fps, _FILM_HEIGHT, start_s=at, **one)[0] for at in times_s]
  # An extreme shape is drawn as a merely wide or narrow one.
  aspect = min(max(info.width / info.height, 0.25), 4)
  size = (round(_FILM_HEIGHT * aspect), _FILM_HEIGHT)
  return np.stack([cv2.resize(f, size) for f in frames]), times_s


def _mel(audio: np.ndarray, spec: ClipSpec) -> dict[str, object]:
  """`mel` and `mel_step` of a clip: a block at a time, the loudest of neighbours where there are more than is drawn."""
  frames = -(-len(audio) // spec.hop)
  if frames <= _MEL_COLUMNS:
    return {"mel": np.asarray(log_mel(audio[None], spec)[0])}
  step = -(-frames // _MEL_COLUMNS)
  block = step * (_MEL_COLUMNS // step) * spec.hop
  parts = []
  for begin in range(0, len(audio), block):
    part = audio[begin : begin + block]
    mel = np.asarray(log_mel(np.pad(part, (0, block - len(part)))[None], spec)[0])
    mel = mel[:, : _MEL_COLUMNS // step * step].reshape(len(mel), -1, step).max(-1)
    parts.append(mel[:, : -(-len(part) // (step * spec.hop))])
  return {"mel": np.concatenate(parts, 1), "mel_step": step}
