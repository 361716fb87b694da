"""The comparison with real annotations counts what it says."""

import json

import pytest

from benchmarks import world_labels
from data_pipelines.builders.events import MATERIALS


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
  folder = tmp_path_factory.mktemp("records")
  told = {
    "a": [[0.8, "wood scratch"], [0.0, "metal hit"], [0.4, "wood hit"], [3.4, "None None"]],
    "b": [[1.0, "wood hit"]],
    "c": [],
  }
  for video, record in told.items():
    (folder / video).mkdir()
    (folder / video / "hit_record.json").write_text(json.dumps(record))
  return world_labels.compared(folder)


def test_real_shares_are_counted_within_videos_in_order_of_time(rows):
  real = {heading: {row: shares[1] for row, shares in part.items() if shares[1]} for heading, part in rows.items()}
  assert real == {
    "interval": {"0.37 to 0.50 s": 0.667, "over 2.50 s": 0.333},
    "action": {"hit": 0.75, "scratch": 0.25},
    "next action": {"hit after hit": 0.5},
    "material": {"metal": 0.25, "wood": 0.75},
  }


def test_shares_of_the_world_are_of_all_its_events(rows):
  for heading in ("interval", "action", "material"):
    assert sum(shares[0] for shares in rows[heading].values()) == pytest.approx(1, abs=0.01)
  assert all(0.04 < rows["material"][name][0] < 0.08 for name in MATERIALS)


def test_tables_show_every_row(rows):
  page = world_labels.as_html(rows)
  assert all(row in page for part in rows.values() for row in part) and page.count("<table>") == len(rows)
