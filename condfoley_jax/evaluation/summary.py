"""Records of all items -> metrics with intervals, comparisons of systems, and how good the judges are."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from condfoley_jax.evaluation import intervals, onset_scores, sound_scores
from condfoley_jax.evaluation.intervals import Interval
from condfoley_jax.evaluation.scoring import Record
from data_pipelines.builders.events import ACTIONS, MATERIALS

# Reported as the mean of what the records hold.
MEANS = (
  "onset_count_accuracy",
  "onset_count_mae",
  "legacy_ap",
  "onset_ap",
  *(f"onset_{part}_{round(1000 * t)}ms" for t in onset_scores.TOLERANCES_S for part in ("f1", "precision", "recall")),
  "sync_in_time",
  "sync_error_s",
  "decay_similarity",
  "centroid_similarity",
  "level_similarity",
  "mcd_db",
  "stft_distance",
)
# Metrics that systems are compared by, pair by pair.
COMPARED = (
  "material_accuracy",
  "action_accuracy",
  "onset_count_accuracy",
  "onset_ap",
  "onset_f1_100ms",
  "onset_f1_50ms",
  "sync_in_time",
)
_FRECHET_RESAMPLES = 40

Told = dict[str, dict[str, object]]


def summarise(
  truth: Sequence[Record], scores: Mapping[str, Sequence[Record]], baselines: Sequence[str]
) -> dict[str, Told]:
  """Metrics by system, each {"value", "ci95", "n"}; what cannot be had (no item with onsets, say) is left out.

  Args:
    truth: `scoring.truth` of every item.
    scores: by system, `scoring.score` of the same items in the same order.
    baselines: systems that `onset_skill` is measured against, of those that are there.
  """
  f1 = {name: np.array([r["onset_f1_100ms"] for r in scores[name]]) for name in baselines if name in scores}
  return {name: _told(_metrics(truth, records, f1)) for name, records in scores.items()}


def compare(truth: Sequence[Record], scores: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, dict]]:
  """Paired tests: "A - B" -> metric -> {"difference", "ci95", "p"}, for every two systems."""
  videos = np.array([t["video"] for t in truth])
  found = {}
  for (first, a), (second, b) in itertools.combinations(scores.items(), 2):
    rows = {}
    for metric in COMPARED:
      made = intervals.paired(_values(metric, truth, a), _values(metric, truth, b), videos, _rng())
      rows[metric] = {"difference": made.difference.value, "ci95": list(made.difference[1:3]), "p": made.p}
    found[f"{first} - {second}"] = rows
  return found


def judged(truth: Sequence[Record]) -> Told:
  """How often judges are right on true sound (labels: where one holds for all of it), and the onset detector's F1."""
  videos = np.array([t["video"] for t in truth])
  labels = {"material": MATERIALS, "action": ACTIONS}
  found = {}
  for label, names in labels.items():
    right = [names.index(t[label]) == t[f"heard_{label}"] if t[label] in names else np.nan for t in truth]
    found[f"{label}_accuracy"] = intervals.mean(np.array(right, float), videos, _rng())
  f1 = [onset_scores.detection(np.array(t["contacts_s"]), np.array(t["onsets_s"]), 0.05).f1 for t in truth]
  found["sync_in_time"] = intervals.mean(np.array([t["sync_in_time"] for t in truth]), videos, _rng())
  return _told(found | {"onset_detector_f1_50ms": intervals.mean(np.array(f1), videos, _rng())})


def _metrics(
  truth: Sequence[Record], records: Sequence[Record], baseline_f1: Mapping[str, np.ndarray]
) -> dict[str, Interval]:
  videos, match = (np.array([t[k] for t in truth]) for k in ("video", "match"))
  mean = lambda values, kept=slice(None): intervals.mean(values[kept], videos[kept], _rng())
  found = {}
  for label in ("material", "action"):
    right = _values(f"{label}_accuracy", truth, records)
    for name, kept in (("", slice(None)), ("_match", match), ("_mismatch", ~match)):
      found[f"{label}_accuracy{name}"] = mean(right, kept)
  kept = [float(r["material"] == t["target_material"]) for t, r in zip(truth, records, strict=True)]
  found["material_retained"] = mean(np.array(kept))
  found |= {name: mean(_values(name, truth, records)) for name in MEANS}
  found["reference_consistency"] = mean(_moves(truth, records))
  if baseline_f1:
    found["onset_skill"] = mean(onset_scores.skill(_values("onset_f1_100ms", truth, records), baseline_f1).values_I)
  found |= _latency(truth, records)
  found["frechet_distance"] = _frechet(truth, records, videos)
  return found


def _values(metric: str, truth: Sequence[Record], records: Sequence[Record]) -> np.ndarray:
  """One value per item, NaN where there is none."""
  if metric in ("material_accuracy", "action_accuracy"):
    label = metric.removesuffix("_accuracy")
    return np.array([float(r[label] == t[f"heard_{label}"]) for t, r in zip(truth, records, strict=True)])
  return np.array([np.nan if r[metric] is None else r[metric] for r in records], float)


def _moves(truth: Sequence[Record], records: Sequence[Record]) -> np.ndarray:
  """Per item: how often a swap from another example, of another material, to its own moves the material that is heard.

  It moves if it is that of the item's own example, and was not with the other one. A share of the target's other
  examples of other materials; NaN where there is none.
  """
  targets = [t["item"].split("__")[0] for t in truth]
  groups: dict[str, list[int]] = {}
  for i, target in enumerate(targets):
    groups.setdefault(target, []).append(i)
  wanted, heard = [t["heard_material"] for t in truth], [r["material"] for r in records]
  moves = []
  for i, target in enumerate(targets):
    others = [j for j in groups[target] if wanted[j] != wanted[i]]
    moved = [heard[i] == wanted[i] and heard[j] != wanted[i] for j in others]
    moves.append(np.mean(moved) if moved else np.nan)
  return np.array(moves, float)


def _latency(truth: Sequence[Record], records: Sequence[Record]) -> dict[str, Interval]:
  """Median of what matched onsets are late by, signed, and the 95th percentile of its size, s."""
  late = np.concatenate([np.array(r["latencies_s"], float) for r in records])
  videos = np.repeat([t["video"] for t in truth], [len(r["latencies_s"]) for r in records])
  return {
    "onset_latency_s": intervals.quantile(late, videos, 0.5, _rng()),
    "onset_latency_p95_s": intervals.quantile(np.abs(late), videos, 0.95, _rng()),
  }


def _frechet(truth: Sequence[Record], records: Sequence[Record], videos: np.ndarray) -> Interval:
  """Of the judge's embeddings of a system's sounds and of the true ones."""
  true, made = (np.array([r["embedding"] for r in rows]) for rows in (truth, records))
  if len(true) < 2:
    return Interval(np.nan, np.nan, np.nan, 0)
  distance = lambda items: sound_scores.frechet_distance(made[items], true[items])
  return intervals.statistic(distance, videos, _rng(), _FRECHET_RESAMPLES)


def _told(found: Mapping[str, Interval]) -> Told:
  return {
    name: {"value": round(float(x.value), 6), "ci95": [round(float(v), 6) for v in (x.low, x.high)], "n": x.n}
    for name, x in found.items()
    if x.n and np.isfinite(x.value)
  }


def _rng() -> np.random.Generator:
  """The same resamples for every metric and system, so that their intervals can be laid side by side."""
  return np.random.default_rng(0)
