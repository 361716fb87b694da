"""The page of `condfoley evaluate`: tables of every metric, and some trials to look at and listen to, in one file."""

import hashlib
import html
import importlib.resources
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from condfoley_jax import figures
from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.evaluation import embed, metrics_table
from condfoley_jax.evaluation.systems import VARIANTS, WITHOUT_DETAIL, Group, Sounds
from condfoley_jax.evaluation.test_set import Item, TestSet
from data_pipelines.media import write_wav

SHOWN = 6  # trials
# In the order of a trial's rows; what was not chosen is left out. Others follow, where they have a sound of their own.
_LANES = ("rerank", "base", WITHOUT_DETAIL, "onset_transfer", "true_onsets", "codes_vocoder", "vocoder", *VARIANTS)
# What nobody needs to hear: it is there already, or is none.
_UNHEARD = ("oracle", "silence", "noise", "chance", "random_onsets", "metronome", "wrong_material")
_TABLES = {
  "The paper's metrics": (
    "material_accuracy", "material_accuracy_match", "material_accuracy_mismatch", "action_accuracy",
    "action_accuracy_match", "action_accuracy_mismatch", "onset_count_accuracy", "legacy_ap",
  ),
  "Onsets": (
    "onset_f1_100ms", "onset_f1_50ms", "onset_f1_25ms", "onset_skill", "onset_ap", "onset_count_mae",
    "onset_latency_s", "onset_latency_p95_s", "sync_in_time", "sync_error_s",
  ),
  "Sound": (
    "material_retained", "reference_consistency",
    "decay_similarity", "centroid_similarity", "level_similarity", "mcd_db", "stft_distance",
    "frechet_distance",
  ),
}  # fmt: skip


class Gallery:
  """Sounds of `SHOWN` trials, evenly spread, kept as files while they are made.

  Args:
    directory: for `<system>-<digits>/<number of the trial>.wav`; the digits are of what the sounds depend on, so that
      those of other settings, which may lie there too, are none of this gallery's.
    tests: whose trials they are.
    groups: of the systems that are kept and shown.
  """

  def __init__(self, directory: Path, tests: TestSet, groups: Sequence[Group]):
    spread = np.linspace(0, len(tests) - 1, min(SHOWN, len(tests))).round().astype(int)
    self.indices = sorted(set(spread.tolist()))
    self._numbers = {tests.names[i]: i for i in self.indices}
    self._rate = tests.spec.sample_rate
    digits = lambda identity: hashlib.sha256(f"{tests.identity} {identity}".encode()).hexdigest()[:8]
    self._folders = {s: directory / f"{s}-{digits(g.identity[s])}" for g in groups for s in g.systems}

  @property
  def systems(self) -> Sequence[str]:
    """Those whose sounds are kept."""
    return tuple(self._folders)

  def keep(self, item: Item, sounds: Sounds) -> None:
    """Writes the sounds of an item that is shown, float32 [N] by system; of another, nothing."""
    if item.name not in self._numbers:
      return
    for system, audio in sounds.items():
      path = self._path(item.name, system)
      path.parent.mkdir(parents=True, exist_ok=True)
      write_wav(path, audio, self._rate)

  def lacks(self, name: str, system: str) -> bool:
    """Whether a trial is shown, and its sound is not there or damaged."""
    if name not in self._numbers:
      return False
    try:
      return soundfile.info(self._path(name, system)).frames == 0
    except (OSError, soundfile.LibsndfileError):
      return True

  def _path(self, name: str, system: str) -> Path:
    return self._folders[system] / f"{self._numbers[name]:05d}.wav"

  def sound(self, item: Item, system: str) -> np.ndarray | None:
    """What was kept, float32 [N]; None if there is nothing, or the system was not chosen."""
    if system not in self._folders:
      return None
    path = self._path(item.name, system)
    return soundfile.read(path, dtype="float32")[0] if path.exists() else None


def page(found: Mapping, gallery: Gallery, tests: TestSet) -> str:
  """HTML of the content of metrics.json and of the trials in `gallery`."""
  tables = "".join(_table(title, metrics, found) for title, metrics in _TABLES.items())
  trials = "".join(_trial(tests[index], gallery, tests) for index in gallery.indices)
  template = importlib.resources.files(__package__).joinpath("metrics.html").read_text(encoding="utf-8")
  return string.Template(template).substitute(
    command=html.escape(found["command"]),
    data=html.escape(", ".join(f"{k}: {v}" for k, v in found["data"].items())),
    weights=html.escape(str(found["weights"])),
    judges=_judges(found["classifier"]),
    few=html.escape(metrics_table.of_few(found)),
    tables=tables,
    comparisons=_comparisons(found["comparisons"]),
    trials=trials,
  )


