import pytest

from condfoley_jax.evaluation.records import Records
from data_pipelines.errors import InputError

IDENTITY = {"data": "d", "judges": "j"}


@pytest.fixture
def path(tmp_path):
  path = tmp_path / "records" / "model.jsonl"
  records = Records(path, IDENTITY)
  for name in ("b", "a"):
    records.add({"item": name, "base": {"f1": 0.5}})
  return path


def test_they_come_back_in_their_order(path):
  records = Records(path, IDENTITY)
  assert [r["item"] for r in records] == ["b", "a"] and "a" in records and "c" not in records
  assert next(iter(records))["base"] == {"f1": 0.5}


@pytest.mark.parametrize("left", [1, 5, 20])
def test_half_a_line_of_a_killed_run_is_made_again(path, left):
  whole = path.read_text()
  path.write_text(whole[:-left])
  records = Records(path, IDENTITY)
  assert [r["item"] for r in records] == ["b"]
  records.add({"item": "a", "base": {"f1": 0.5}})
  assert path.read_text() == whole


def test_a_file_without_its_first_line_is_begun_again(path):
  path.write_text('{"da')
  assert not list(Records(path, IDENTITY)) and path.read_text().count("\n") == 1


def test_records_of_something_else_are_not_mixed_in(path):
  with pytest.raises(InputError, match=r"model\.jsonl: of another evaluation \(judges j\); choose another folder"):
    Records(path, IDENTITY | {"judges": "k"})


def test_damage_is_one_line(path):
  path.write_text(path.read_text().replace('"item"', '"it"'))
  with pytest.raises(InputError, match=r"model\.jsonl: damaged; remove it"):
    Records(path, IDENTITY)
