"""docs/ablations.md says what the sweep has come to."""

import json
from pathlib import Path

import condfoley_jax
from condfoley_jax.evaluation import metrics_table
from configs import sweeps

DOCS = Path(condfoley_jax.__file__).parents[1] / "docs"


def test_the_page_holds_the_table_and_names_what_is_left():
  found, page = json.loads((DOCS / "ablations.json").read_text()), (DOCS / "ablations.md").read_text()
  table = metrics_table.markdown(found)
  assert table in page, f"docs/ablations.md is to hold what docs/ablations.json says:\n{table}"
  *_, evaluation = sweeps.paper_ablations()
  left = [name for name in evaluation.weights if name not in {sweeps.SHIPPED, *found["systems"]}]
  (said,) = [line for line in page.split("\n\n") if "that are left" in line]
  assert all((f"`{name}`" in said) == (name in left) for name in evaluation.weights if name != sweeps.SHIPPED)
  same = json.loads((DOCS / "metrics.json").read_text())
  # The same videos; rendered on another machine their bytes, of which the id is, differ.
  assert {**found["data"], "id": 0} == {**same["data"], "id": 0} and found["judges"] == same["judges"]
