"""Records of all items -> metrics with intervals, comparisons of systems, and how good the judges are."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from condfoley_jax.evaluation import intervals, onset_scores, sound_scores
from condfoley_jax.evaluation.intervals import Interval
from condfoley_jax.evaluation.scoring import Record
from condfoley_jax.evaluation.systems import BASELINES, VARIANTS, WITHOUT_DETAIL
from data_pipelines.builders.events import ACTIONS, MATERIALS

# Reported as the mean over items.
MEANS = (
  "material_retained",
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
  "reference_consistency",
)
# What a judge is to hear in a sound: under which name a record holds it, and under which the truth does.
_HEARD = {
  "material_accuracy": ("material", "heard_material"),
  "action_accuracy": ("action", "heard_action"),
  "material_retained": ("material", "target_material"),
}
# Metrics of what a sound takes from its example: items with examples of one video are as alike as those with one
# target's, so that both are drawn anew.
_OF_THE_EXAMPLE = (
  "material_accuracy",
  "reference_consistency",
  "decay_similarity",
  "centroid_similarity",
  "level_similarity",
  "frechet_distance",
)
# Metrics that systems are compared by, pair by pair.
COMPARED = (
  "material_accuracy",
  "action_accuracy",
  "onset_count_accuracy",
  "onset_ap",
  "onset_f1_100ms",
  "onset_f1_50ms",
  "onset_f1_25ms",
  "sync_in_time",
  "sync_error_s",
)
# What models make is compared with the first take of the full one, variants with that of the one trained as long, and
# with what does not look or does not learn.
_FULL = dict.fromkeys(VARIANTS, "base_half") | dict.fromkeys(("rerank", WITHOUT_DETAIL, "base_half"), "base")

# The same resamples for every metric and system, so that their intervals can be laid side by side.
_SEED = 0

Told = dict[str, dict[str, object]]


def summarise(
  truth: Sequence[Record], scores: Mapping[str, Sequence[Record]], baselines: Sequence[str]
) -> dict[str, Told]:
  """Metrics by system, each {"value", "ci95", "n"}; what cannot be had (no item with onsets, say) is left out.

  `onset_skill` also tells "over" which baseline it is; it is there if all of them are, since it is another number over
  others.

  Args:
    truth: `scoring.truth` of every item.
    scores: by system, `scoring.score` of the same items in the same order.
    baselines: systems that `onset_skill` is measured against.
  """
  floor = {name: _values("onset_f1_100ms", truth, scores[name]) for name in baselines if name in scores}
  if len(floor) < len(baselines):
    floor = {}
  return {name: _told(_metrics(truth, records)) | _skill(truth, records, floor) for name, records in scores.items()}


def pairs(systems: Collection[str]) -> list[tuple[str, str]]:
  """Of these systems those that are compared: models with the full one, and with what does not look or learn.

  What is ranked otherwise, `rerank_*`, is compared with `base` and with `rerank`.
  """
  others = [system for system in systems if system.startswith("rerank_")]
  found = [*_FULL.items(), *((model, baseline) for model in ("base", *_FULL) for baseline in BASELINES)]
  found += [(other, full) for other in others for full in ("base", "rerank")]
  return [pair for pair in found if all(system in systems for system in pair)]


def compare(truth: Sequence[Record], scores: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, dict]]:
  """Paired tests: "A - B" -> metric -> {"difference", "ci95", "p", "p_holm"}, for `pairs`.

  p_holm is corrected over all pairs that are compared by the metric; a metric of which a pair has no item is left out.
  """
  compared = pairs(scores)
  found: dict[str, dict[str, dict]] = {" - ".join(pair): {} for pair in compared}
  for metric in COMPARED:
    values = {system: _values(metric, truth, scores[system]) for pair in compared for system in pair}
    made = {(a, b): intervals.paired(values[a], values[b], _factors(metric, truth), _SEED) for a, b in compared}
    made = {pair: test for pair, test in made.items() if test.difference.n}
    p_holm = intervals.holm([test.p for test in made.values()])
    for (pair, test), corrected in zip(made.items(), p_holm, strict=True):
      value, low, high = (round(float(x), 6) for x in test.difference[:3])
      p = {"p": round(test.p, 6), "p_holm": round(float(corrected), 6)}
      found[" - ".join(pair)][metric] = {"difference": value, "ci95": [low, high], **p}
  return found


def preferences(truth: Sequence[Record], scores: Mapping[str, Sequence[Record]]) -> dict[str, Told]:
  """How often judges would choose each system's sound over the first take of the model, of variants that of the model
  trained as long (the paper's table 2, there by people): `material_chosen`, whose material is the example's, and
  `sync_chosen`, which is nearer in time; half of it where both are alike. Nothing where there is no such take."""
  better = {"material_chosen": ("material_accuracy", 1), "sync_chosen": ("sync_error_s", -1)}
  found = {}
  full = {system: _FULL.get(system, "base") for system in scores if system != "base"}
  for system in (name for name, other in full.items() if other in scores):
    told = {}
    for chosen, (metric, sign) in better.items():
      ours, theirs = (_values(metric, truth, scores[name]) for name in (system, full[system]))
      told[chosen] = intervals.mean((1 + np.sign(sign * (ours - theirs))) / 2, _factors(metric, truth), _SEED)
    found[system] = _told(told)
  return found


def judged(truth: Sequence[Record]) -> Told:
  """How often judges are right on true sound (labels: where one holds for all of it), and the onset detector's F1 where
  contacts are labelled."""
  labels = {"material": MATERIALS, "action": ACTIONS}
  found = {}
  for label, names in labels.items():
    right = [
      np.nan if t[label] not in names or t[f"heard_{label}"] is None else names.index(t[label]) == t[f"heard_{label}"]
      for t in truth
    ]
    found[f"{label}_accuracy"] = np.array(right, float)
  found["sync_in_time"] = np.array([t["sync_in_time"] for t in truth], float)
  detected = lambda t: onset_scores.detection(np.array(t["contacts_s"]), np.array(t["onsets_s"]), 0.05).f1
  found["onset_detector_f1_50ms"] = np.array([detected(t) if t["contacts_s"] else np.nan for t in truth])
  return _told({metric: intervals.mean(values, _factors(metric, truth), _SEED) for metric, values in found.items()})


def _metrics(truth: Sequence[Record], records: Sequence[Record]) -> dict[str, Interval]:
  # Neither where the actions of one of the two are not labelled.
  match, mismatch = (np.array([t["match"] is wanted for t in truth]) for wanted in (True, False))
  mean = lambda name, kept=slice(None): intervals.mean(
    _values(name, truth, records)[kept], [videos[kept] for videos in _factors(name, truth)], _SEED
  )
  found = {}
  for name in ("material_accuracy", "action_accuracy"):
    found |= {
      f"{name}{part}": mean(name, k) for part, k in (("", slice(None)), ("_match", match), ("_mismatch", mismatch))
    }
  found |= {name: mean(name) for name in MEANS}
  return found | _latency(truth, records) | _frechet(truth, records)


def _skill(truth: Sequence[Record], records: Sequence[Record], floor: Mapping[str, np.ndarray]) -> Told:
  """Nothing where there is no floor: F1 of baselines, by name."""
  if not floor:
    return {}
  skill = onset_scores.skill(_values("onset_f1_100ms", truth, records), floor)
  interval = intervals.mean(skill.values_I, _factors("onset_skill", truth), _SEED)
  return {name: told | {"over": skill.best} for name, told in _told({"onset_skill": interval}).items()}


def _factors(metric: str, truth: Sequence[Record]) -> list[np.ndarray]:
  """By what the items are alike: the target's video, and the example's where the metric is about the example."""
  keys = ("video", "example_video") if metric in _OF_THE_EXAMPLE else ("video",)
  return [np.array([t[key] for t in truth]) for key in keys]


def _values(metric: str, truth: Sequence[Record], records: Sequence[Record]) -> np.ndarray:
  """One value per item; NaN where there is none, as where nothing is heard in the true sound that it is compared to."""
  if metric == "reference_consistency":
    return _moves(truth, records)
  if metric in _HEARD:
    said, wanted = _HEARD[metric]
    return np.array([_equal(r[said], t[wanted]) for t, r in zip(truth, records, strict=True)])
  if metric in ("sync_in_time", "sync_error_s"):
    records = [r if t[metric] is not None else t for t, r in zip(truth, records, strict=True)]
  return np.array([r[metric] for r in records], float)


def _equal(said: int | None, wanted: int | None) -> float:
  return np.nan if wanted is None else float(said == wanted)


def _moves(truth: Sequence[Record], records: Sequence[Record]) -> np.ndarray:
  """Per item: how often a swap from another example, of another material, to its own moves the material that is heard.

  It moves if it is that of the item's own example, and was not with the other one. A share of the target's other
  examples of other materials; NaN where there is none, or nothing is heard in the item's own example.
  """
  groups: dict[str, list[int]] = {}
  for i, t in enumerate(truth):
    if t["heard_material"] is not None:
      groups.setdefault(t["target"], []).append(i)
  wanted, heard = [t["heard_material"] for t in truth], [r["material"] for r in records]
  moves = np.full(len(truth), np.nan)
  for group in groups.values():
    for i in group:
      moved = [heard[i] == wanted[i] and heard[j] != wanted[i] for j in group if wanted[j] != wanted[i]]
      moves[i] = np.mean(moved) if moved else np.nan
  return moves


def _latency(truth: Sequence[Record], records: Sequence[Record]) -> dict[str, Interval]:
  """Median of what matched onsets are late by, signed, and the 95th percentile of its size, s."""
  late = np.concatenate([np.array(r["latencies_s"], float) for r in records])
  sizes = [len(r["latencies_s"]) for r in records]
  factors = [np.repeat(videos, sizes) for videos in _factors("onset_latency_s", truth)]
  return {
    "onset_latency_s": intervals.quantile(late, factors, 0.5, _SEED),
    "onset_latency_p95_s": intervals.quantile(np.abs(late), factors, 0.95, _SEED),
  }


def _frechet(truth: Sequence[Record], records: Sequence[Record]) -> dict[str, Interval]:
  """Of the judge's embeddings of a system's sounds and of the true ones; nothing where all but a video are too few."""
  true, made = (np.array([r["embedding"] for r in rows]) for rows in (truth, records))
  factors = _factors("frechet_distance", truth)
  if len(true) - max(np.unique(videos, return_counts=True)[1].max() for videos in factors) < 2:
    return {}
  # Ends are had of its root, the distance itself: its square is further above than below, and never negative.
  distance = lambda items: np.sqrt(sound_scores.frechet_distance(made[items], true[items]))
  value, low, high, n = intervals.jackknife(distance, factors, _SEED)
  return {"frechet_distance": Interval(value**2, max(low, 0.0) ** 2, high**2, n)}


def _told(found: Mapping[str, Interval]) -> Told:
  return {
    name: {"value": round(float(x.value), 6), "ci95": [round(float(v), 6) for v in (x.low, x.high)], "n": x.n}
    for name, x in found.items()
    if x.n and np.isfinite(x.value)
  }
