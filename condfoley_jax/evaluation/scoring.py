"""All scores of one sound for one trial, as a record of plain values."""

from typing import Any

import jax
import numpy as np

from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.evaluation import onset_scores, sound_descriptors, sound_scores
from condfoley_jax.evaluation.judges import Judges, Verdict
from condfoley_jax.evaluation.legacy_onsets import legacy_ap
from condfoley_jax.evaluation.test_set import Item

# Goes up with every change of what a record holds, so that records of before are not mixed with those of after.
VERSION = 2

_NEAR_S = 0.1
# What the sync judge may say of a sound that is in time: a step of its own, and what rounding adds.
_IN_TIME_S = 0.04
_DIGITS = 6

Record = dict[str, Any]


def truth(item: Item, judges: Judges, seen: jax.Array) -> Record:
  """What is true of an item, and what the judges say of its true sounds; `seen` as for `score`.

  Null is the verdict on one in which nothing is heard: what is compared with it is left out.
  """
  target, example = item.sounds.target, item.sounds.example
  of_target = _verdict(target.audio_N, judges, seen)
  of_example = _verdict(example.audio_N, judges, judges.watch(item.example.frames))
  return {
    "item": item.name,
    "target": item.target,
    "video": item.video,
    "example_video": item.example_video,
    "match": item.match,
    "material": item.material,
    "action": item.action,
    "heard_material": of_example.material,
    "heard_action": of_target.action,
    "target_material": of_target.material,
    **timing(of_target.offset_s),
    "contacts_s": _rounded(item.contacts_s),
    "onsets_s": _rounded(target.onsets_s),
    "example_onsets_s": _rounded(example.onsets_s),
    "embedding": _rounded(of_target.embedding),
  }


def score(item: Item, audio_N: np.ndarray, judges: Judges, seen: jax.Array) -> Record:
  """Scores of float32 audio [N], as long as the item's target; `seen` is what `judges.watch` saw in its query.

  One in which nothing is heard has no material and no action (null), which is wrong, and is as far out of time as the
  judge can tell.
  """
  sounds, rate = item.sounds, item.sounds.rate
  true_s, onsets_s = sounds.target.onsets_s, detect_onsets(audio_N, rate)
  verdict = _verdict(audio_N, judges, seen)
  sureness = onset_scores.confidences(audio_N, onsets_s, rate)
  distance = sound_scores.stft_distance(audio_N, sounds.target.audio_N)
  alike = sound_descriptors.similarity(
    sound_descriptors.describe(audio_N, onsets_s, rate),
    sound_descriptors.describe(sounds.example.audio_N, sounds.example.onsets_s, rate),
  )
  counted = onset_scores.count(true_s, onsets_s)
  found = {
    "onsets_s": _rounded(onsets_s),
    "material": verdict.material,
    "action": verdict.action,
    **timing(judges.furthest_s if verdict.offset_s is None else verdict.offset_s),
    "onset_count_accuracy": float(counted.right),
    "onset_count_mae": float(counted.error),
    "legacy_ap": _legacy_ap(true_s, onsets_s, audio_N, rate),
    "onset_ap": onset_scores.average_precision(true_s, onsets_s, sureness, _NEAR_S),
    "latencies_s": _rounded(onset_scores.latencies(true_s, onsets_s, _NEAR_S)),
    "decay_similarity": alike.decay_s,
    "centroid_similarity": alike.centroid_hz,
    "level_similarity": alike.level_db,
    "mcd_db": sound_scores.mcd(audio_N, sounds.target.audio_N, rate),
    "stft_distance": distance.total,
    "embedding": _rounded(verdict.embedding),
  }
  for tolerance_s in onset_scores.TOLERANCES_S:
    name = f"{round(1000 * tolerance_s)}ms"
    detection = onset_scores.detection(true_s, onsets_s, tolerance_s)
    found |= {f"onset_{part}_{name}": value for part, value in detection._asdict().items()}
  return {k: _plain(v) for k, v in found.items()}


def timing(offset_s: float | None) -> Record:
  """Scores of a sound that a judge says is so much later than the picture, s; null where it says nothing."""
  if offset_s is None:
    return {"sync_in_time": None, "sync_error_s": None}
  return {"sync_in_time": float(abs(offset_s) <= _IN_TIME_S), "sync_error_s": abs(offset_s)}


def _verdict(audio_N: np.ndarray, judges: Judges, seen: jax.Array) -> Verdict:
  """Of the judges, who always say something; nothing but an embedding where nothing is heard."""
  verdict = judges(audio_N, seen)
  if sound_descriptors.is_heard(audio_N):
    return verdict
  return verdict._replace(material=None, action=None, offset_s=None)


def _legacy_ap(true_s: np.ndarray, onsets_s: np.ndarray, audio_N: np.ndarray, rate: int) -> float:
  samples = (np.round(np.asarray(times) * rate).astype(int) for times in (true_s, onsets_s))
  return legacy_ap(*samples, audio_N, _NEAR_S, rate)


def _plain(value: Any) -> Any:
  """What JSON can hold: numbers that are none are null."""
  if isinstance(value, float | np.floating):
    return round(float(value), _DIGITS) if np.isfinite(value) else None
  return value


def _rounded(values: np.ndarray) -> list[float]:
  return np.round(np.asarray(values, np.float64), _DIGITS).tolist()