def _table(title: str, metrics: Sequence[str], found: Mapping) -> str:
  rows = [_row(name, told, metrics, "") for name, told in found["systems"].items()]
  rows += [_row(name, told, metrics, "ceiling") for name, told in found["ceilings"].items()]
  head = "".join(f"<th>{html.escape(m.replace('_', ' '))}</th>" for m in metrics)
  return f"<h2>{title}</h2><div class=wide><table><tr><th>system</th>{head}</tr>{''.join(rows)}</table></div>"


def _row(name: str, told: Mapping, metrics: Sequence[str], kind: str) -> str:
  return f'<tr class="{kind}"><th>{html.escape(name)}</th>{"".join(_cell(told.get(m)) for m in metrics)}</tr>'


def _cell(told: Mapping | None) -> str:
  if told is None:
    return "<td>-</td>"
  low, high = told["ci95"]
  over = f", over {html.escape(told['over'])}" if "over" in told else ""
  return f"<td>{told['value']:.3g}<small>{low:.3g} to {high:.3g}, n {told['n']}{over}</small></td>"


def _judges(classifier: Mapping) -> str:
  return "; ".join(
    f"{html.escape(name.replace('_', ' '))} {told['value']:.3f} "
    f"({told['ci95'][0]:.3f} to {told['ci95'][1]:.3f}, n {told['n']})"
    for name, told in classifier.items()
  )


def _comparisons(comparisons: Mapping) -> str:
  rows = [
    f"<tr><th>{html.escape(pair)}</th><th>{html.escape(metric.replace('_', ' '))}</th><td>{told['difference']:+.3f}"
    f"<small>{told['ci95'][0]:+.3f} to {told['ci95'][1]:+.3f}</small></td>"
    f"<td>{told['p']:.4f}</td><td>{told['p_holm']:.4f}</td></tr>"
    for pair, metrics in comparisons.items()
    for metric, told in metrics.items()
  ]
  head = "".join(f"<th>{name}</th>" for name in ("pair", "metric", "difference", "p", "p, Holm"))
  return f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else ""


def _trial(item: Item, gallery: Gallery, tests: TestSet) -> str:
  """Frames of the query, the true sound, the example, then each system's sound."""
  seconds, rate = tests.spec.seconds, item.sounds.rate
  lanes = [("true sound", item.sounds.target.audio_N), ("example", item.sounds.example.audio_N)]
  lanes += [(s, audio) for s in _LANES if (audio := gallery.sound(item, s)) is not None]
  for system in (s for s in gallery.systems if s not in {*_LANES, *_UNHEARD}):
    # Several choose the same take.
    audio = gallery.sound(item, system)
    if audio is not None and not any(np.array_equal(audio, shown) for _, shown in lanes):
      lanes.append((system, audio))
  times_s = (np.arange(len(item.query)) + 0.5) / tests.spec.fps
  films = [("query", item.query, item.sounds.target.onsets_s)]
  films.append(("example", item.example.frames, item.sounds.example.onsets_s))
  strips = [
    _picture(f"frames of the {name}", figures.onset_lane(frames, times_s, duration_s=seconds, onsets_s=onsets))
    for name, frames, onsets in films
  ]
  rows = "".join(_lane(name, audio, rate, tests) for name, audio in lanes)
  kind = {True: "match", False: "mismatch", None: "not labelled"}[item.match]
  return f"<section><h3>{html.escape(item.name)} <small>{kind}</small></h3>{''.join(strips)}{rows}</section>"


def _lane(name: str, audio: np.ndarray, rate: int, tests: TestSet) -> str:
  mel = np.asarray(log_mel(audio[None], tests.spec)[0])
  onsets = detect_onsets(audio, rate)
  drawn = figures.mel_figure(mel, tests.spec, duration_s=tests.spec.seconds, onsets_s=onsets)
  player = f'<audio controls preload=metadata src="{embed.small_sound(audio, rate)}"></audio>'
  return f"<div class=lane><div><b>{html.escape(name)}</b>{player}</div>{_picture(f'mel of {name}', drawn)}</div>"


def _picture(what: str, webp: bytes) -> str:
  return f'<img alt="{html.escape(what)}" src="{embed.data_uri("image/webp", webp)}">'
