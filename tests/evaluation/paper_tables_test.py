"""The paper's tables with our numbers beside its own."""

from pathlib import Path

import pytest

from condfoley_jax.evaluation import paper_tables, systems

PAPER = Path(__file__).parents[2].parent / "shared" / "paper.txt"
NAMES = {
  "style_transfer": "Style transfer*",
  "onset_transfer": "Onset transfer",
  "chance": "Chance",
  "specvqgan": "SpecVQGAN [",
  "specvqgan_finetuned": "SpecVQGAN - finetuned",
  "no_condition": "Ours - No cond.",
  "base": "Ours - Base",
  "rerank": "Ours - w/ re-rank",
}


def told(value, low, high):
  return {"value": value, "ci95": [low, high], "n": 9}


def test_cells_hold_ours_in_per_cent_and_the_papers_in_brackets():
  found = {
    "systems": {"base": {"material_accuracy": told(0.5, 0.4, 0.6), "legacy_ap": told(0.9, 0.9, 0.9)}},
    "preferences": {"rerank": {"material_chosen": told(0.625, 0.6, 0.65)}},
  }
  lines = paper_tables.markdown(found).splitlines()
  (base,) = [line for line in lines if line.startswith("| base")]
  cells = [cell.strip() for cell in base.strip("|").split("|")]
  assert cells[8] == "90.0 ± 0.0 [60.0]"
  assert cells[3] == "50.0 ± 10.0 [41.4]" and cells[1] == "- [41.1]" and len(cells) == 9
  assert "| rerank | 62.5 ± 2.5 [54.3 ± 3.4] | - [53.8 ± 3.4] |" in lines
  assert not any(line.startswith("| chance") for line in lines)


def test_every_row_is_a_system_that_evaluate_knows():
  known = {*systems.REFERENCES, *systems.model_systems(["rerank"]), *systems.STYLE, *systems.VARIANTS}
  assert {*paper_tables.TABLE_1, *paper_tables.TABLE_2} <= known


@pytest.mark.skipif(not PAPER.exists(), reason="the paper is not here")
@pytest.mark.parametrize("system", NAMES)
def test_table_1_is_the_papers(system):
  (line,) = [line for line in PAPER.read_text().splitlines() if line.startswith(NAMES[system]) and "\t" in line][:1]
  numbers = [None if cell == "–" else float(cell) for cell in line.split("\t")[1:]]
  assert numbers == list(paper_tables.TABLE_1[system])


NAMES_2 = {
  "style_transfer": "Style transfer*",
  "onset_transfer": "Onset transfer",
  "specvqgan": "SpecVQGAN [",
  "no_condition": "\t- cond.\t",
  "no_condition_video": "\t- cond. video",
  "no_augmentation": "\t- augment",
  "random_condition": "\tw/ rand. cond.",
  "rerank": "\t+ re-rank",
}


@pytest.mark.skipif(not PAPER.exists(), reason="the paper is not here")
@pytest.mark.parametrize("system", NAMES_2)
def test_table_2_is_the_papers(system):
  (line,) = [x for x in PAPER.read_text().splitlines() if x.startswith(NAMES_2[system]) and "±" in x]
  assert line.split("\t")[2:] == [f"{value:.1f} (± {half:.1f})" for value, half in paper_tables.TABLE_2[system]]
