"""Tables of a batch in JSON lines; those in CSV: batch_test.py."""

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from condfoley_jax.commands import jobs
from condfoley_jax.commands.settings import Example, Settings
from data_pipelines.errors import InputError


def _read(folder: Path, *rows) -> list[jobs.Row]:
  path = folder / "jobs.jsonl"
  path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
  return jobs.read(path, Settings(candidates=3, seed=5), taken=["summary.csv"])


def test_rows_say_what_they_say_and_no_more(tmp_path):
  first, second = _read(
    tmp_path,
    {"query": "q.mp4", "example": "e.mp4"},
    "",
    {"query": "/r.mp4", "example": ["a.wav@0-2", "b.wav@2-"], "example_start": [1, 0.5], "seed": 7, "name": "x"},
  )
  assert first == jobs.Row(
    "00001-q", tmp_path / "q.mp4", Settings((Example(tmp_path / "e.mp4"),), candidates=3, seed=5)
  )
  assert second.query == Path("/r.mp4") and second.name == "x" and second.settings.seed == 7
  assert second.settings.examples == (
    Example(tmp_path / "a.wav", 1.0, 0.0, 2.0),
    Example(tmp_path / "b.wav", 0.5, 2.0, None),
  )


@pytest.mark.parametrize(
  ("row", "told"),
  [
    ("[]", "row 1 is no JSON object"),
    ("{", "row 1 is no JSON object"),
    ('{"query": "q.mp4"}', "row 1 lacks a query or an example"),
    ('{"query": 1, "example": "e"}', "row 1 lacks a query or an example"),
    ('{"query": "q", "example": []}', "row 1 lacks a query or an example"),
    ('{"query": "q", "example": ["a", 3]}', "row 1 lacks a query or an example"),
    ('{"query": "q", "example": "e\\u0000"}', "row 1 lacks a query or an example"),
    ('{"query": "q", "example": "e", "sed": 1}', "row 1 has `sed`, which is none of"),
    ('{"query": "q", "example": "e", "seed": 1.5}', "seed `1.5` is no number"),
    ('{"query": "q", "example": "e", "seed": true}', "seed `True` is no number"),
    ('{"query": "q", "example": "e", "example_start": [1, 2]}', "2 example_start for 1 examples"),
    ('{"query": "q", "example": "e", "example_start": Infinity}', "must be 0 or more"),
    ('{"query": "\\ud800.mp4", "example": "e"}', "row 1: `\ud800.mp4` is not UTF-8; rename it"),
    ('{"query": "q", "example": ["e", "\\udcff.wav"]}', "row 1: `\udcff.wav` is not UTF-8; rename it"),
    ('{"query": "q", "example": "e", "name": "\\ud800"}', "`\ud800` cannot be the name"),
    ('{"query": "q", "example": "e", "name": 3}', "`3` cannot be the name"),
    ('{"query": "q", "example": "e", "name": "summary.csv"}', "cannot be the name"),
    ("", "has no rows"),
  ],
)
def test_a_row_that_is_none_is_one_line(row, told, tmp_path):
  with pytest.raises(InputError) as raised:
    _read(tmp_path, row)
  assert told in str(raised.value) and "\n" not in str(raised.value)


def test_a_line_ends_where_json_says(tmp_path):
  names = ["q\u2028.mp4", "q\x85.mp4"]
  rows = _read(tmp_path, *(json.dumps({"query": name, "example": "e"}, ensure_ascii=False) for name in names))
  assert [row.query.name for row in rows] == names


_ODD = st.sampled_from([None, True, 0, -1, 1.5, 2**40, float("nan"), float("inf"), "", "a", "\0", "..", "\ud800", {}])
_VALUES = _ODD | st.lists(_ODD, max_size=3)


@hypothesis.given(st.lists(st.dictionaries(st.sampled_from(jobs.COLUMNS), _VALUES), min_size=1, max_size=3))
def test_any_json_is_rows_or_one_line(tmp_path_factory, rows):
  try:
    read = _read(tmp_path_factory.mktemp("jobs"), *rows)
  except InputError as error:
    assert "jobs.jsonl" in str(error)
  else:
    assert len(read) == len(rows)
    for row in read:
      "".join(map(str, (row.name, row.query, *row.settings.files))).encode()
