from condfoley_jax.evaluation import substitutions
from tests.evaluation.metrics_table_test import told


def row(**values):
  return {name: told(value, value, value) for name, value in values.items()}


def test_material_is_that_of_what_a_sound_was_made_from():
  found = {
    "systems": {
      "base": row(material_accuracy=0.3, material_retained=0.1, action_accuracy=0.5, onset_count_accuracy=0.4),
      "silence": row(material_accuracy=0.0),
    },
    "ceilings": {"codes_vocoder": row(material_accuracy=0.05, material_retained=0.6, onset_count_accuracy=0.8)},
  }
  head, _, *lines = (line for line in substitutions.markdown(found).splitlines() if line.startswith("|"))
  names = [cell.strip() for cell in head.split("|")[1:-1]]
  table = {
    cells[0]: dict(zip(names, cells, strict=True)) for cells in ([c.strip() for c in x.split("|")[1:-1]] for x in lines)
  }
  assert list(table) == ["codes_vocoder", "base"]
  assert table["codes_vocoder"]["material"] == "60" and table["base"]["material"] == "30"
  assert table["base"]["number of onsets"] == "40" and table["base"]["as a share of the true codes'"] == "50"
  assert table["base"]["50 ms"] == "-"


def test_there_is_no_share_without_the_ceiling():
  found = {"systems": {"base": row(onset_count_accuracy=0.4)}, "ceilings": {}}
  assert "| 40 | - |" in substitutions.markdown(found)
