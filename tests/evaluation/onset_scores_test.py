"""Onset scores: what they count, and what no system can gain by."""

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from condfoley_jax.evaluation import onset_scores

RATE = 22050
# Times on a grid of 1/1024 s: differences and shifts are exact, and none lies on the edge of a tolerance.
GRID = 1024
TIMES = st.lists(st.integers(0, 2 * GRID - 1), max_size=12, unique=True).map(lambda t: np.sort(t) / GRID)
SOME_TIMES = TIMES.filter(len)
TOLERANCE = st.sampled_from(onset_scores.TOLERANCES_S)


def rule_of_ap(reference, estimated, confidence, tolerance):
  """AP by its definition, for confidences that differ."""
  left, right, total = list(reference), 0, 0.0
  for taken, i in enumerate(np.argsort(-confidence), 1):
    near = [r for r in left if abs(r - estimated[i]) <= tolerance]
    if near:
      left.remove(min(near, key=lambda r: abs(r - estimated[i])))
      right += 1
      total += right / taken
  return total / len(reference)


@settings(deadline=None)
@given(SOME_TIMES, SOME_TIMES, TOLERANCE)
def test_detection_is_mir_evals(reference, estimated, tolerance):
  f1, precision, recall = mir_eval.onset.f_measure(reference, estimated, window=tolerance)
  assert onset_scores.detection(reference, estimated, tolerance) == (precision, recall, f1)


@settings(deadline=None)
@given(TIMES, TIMES, TOLERANCE)
def test_swapping_the_sounds_swaps_precision_and_recall_and_keeps_f1(reference, estimated, tolerance):
  there, back = (onset_scores.detection(*p, tolerance) for p in ((reference, estimated), (estimated, reference)))
  assert there.f1 == pytest.approx(back.f1) and (there.precision, there.recall) == (back.recall, back.precision)


@settings(deadline=None)
@given(TIMES, TIMES)
def test_a_wider_tolerance_never_costs_f1_and_finds_no_fewer_latencies(reference, estimated):
  scores = [onset_scores.detection(reference, estimated, t).f1 for t in onset_scores.TOLERANCES_S]
  found = [len(onset_scores.latencies(reference, estimated, t)) for t in onset_scores.TOLERANCES_S]
  assert scores == sorted(scores) and found == sorted(found)


@settings(deadline=None)
@given(TIMES, TIMES, st.integers(0, 5 * GRID), TOLERANCE, st.integers(0, 99))
def test_a_shift_of_both_sounds_changes_nothing(reference, estimated, shift, tolerance, seed):
  confidence = np.random.default_rng(seed).permutation(len(estimated))
  later = (reference + shift / GRID, estimated + shift / GRID)
  scores = [
    (
      onset_scores.detection(*pair, tolerance),
      onset_scores.average_precision(*pair, confidence, tolerance),
      onset_scores.latencies(*pair, tolerance).tolist(),
    )
    for pair in ((reference, estimated), later)
  ]
  assert scores[0] == scores[1]


@settings(deadline=None)
@given(TIMES)
def test_the_oracle_has_every_score(times):
  confidence = np.ones(len(times))
  assert onset_scores.detection(times, times, 0.025) == (1, 1, 1)
  assert onset_scores.average_precision(times, times, confidence) == 1
  assert onset_scores.count(times, times) == (True, 0) and not onset_scores.latencies(times, times).any()


@settings(deadline=None)
@given(SOME_TIMES)
def test_silence_where_there_are_onsets_and_onsets_where_there_is_silence_score_nothing(times):
  none = np.zeros(0)
  for pair in ((times, none), (none, times)):
    assert onset_scores.detection(*pair, 0.1) == (0, 0, 0)
    assert onset_scores.average_precision(*pair, np.ones(len(pair[1]))) == 0
    assert onset_scores.count(*pair) == (False, len(times)) and not len(onset_scores.latencies(*pair))


@settings(deadline=None)
@given(SOME_TIMES, SOME_TIMES, TOLERANCE, st.integers(0, 99))
def test_ap_is_its_definition_and_never_above_the_recall(reference, estimated, tolerance, seed):
  confidence = np.random.default_rng(seed).permutation(len(estimated))
  ap = onset_scores.average_precision(reference, estimated, confidence, tolerance)
  assert ap == pytest.approx(rule_of_ap(reference, estimated, confidence, tolerance))
  assert ap <= onset_scores.detection(reference, estimated, tolerance).recall + 1e-12


