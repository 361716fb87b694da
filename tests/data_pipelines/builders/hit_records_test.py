import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines import pairs
from data_pipelines.builders import events, hit_records
from data_pipelines.builders.clips import exact
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees

EVENTS = st.builds(
  events.Event,
  time_s=st.floats(0, 1e4, allow_nan=False).map(exact),
  material=st.sampled_from((*events.MATERIALS, events.UNKNOWN)),
  action=st.sampled_from((*events.ACTIONS, events.UNKNOWN)),
)
RECORDS = {"a": [[0.5, "wood hit"], [1, "plastic-bag scratch"]], "b": [], "c-1": [[2.1333, "None None"]]}


@given(st.lists(EVENTS, max_size=20))
def test_hit_record_round_trip(listed):
  content = json.dumps([[e.time_s, f"{e.material} {e.action}"] for e in listed]).encode()
  assert hit_records.parse_hit_record(content, "file") == tuple(listed)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x, max_size=3)))
def test_whatever_else_is_there_is_refused_in_one_line(content):
  try:
    assert isinstance(hit_records.parse_hit_record(json.dumps(content).encode(), "file"), tuple)
  except InputError as e:
    assert str(e).startswith("file") and "\n" not in str(e)


@pytest.mark.parametrize(
  "row",
  [
    [1.0],
    [1.0, "wood"],
    ["1.0", "wood hit"],
    [1.0, "jelly hit"],
    [1.0, "wood hit static"],
    [-1, "wood hit"],
    [True, "wood hit"],
  ],
)
def test_unusable_row_is_numbered(row):
  with pytest.raises(InputError, match="file: record 2 "):
    hit_records.parse_hit_record(json.dumps([[1.0, "wood hit"], row]).encode(), "file")


def write_tree(folder):
  for video, rows in RECORDS.items():
    trees.write_json(folder / video / "hit_record.json", rows)
    trees.write_json(folder / video / "meta.json", {"video_name": video, "frame_rate": 15})
  return folder


def write_archive(path, tree):
  with tarfile.open(path, "w:gz") as archive:
    archive.add(tree, hit_records.UNPACKED)
  return path


def test_archive_and_trees_hold_the_same(tmp_path):
  tree = write_tree(tmp_path / "flat")
  nested = write_tree(tmp_path / "nested" / hit_records.UNPACKED)
  (tmp_path / "packed").mkdir()
  archive = write_archive(tmp_path / "packed" / hit_records.ARCHIVE, tree)
  for folder, path in ((tmp_path / "flat", tree), (tmp_path / "nested", nested), (tmp_path / "packed", archive)):
    assert hit_records.find_hit_records(folder) == path
    read = hit_records.read_hit_records(path)
    assert {v: [[round(e.time_s, 4), f"{e.material} {e.action}"] for e in r] for v, r in read.items()} == RECORDS
    assert [pairs.event_frame(e.time_s, 15) for e in read["c-1"]] == [32]
  assert hit_records.find_hit_records(tmp_path) is None


def test_damage_is_named(tmp_path):
  archive = write_archive(tmp_path / hit_records.ARCHIVE, write_tree(tmp_path / "tree"))
  archive.write_bytes(archive.read_bytes()[:200])
  with pytest.raises(InputError, match=r"meta_info\.tar\.gz: damaged or no archive; fetch") as caught:
    hit_records.read_hit_records(archive)
  assert trees.one_line(caught)
  (tmp_path / "tree" / "b" / "hit_record.json").write_text("[[")
  with pytest.raises(InputError, match=r"b/hit_record\.json: is not JSON; fetch"):
    hit_records.read_hit_records(tmp_path / "tree")
  (tmp_path / "tree" / "b" / "hit_record.json").write_text("{}")
  with pytest.raises(InputError, match=r"b/hit_record\.json: is not a list of hits"):
    hit_records.read_hit_records(tmp_path / "tree")


def test_video_that_comes_twice_is_refused(tmp_path):
  tree = write_tree(tmp_path / "tree")
  with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
    archive.add(tree, "x")
    archive.add(tree, "y")
  with pytest.raises(InputError, match=r"y/a/hit_record\.json: the video comes twice"):
    hit_records.read_hit_records(tmp_path / "a.tar.gz")
