"""The published onset scores, faults included."""

import numpy as np
import pytest

from condfoley_jax.evaluation.legacy_onsets import legacy_ap
from tests import golden

RATE = 22050


def loud_at(*onsets, seconds=2):
  audio = np.full(seconds * RATE, 0.01)
  for onset, level in onsets:
    audio[onset] = level
  return audio


def test_everything_matched_scores_one():
  onsets = np.array([5000, 20000])
  assert legacy_ap(onsets, onsets, loud_at((5000, 1), (20000, 0.5)), 0.1, RATE) == 1


def test_a_false_onset_that_is_louder_than_the_right_one_costs_precision():
  assert legacy_ap(np.array([5000]), np.array([5000, 20000]), loud_at((5000, 0.5), (20000, 1)), 0.1, RATE) == 0.5


def test_silence_scores_one_as_published():
  assert legacy_ap(np.array([5000, 9000]), np.array([], int), np.zeros(2 * RATE), 0.1, RATE) == 1


def test_without_an_onset_in_the_target_any_onset_scores_zero_and_none_has_no_score_as_published():
  none = np.array([], int)
  assert legacy_ap(none, np.array([5000]), loud_at((5000, 1)), 0.1, RATE) == 0
  # There scikit-learn is given nothing, and the published script stops.
  assert np.isnan(legacy_ap(none, none, np.zeros(2 * RATE), 0.1, RATE))


def test_onsets_within_50_ms_are_one_but_the_second_after_a_removal_stays_as_published():
  audio = loud_at((5000, 1), (5300, 0.9), (5600, 0.8))
  assert legacy_ap(np.array([5000, 5300]), np.array([5000, 5300]), audio, 0.001, RATE) == 1
  # 5600 was passed over: it is false, and less sure than the right one.
  assert legacy_ap(np.array([5600]), np.array([5000, 5300, 5600]), audio, 0.001, RATE) == 0.5


def test_an_onset_at_the_very_start_is_taken():
  assert legacy_ap(np.array([100]), np.array([100]), loud_at((100, 1)), 0.1, RATE) == 1


@pytest.mark.golden
def test_scores_equal_the_published_ones():
  expected, onsets = golden.load("onset_eval.json"), golden.load("onsets.npz")
  for key, scores in expected.items():
    target, made, delta = key.split("|")
    audio = onsets[f"{made}_wav_int16_first2s"] / np.float32(32768)
    found = [onsets[f"{name}_first2s_onset_samples"] for name in (target, made)]
    assert scores["count_match"] == (len(found[0]) == len(found[1]))
    assert legacy_ap(*found, audio, float(delta), RATE) == pytest.approx(scores["ap"], rel=1e-4)
