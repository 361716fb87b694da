"""Scores of the onsets of a sound against those of the true one: right ones, missed ones, false ones, late ones.

Times are float64 [n], seconds, ascending, from any detector (`audio.onsets.detect_onsets` for both sounds, as in the
paper). All scores are of one pair of sounds; their means over pairs are what is reported.

Where there is nothing to match: two empty lists agree (precision, recall, F1 and AP are 1), an empty and a filled one
share nothing (all are 0). So silence scores 0 wherever there is an onset, and whoever invents onsets where there are
none scores 0 too.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from mir_eval import onset as mir_eval_onset
from scipy.optimize import linear_sum_assignment

TOLERANCES_S = (0.025, 0.05, 0.1)

# Half the stretch around an onset whose loudest sample is its confidence, s (as in the published script).
_NEAR_S = 0.05


class Detection(NamedTuple):
  """Shares in [0, 1]: of the estimated onsets that are right, of the reference's that were found, harmonic mean."""

  precision: float
  recall: float
  f1: float


class Count(NamedTuple):
  """right: whether the numbers of onsets are equal; error: by how many they differ, >= 0."""

  right: bool
  error: int


class Skill(NamedTuple):
  """values_I: F1 above the best baseline's, float64 [I] in [-1, 1]; best: name of that baseline."""

  values_I: np.ndarray
  best: str


def detection(reference_s: np.ndarray, estimated_s: np.ndarray, tolerance_s: float) -> Detection:
  """Precision, recall and F1 under the largest one-to-one matching within `tolerance_s` (mir_eval.onset.f_measure).

  Raises:
    ValueError: times are not ascending.
  """
  if not len(reference_s) or not len(estimated_s):
    same = float(len(reference_s) == len(estimated_s))
    return Detection(same, same, same)
  f1, precision, recall = mir_eval_onset.f_measure(np.asarray(reference_s), np.asarray(estimated_s), tolerance_s)
  return Detection(precision, recall, f1)


def confidences(audio_N: np.ndarray, onsets_s: np.ndarray, rate: int) -> np.ndarray:
  """How sure a sound is of its onsets: its peak within 50 ms of each over its peak of all, float64 [n] in [0, 1].

  Args:
    audio_N: mono audio [N] at `rate` Hz.
    onsets_s: the sound's own onsets, in [0, N / rate).
    rate: Hz.
  """
  level = np.abs(np.asarray(audio_N, np.float64))
  near = int(_NEAR_S * rate)
  at = np.round(np.asarray(onsets_s) * rate).astype(int)
  peaks = np.array([level[max(i - near, 0) : i + near].max() for i in at])
  return peaks / max(level.max(initial=0), 1e-12)


def average_precision(
  reference_s: np.ndarray, estimated_s: np.ndarray, confidence_n: np.ndarray, tolerance_s: float = 0.1
) -> float:
  """Average precision in [0, 1] in which every onset that was not found counts as missed.

  Estimated onsets, surest first (of equals the earliest), take the nearest reference onset that is left within
  `tolerance_s`; those that find none are false, also the second of two on one onset. AP is the sum over the right ones,
  surest first, of precision down to there times 1 / n, for n onsets in the reference: the area under precision against
  recall, not interpolated, as far as recall gets. That is scikit-learn's AP times the share of the reference found;
  equally sure ones share a threshold as they do there.

  Args:
    reference_s, estimated_s: s, float [n], [m].
    confidence_n: float [m], any scale, higher is surer (see `confidences`).
    tolerance_s: largest distance of a match, s.
  """
  from sklearn.metrics import average_precision_score

  if not len(reference_s) or not len(estimated_s):
    return float(len(reference_s) == len(estimated_s))
  right = _greedy(np.asarray(reference_s), np.asarray(estimated_s), np.asarray(confidence_n), tolerance_s)
  if not right.any():
    return 0.0
  return float(average_precision_score(right, confidence_n) * right.sum() / len(reference_s))


def count(reference_s: np.ndarray, estimated_s: np.ndarray) -> Count:
  """Whether the number of onsets is right, and by how many it is wrong."""
  return Count(len(reference_s) == len(estimated_s), abs(len(reference_s) - len(estimated_s)))


def latencies(reference_s: np.ndarray, estimated_s: np.ndarray, tolerance_s: float = 0.1) -> np.ndarray:
  """How much later than the reference's the estimated onsets are, s, of the matched ones alone.

  Of the largest one-to-one matchings within `tolerance_s`, that with the least sum of distances. A sound with fewer
  matches has fewer latencies, not larger ones: never to be read without recall.

  Returns:
    float64 [k] in [-tolerance_s, tolerance_s], in the order of the reference; negative is early.
  """
  if not len(reference_s) or not len(estimated_s):
    return np.zeros(0)
  late = np.asarray(estimated_s)[None, :] - np.asarray(reference_s)[:, None]
  far = np.abs(late) > tolerance_s
  # A pair too far apart costs more than all others together, so as many as can be are near.
  pairs = linear_sum_assignment(np.where(far, tolerance_s * (min(late.shape) + 1), np.abs(late)))
  return late[pairs][~far[pairs]]


def skill(f1_I: np.ndarray, baselines: Mapping[str, np.ndarray]) -> Skill:
  """F1 above that of the baseline with the best mean, item by item, so that intervals can be had.

  The best is chosen for all items at once: the best for each would be a baseline that knows the answer.

  Args:
    f1_I: float [I] in [0, 1].
    baselines: name to float [I] on the same items; the first of equally good ones is taken.

  Raises:
    ValueError: there is no baseline.
  """
  best = max(baselines, key=lambda name: np.mean(baselines[name]))
  return Skill(np.asarray(f1_I) - np.asarray(baselines[best]), best)


def _greedy(reference_n: np.ndarray, estimated_m: np.ndarray, confidence_m: np.ndarray, tolerance: float) -> np.ndarray:
  """Which estimated onsets are right, bool [m]."""
  free, right = np.ones(len(reference_n), bool), np.zeros(len(estimated_m), bool)
  for i in np.lexsort((estimated_m, -confidence_m)):
    distance = np.where(free, np.abs(reference_n - estimated_m[i]), np.inf)
    nearest = distance.argmin()
    right[i] = distance[nearest] <= tolerance
    free[nearest] &= not right[i]
  return right
