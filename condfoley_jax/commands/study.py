"""`condfoley study`: a folder of results to the page of a perceptual study, and its answers to the paper's table.

RESULTS holds one folder per system and `examples`, each with `CLIP.mp4` files of the same names; docs/study.md says
more.
"""

import dataclasses
import itertools
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import study_analysis, study_answers, study_page, study_table
from condfoley_jax.evaluation.study import (
  CHECKS,
  COUNTED,
  EXAMPLES,
  PRACTICE,
  SILENT,
  TRIALS,
  TRUE,
  Clips,
  make_lists,
  pairs_of,
)
from data_pipelines import interrupt, media
from data_pipelines.errors import InputError, is_utf8, printable

PAGE = "study.html"
ANALYSIS = ("results.json", "table.md")
BASE = "base"  # what the paper compares all others to
# A true sound below this peak is no obvious answer: 40 dB under full scale.
_AUDIBLE_PEAK = 1e-2


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    seed: of clips, order and sides.
    systems: to compare; None for every folder but `EXAMPLES`, `TRUE` and `SILENT`.
    reference: the system that the others are compared to; None for `BASE` where it is there, else for all pairs.
    clips: different clips in the trials that are counted.
  """

  seed: int = 0
  systems: Sequence[str] | None = None
  reference: str | None = None
  clips: int = 28


def make(results: Path, out: Path, settings: Settings) -> None:
  """Writes the page of a study of `results` to `out`/study.html.

  Raises:
    InputError: something in `results` or a choice cannot be used, the page would be too large, or `out` holds a page;
      nothing is written then.
  """
  _refuse_place(results, out)
  systems = _systems(results, settings)
  reference = settings.reference or (BASE if BASE in systems else None)
  clips = _choose(results, _common(results, systems), settings)
  study = study_page.Study(make_lists(pairs_of(systems, reference), clips, settings.seed), settings.seed, reference)
  with interrupt.partial_folder(out) as aside:
    silent = {
      clip: _silenced(results / TRUE / f"{clip}.mp4", aside / f"{i}.mp4") for i, clip in enumerate(clips.checks)
    }

    def path_of(folder: str, clip: str) -> Path:
      return silent[clip] if folder == SILENT and clip in silent else _playable(results / folder / f"{clip}.mp4")

    study_page.write_page(study, path_of, aside / PAGE, results=results)
    with interrupt.held():
      os.replace(aside / PAGE, out / PAGE)
  count = len(study.lists)
  print(printable(f"{out / PAGE}: {count} lists of trials; participants 1 to {count} balance them"), file=sys.stderr)


def analyse(answers: Sequence[Path], out: Path) -> None:
  """Writes the table of `answers` to `out`/table.md, with all numbers in `out`/results.json, and prints it.

  Files of those names are replaced: answers come in one by one.

  Raises:
    InputError: a file is no answers file or does not go with the others, or nobody passed the attention checks;
      nothing is written then.
  """
  analysis = study_analysis.analyse(study_answers.read(answers))
  table = study_table.as_table(analysis)
  numbers = json.dumps(study_table.as_json(analysis), indent=1) + "\n"
  for path in (out / name for name in ANALYSIS):
    if path.is_dir() or any(os.path.realpath(path) == os.path.realpath(answer) for answer in answers):
      raise InputError(f"{path}: would be replaced by the result; choose another folder for --out")
  interrupt.write_together(out, dict(zip(ANALYSIS, (numbers, table), strict=True)))
  print(table, end="")


def _refuse_place(results: Path, out: Path) -> None:
  if os.path.lexists(out / PAGE):
    raise InputError(f"{out / PAGE}: is there already, and may have answers; choose another folder for --out")
  if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(results)):
    raise InputError(f"{out}: lies in the results, where folders are systems; choose another folder for --out")


def _systems(results: Path, settings: Settings) -> list[str]:
  """Names of the systems to compare, two or more."""
  if not results.is_dir():
    what = "a file" if results.exists() else "no such folder"
    raise InputError(f"{results}: {what}; name a folder with one folder of mp4s per system")
  found = sorted(p.name for p in results.iterdir() if p.is_dir() and not p.name.startswith("."))
  systems = list(dict.fromkeys(settings.systems or (name for name in found if name not in (EXAMPLES, TRUE, SILENT))))
  if settings.reference and settings.reference not in systems:
    systems.append(settings.reference)
  for name in systems:
    if name not in found or name == EXAMPLES:
      raise InputError(f"{results}: no system `{name}`; there are {', '.join(found) or 'no folders'}")
    if not is_utf8(name):
      raise InputError(f"{results / name}: the name is not UTF-8; rename it")
  if len(systems) < 2:
    remedy = "put one folder of mp4s per system there"
    raise InputError(f"{results}: {len(systems)} system{'s' * (not systems)} to compare, of two or more; {remedy}")
  return systems


def _common(results: Path, systems: Sequence[str]) -> list[str]:
  """Names of the clips that all systems, the examples and the true sound have."""
  common: set[str] | None = None
  for name, what in ((EXAMPLES, "example clips"), (TRUE, "videos with their true sound"), *((s, "") for s in systems)):
    folder = results / name
    if not folder.is_dir():
      raise InputError(f"{folder}: no such folder; put the {what} there as CLIP.mp4")
    clips = {p.stem for p in folder.glob("*.mp4") if not p.name.startswith(".") and is_utf8(p.name)}
    if not clips:
      raise InputError(f"{folder}: holds no mp4 files; put one there for each clip, or remove the folder")
    common = clips if common is None else common & clips
    if not common:
      raise InputError(f"{folder}: has no clip in common with the other folders; give each the same file names")
  return sorted(common)


def _choose(results: Path, common: Sequence[str], settings: Settings) -> Clips:
  """Draws the clips of each kind of trial, all different where there are enough."""
  order = random.Random(settings.seed).sample(common, len(common))
  audible = (clip for clip in order if _is_audible(results / TRUE / f"{clip}.mp4"))
  checks = list(itertools.islice(audible, CHECKS))
  if not checks:
    raise InputError(f"{results / TRUE}: its videos are silent; put the videos with their true sound there")
  if len(order) >= TRIALS:
    order = [clip for clip in order if clip not in checks]
    clips = Clips(order[:PRACTICE], checks, order[PRACTICE : PRACTICE + settings.clips])
    few = f"{len(clips.counted)} clips are counted" if len(clips.counted) < COUNTED else ""
  else:
    clips = Clips(order, checks, order[: settings.clips])
    few = f"{len(order)} clips are in every folder"
  if few:
    note = f"{results}: only {few}, so a participant sees some more than once"
    print(printable(f"condfoley study: {note}"), file=sys.stderr)
  return clips


def _is_audible(path: Path) -> bool:
  _playable(path)
  return bool(np.abs(media.decode_audio(path, MINI.sample_rate)).max(initial=0) >= _AUDIBLE_PEAK)


def _playable(path: Path) -> Path:
  """`path`, refused where it has not both pictures and sound."""
  info = media.probe(path)
  if not (info.has_video and info.has_audio):
    missing = "sound" if info.has_video else "pictures"
    raise InputError(f"{path}: has no {missing}; make it again, with sound that may be silent")
  return path


def _silenced(path: Path, out: Path) -> Path:
  """Writes the video at `path` to `out` with silence as its sound."""
  samples = round(media.probe(path).duration_s * MINI.sample_rate)
  media.mux(path, np.zeros(max(samples, media.FEWEST_SAMPLES), np.float32), MINI.sample_rate, out)
  return out
