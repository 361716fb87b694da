"""docs/metrics.md says what the code gives, and each metric sees what it is meant to see."""

import json
from pathlib import Path

import numpy as np
import pytest

import condfoley_jax
from condfoley_jax.evaluation import metrics_table
from condfoley_jax.evaluation.legacy_onsets import legacy_ap
from tests.evaluation import strikes

PAGE = Path(condfoley_jax.__file__).parents[1] / "docs" / "metrics.md"
TIMING = ("onset_f1_25ms", "onset_f1_50ms", "onset_f1_100ms", "onset_ap", "onset_count_accuracy")
CHARACTER = ("decay_similarity", "centroid_similarity", "level_similarity")


def column(key):
  return {name: row[key] for name, row in strikes.table().items()}


def test_the_page_holds_the_table():
  rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("|")]
  (head,) = [row[1:] for row in rows if [cell.strip() for cell in row[1:]] == list(strikes.SYSTEMS)]
  printed = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows if len(row) == len(head) + 1}
  for key in strikes.COLUMNS:
    said = [np.nan if cell == "-" else float(cell) for cell in printed[key]]
    expected = [column(key)[name] for name in strikes.SYSTEMS]
    np.testing.assert_allclose(said, expected, atol=0.05, err_msg=f"{key}; it is now\n{strikes.markdown()}")


def test_the_oracle_has_the_best_of_every_metric_of_timing_and_silence_the_worst():
  for key in TIMING:
    scores = column(key)
    assert scores["oracle"] == 1 and scores["silence"] == 0 == min(scores.values())
    for floor in ("noise", "shuffled", "random_onsets", "metronome"):
      assert scores[floor] < scores["true_onsets"], (key, floor)
  wrong_by = column("onset_count_mae")
  assert wrong_by["oracle"] == 0 and wrong_by["silence"] == max(wrong_by.values())


def test_f1_alone_does_not_tell_a_metronome_from_a_system_that_sees():
  assert 0.4 < column("onset_f1_100ms")["metronome"] < 0.7


def test_the_example_s_own_sound_is_alike_wherever_it_is_pasted_and_others_are_not():
  for key in CHARACTER:
    scores = column(key)
    own = [scores[name] for name in ("true_onsets", "metronome", "random_onsets")]
    others = [scores[name] for name in ("wrong_material", "shuffled", "noise")]
    assert min(own) > max(others) and scores["silence"] == 0, key


def test_distances_to_the_true_sound_are_won_by_the_oracle_and_not_lost_by_silence():
  for key in ("mcd_db", "stft_distance"):
    scores = column(key)
    assert scores["oracle"] == 0 == min(scores.values())
    # Why they are reported for reconstructions and not for generated sound.
    assert scores["silence"] < scores["random_onsets"]


def test_legacy_ap_prefers_silence():
  scores = column("legacy_ap")
  assert scores["silence"] == 1 == scores["oracle"] and scores["one_random_onset"] > scores["metronome"]


@pytest.mark.parametrize("onsets", [1, 3, 5, 10])
def test_legacy_ap_of_one_false_onset_is_n_of_n_plus_1(onsets):
  target = 4000 * np.arange(1, onsets + 1)
  assert legacy_ap(target, np.array([60_000]), np.ones(66_150), 0.1, 22050) == pytest.approx(onsets / (onsets + 1))


@pytest.fixture(scope="module")
def world():
  """What `condfoley evaluate` wrote of the test split of the world."""
  return json.loads((PAGE.parent / "metrics.json").read_text())


def of(world, metric):
  return {name: told[metric]["value"] for name, told in {**world["systems"], **world["ceilings"]}.items()}


def test_the_page_holds_the_table_of_the_world(world):
  assert metrics_table.markdown(world) in PAGE.read_text()


def test_on_the_world_the_oracle_wins_what_is_about_the_true_sound_and_silence_does_not(world):
  for metric in (*TIMING, "onset_skill", "action_accuracy", "sync_in_time"):
    scores = of(world, metric)
    # The vocoder's sound is no other to the judge of timing than the true one.
    assert scores["oracle"] >= max(scores.values()) - 0.01, metric
    assert scores["silence"] < scores["oracle"] - 0.25, metric
  blind = ("silence", "noise", "chance", "random_onsets", "metronome")
  assert all(of(world, "sync_in_time")[name] < 0.3 for name in blind)
  assert max(of(world, "action_accuracy")[name] for name in blind) == of(world, "action_accuracy")["silence"]


def test_on_the_world_the_judge_of_material_hears_the_example_and_nothing_else(world):
  for metric in ("material_accuracy", "reference_consistency"):
    scores = of(world, metric)
    assert max(scores, key=scores.get) == "true_onsets" and scores["true_onsets"] > 0.5
    assert all(scores[name] < 0.1 for name in ("silence", "noise", "chance", "wrong_material", "oracle"))
