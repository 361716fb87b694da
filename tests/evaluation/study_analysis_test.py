"""Shares, intervals and agreement: against published numbers, scipy, and simulated participants."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from condfoley_jax.evaluation import study, study_analysis, study_table
from condfoley_jax.evaluation.study_answers import Answer, Participant
from data_pipelines.errors import InputError

# A row per observer, a column per unit; a dot is a value that was not given.
KRIPPENDORFF = """
  1 2 3 3 2 1 4 1 2 . . .
  1 2 3 3 2 2 4 1 2 5 . 3
  . 3 3 3 2 3 4 2 2 5 1 .
  1 2 3 3 2 4 4 1 2 5 1 .
"""
KRIPPENDORFF_BINARY = """
  0 1 0 0 0 0 0 0 1 0
  1 1 1 0 0 1 0 0 0 0
"""


def units(text: str) -> list[list[str]]:
  columns = zip(*(line.split() for line in text.strip().splitlines()), strict=True)
  return [[value for value in column if value != "."] for column in columns]


@pytest.mark.parametrize(("text", "alpha"), [(KRIPPENDORFF, 0.743), (KRIPPENDORFF_BINARY, 0.095)])
def test_alpha_is_that_of_krippendorffs_examples(text, alpha):
  assert study_analysis.krippendorff_alpha(units(text)) == pytest.approx(alpha, abs=5e-4)


def test_alpha_is_1_for_agreement_about_0_for_chance_and_undefined_without_a_choice():
  assert study_analysis.krippendorff_alpha([[0, 0], [1, 1, 1]]) == 1
  by_chance = np.random.default_rng(0).integers(0, 2, (4000, 3)).tolist()
  assert study_analysis.krippendorff_alpha(by_chance) == pytest.approx(0, abs=0.03)
  for nothing in ([], [[0], [1]], [[1, 1], [1, 1]]):
    assert study_analysis.krippendorff_alpha(nothing) is None


@pytest.mark.parametrize(("chosen", "answers"), [(0, 9), (3, 10), (64, 100), (5, 5)])
def test_the_interval_of_independent_answers_is_wilsons(chosen, answers):
  expected = stats.binomtest(chosen, answers).proportion_ci(method="wilson")
  assert study_analysis.wilson(chosen / answers, answers) == pytest.approx(tuple(expected), abs=1e-9)


def test_the_design_effect_counts_participants_who_repeat_themselves_once():
  repeated = [[True] * 5, [False] * 5] * 50
  assert study_analysis.design_effect(repeated) == pytest.approx(5, rel=0.02)
  assert study_analysis.design_effect([[True, False]] * 50) == 1
  assert study_analysis.design_effect([[True, False, True]]) == study_analysis.design_effect([[True]] * 9) == 1


@pytest.mark.parametrize("people", [12, 40])
def test_the_interval_holds_the_truth_as_often_as_it_says_though_answers_are_alike(people):
  rng = np.random.default_rng(1)
  held, held_without = 0, 0
  for tastes in rng.beta(1.3, 0.7, (2000, people)):  # mean 0.65, and participants differ much
    answers = [list(rng.random(4) < taste) for taste in tastes]
    share, n = np.mean(answers), 4 * people
    low, high = study_analysis.wilson(share, n / study_analysis.design_effect(answers))
    held += low <= 0.65 <= high
    low, high = study_analysis.wilson(share, n)
    held_without += low <= 0.65 <= high
  assert 0.925 <= held / 2000 <= 0.97
  assert held_without / 2000 < 0.9


def participant(
  name: str, rate: dict[str, float], *, attentive: bool = True, reference: str | None = "base", number: int = 0
) -> Participant:
  """Prefers each system over base as often as `rate` says, per system the first answers, on list `number`."""
  clips = study.Clips([f"p{i}" for i in range(5)], ["k0", "k1"], [f"c{i}" for i in range(14)])
  trials = study.make_lists(study.pairs_of(["base", *rate], reference), clips, 0)[number]
  counts = dict.fromkeys(rate, 0)
  totals = {system: sum(t.kind == "counted" and system in (t.left, t.right) for t in trials) for system in rate}
  answers = []
  for trial in trials:
    if trial.kind == "check":
      choice = study.TRUE if attentive else study.SILENT
    else:
      (system,) = {trial.left, trial.right} - {"base"}
      choice = "base"
      if trial.kind == "counted":
        choice = system if counts[system] < round(rate[system] * totals[system]) else "base"
        counts[system] += 1
    chosen = {"sync": choice, "material": trial.left if trial.kind != "check" else choice}
    answers.append(Answer(trial.kind, trial.clip, trial.left, trial.right, chosen))
  return Participant(Path(f"answers-{name}.json"), "study", 0, reference, name, answers)


def test_shares_count_what_is_counted_over_the_reference():
  analysis = study_analysis.analyse([participant(name, {"good": 1.0, "bad": 0.0}) for name in "123"])
  assert list(analysis.shares) == [("base", "bad"), ("base", "good")]
  good, bad = analysis.shares["base", "good"]["sync"], analysis.shares["base", "bad"]["sync"]
  assert (good.chosen, bad.chosen) == (1, 0) and good.answers == bad.answers == 21 and good.participants == 3
  assert 0 < bad.high < 0.2 and bad.low == 0
  assert analysis.shares["base", "good"]["material"].chosen == pytest.approx(0.5, abs=0.1)
  assert analysis.agreement["sync"] == study_analysis.Agreement(1.0, 14)


def test_the_interval_is_wider_where_participants_differ():
  analysis = study_analysis.analyse([participant(name, {"x": float(name)}) for name in "0101"])
  share = analysis.shares["base", "x"]["sync"]
  effect = study_analysis.design_effect([[False] * 14, [True] * 14] * 2)
  assert effect > 10 and (share.low, share.high) == study_analysis.wilson(0.5, 4 * 14 / effect)


def test_a_unit_is_a_pair_on_a_clip():
  neighbours = [participant("1", {"x": 1.0, "y": 0.0}), participant("2", {"x": 1.0, "y": 0.0}, number=1)]
  strangers = [participant("1", {"x": 1.0, "y": 0.0}), participant("2", {"x": 1.0, "y": 0.0}, number=2)]
  assert study_analysis.analyse(neighbours).agreement["sync"] == study_analysis.Agreement(1.0, 14)
  shared = study_analysis.analyse(strangers).agreement["sync"]
  assert shared.units < 14 and shared.alpha in (1.0, None)


def test_whoever_misses_a_check_is_left_out_and_counted():
  attentive, careless = participant("1", {"x": 0.5}), participant("2", {"x": 1.0}, attentive=False)
  analysis = study_analysis.analyse([attentive, careless])
  assert (analysis.included, analysis.excluded) == (["1"], ["2"])
  assert analysis.shares["base", "x"]["sync"].chosen == 0.5
  assert "1 participant counted; 1 left out" in study_table.as_table(analysis)
  with pytest.raises(InputError, match=r"answers-2\.json: every participant misses"):
    study_analysis.analyse([careless])


def test_one_wrong_answer_to_a_check_is_a_miss():
  one = participant("1", {"x": 0.5})
  check = next(a for a in one.answers if a.kind == "check")
  assert one.attentive
  check.chosen["material"] = study.SILENT
  assert not one.attentive


def test_without_a_reference_a_pair_is_in_alphabetical_order():
  analysis = study_analysis.analyse([participant("1", {"abc": 1.0}, reference=None)])
  ((pair, shares),) = analysis.shares.items()
  assert pair == ("abc", "base") and shares["sync"].chosen == 0


def test_the_table_says_what_the_numbers_do():
  analysis = study_analysis.analyse([participant(name, {"a|b": 0.5}) for name in "12"])
  head, _, row, *_, agreement = study_table.as_table(analysis).splitlines()
  assert head == "| System | Over | Material chosen (%) | Sync. chosen (%) | Answers |"
  low, high = study_analysis.wilson(0.5, 28)
  assert row == f"| a\\|b | base | 50.0 [{100 * low:.1f}, {100 * high:.1f}] | 50.0 [32.6, 67.4] | 28 |"
  assert "sync 1.00 (14 units)" in agreement
  (numbers,) = study_table.as_json(analysis)["pairs"]
  assert numbers["sync"] == {"share": 0.5, "ci95": [low, high], "n": 28, "participants": 2}