def test_ap_without_misses_is_scikit_learns():
  reference, estimated = np.array([0.3, 1.0, 1.7]), np.array([0.31, 0.6, 1.02, 1.4, 1.69])
  confidence, right = np.array([0.9, 0.8, 0.3, 0.5, 0.5]), [1, 0, 1, 0, 1]
  expected = average_precision_score(right, confidence)
  assert onset_scores.average_precision(reference, estimated, confidence) == pytest.approx(expected)


def test_ap_counts_misses_and_second_onsets_on_one():
  confidence = np.array([1.0, 0.5])
  assert onset_scores.average_precision(np.array([0.3, 1.0]), np.array([0.3]), confidence[:1]) == 0.5
  assert onset_scores.average_precision(np.array([0.3]), np.array([0.3, 0.35]), confidence) == 1
  assert onset_scores.average_precision(np.array([0.3]), np.array([0.3, 0.6]), confidence[::-1]) == 0.5
  assert onset_scores.average_precision(np.array([0.3]), np.array([0.6]), confidence[:1]) == 0


def test_ap_of_equally_sure_onsets_gives_the_reference_to_the_earliest():
  # 0.45 is near 0.5 alone; 0.52 is near both, and would take 0.5 if it came first.
  assert onset_scores.average_precision(np.array([0.5, 0.56]), np.array([0.45, 0.52]), np.ones(2)) == 1
  assert onset_scores.average_precision(np.array([0.5, 0.56]), np.array([0.45, 0.52]), np.array([0.9, 1])) == 0.5


def test_confidence_is_the_peak_nearby_over_that_of_all_also_at_the_ends():
  audio = np.zeros(2 * RATE, np.float32)
  audio[[0, RATE, 2 * RATE - 1]] = 0.1, -0.4, 0.2
  onsets = np.array([0.0, 0.96, 1.04, 1.06, 1.999])
  np.testing.assert_allclose(onset_scores.confidences(audio, onsets, RATE), [0.25, 1, 1, 0, 0.5], rtol=1e-6)
  np.testing.assert_allclose(onset_scores.confidences(0.01 * audio, onsets, RATE), [0.25, 1, 1, 0, 0.5], rtol=1e-6)
  assert onset_scores.confidences(0 * audio, onsets, RATE).tolist() == [0] * 5


def test_latency_is_signed_and_of_matched_onsets_alone():
  late = onset_scores.latencies(np.array([0.2, 0.8, 1.5]), np.array([0.23, 0.78, 1.0]))
  np.testing.assert_allclose(late, [0.03, -0.02])


def test_latency_matches_as_many_as_it_can_before_it_matches_near_ones():
  # 0.09 is nearest to 0.1, which would leave 0.0 and 0.19 without one.
  late = onset_scores.latencies(np.array([0.0, 0.1]), np.array([0.09, 0.19]))
  np.testing.assert_allclose(late, [0.09, 0.09])


@settings(deadline=None)
@given(TIMES, TIMES)
def test_as_many_latencies_as_mir_eval_matches(reference, estimated):
  late = onset_scores.latencies(reference, estimated)
  precision = onset_scores.detection(reference, estimated, 0.1).precision
  assert len(late) == round(precision * len(estimated)) and np.all(np.abs(late) <= 0.1)


@settings(deadline=None)
@given(SOME_TIMES, st.integers(-20, 20))
def test_a_delay_of_a_single_onset_is_its_latency(times, delay):
  assert onset_scores.latencies(times[:1], times[:1] + delay / GRID).tolist() == [delay / GRID]


def test_skill_is_above_the_baseline_with_the_best_mean():
  ours, baselines = np.array([0.9, 0.5]), {"random": np.array([1.0, 0.0]), "metronome": np.array([0.4, 0.8])}
  values, best = onset_scores.skill(ours, baselines)
  assert best == "metronome"
  np.testing.assert_allclose(values, [0.5, -0.3])
  assert onset_scores.skill(baselines[best], baselines).values_I.tolist() == [0, 0]
  with pytest.raises(ValueError):
    onset_scores.skill(ours, {})


def test_times_out_of_order_are_refused():
  with pytest.raises(ValueError):
    onset_scores.detection(np.array([1.0, 0.5]), np.array([0.5]), 0.1)
