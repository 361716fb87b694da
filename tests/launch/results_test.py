"""Tables of sweeps: of each run the scores of what it left, with intervals over seeds, or over videos."""

import csv
import io
import json

import pytest

from configs.sweeps import SWEEPS, Evaluate
from launch import results

SWEEP = "trial"


@pytest.mark.parametrize(("keep_best", "step"), [("", 4), ("loss:min", 3), ("accuracy:max", 1), ("accuracy:min", 2)])
def test_the_scores_of_a_training_are_those_of_the_weights_that_it_left(tmp_path, keep_best, step):
  """Of steps that are as good the last, as of checkpoints; what is no number is never the best."""
  (tmp_path / "config.json").write_text(json.dumps({"keep_best": keep_best}))
  scores = [(2.0, 0.9), (1.0, 0.1), (1.0, 0.2), (None, None)]
  lines = [{"step": i + 1, "validation/loss": a, "validation/accuracy": b} for i, (a, b) in enumerate(scores)]
  lines = [line for i, scored in enumerate(lines) for line in ({"step": i + 1, "train/loss": 0.0}, scored)]
  (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
  (row,) = results.rows_of(SWEEPS["mini"]()[0], tmp_path, {})
  wanted = {"validation/loss": scores[step - 1][0], "validation/accuracy": scores[step - 1][1]}
  assert {name: row.get(name) for name in wanted} == wanted


def test_the_intervals_of_an_evaluation_are_beside_its_values(tmp_path):
  told = {"onset_ap": {"value": 0.5, "ci95": [0.4, 0.65], "n": 9}}
  (tmp_path / "metrics.json").write_text(json.dumps({"systems": {"base": told}, "ceilings": {"vocoder": told}}))
  rows = results.rows_of(Evaluate("evaluation"), tmp_path, {"seed": 0, "status": "done"})
  assert [row["run"] for row in rows] == ["base", "vocoder"]
  (first, _) = csv.DictReader(io.StringIO(results.as_csv(rows)))
  assert (first["onset_ap"], first["onset_ap_low"], first["onset_ap_high"]) == ("0.5", "0.4", "0.65")
  table = results.as_table(rows, SWEEP)
  assert "| base | 1 | done | 0.500 (0.400, 0.650) |" in table and table.count("`onset_ap") == 1


def test_of_several_seeds_the_interval_is_over_them():
  rows = [{"run": "a", "status": "done", "onset_ap": x, "onset_ap_low": 0, "onset_ap_high": 1} for x in (0.2, 0.3, 0.4)]
  found = results.estimate(rows, "onset_ap")
  # Student's t with two degrees of freedom, 4.303, times the standard error, 0.1 / sqrt(3).
  assert found == pytest.approx((0.3, 0.3 - 0.2484, 0.3 + 0.2484, 3), abs=1e-4)
  assert "| a | 3 | done | 0.300 ± 0.248 |" in results.as_table(rows, SWEEP)
  # A seed whose training has diverged has no score, and the other's is over videos again.
  rows = [rows[0], rows[1] | {"onset_ap": float("nan")}]
  assert results.estimate(rows, "onset_ap") == (0.2, 0, 1, 1)


def test_what_is_not_there_yet_is_a_dash():
  rows = [{"run": "a", "status": "done", "validation/loss": 4.0}, {"run": "b", "status": "left"}]
  table = results.as_table(rows, SWEEP)
  assert "| a | 1 | done | 4.000 |" in table and "| b | 1 | left | - |" in table
  assert results.as_plot(rows, SWEEP)[1:4] == b"PNG"
