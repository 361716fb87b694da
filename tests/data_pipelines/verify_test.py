"""Every kind of damage to a prepared dataset is found and named."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax import cli
from data_pipelines import dataset, prepare, records, seal, side_shards, tfrecord, verify
from data_pipelines.errors import InputError
from tests.data_pipelines import ruler


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
    return ruler.make_dataset(tmp_path_factory.mktemp("ruler"), [40, 61], [[1.0], []])


@pytest.fixture
def data(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / "data")


def shard(directory, number=0):
  return directory / f"ruler-val-0000{number}-of-00002.tfrecord"


def flip(path, record):
  """Changes a bit in the middle of a record."""
  offset, length = (int(n) for n in tfrecord.Shard(path)._index[record])
  raw = bytearray(path.read_bytes())
  raw[offset + length // 2] ^= 1
  path.write_bytes(raw)


def rewrite(directory, change):
  """Writes the first shard anew, with sound checksums, from changed records."""
  opened = tfrecord.Shard(shard(directory))
  tfrecord.write(shard(directory), change([opened[i] for i in range(len(opened))]))


def rehashed(directory):
  """Another hash for the first shard, in a description that is whole."""
  description = json.loads((directory / "dataset.json").read_text())
  description["shards"][0]["sha256"] = "0" * 64
  description.pop("sha256")
  (directory / "dataset.json").write_text(seal.sealed(description))


def reformatted(directory):
  """The same content, in other bytes."""
  description = json.loads((directory / "dataset.json").read_text())
  (directory / "dataset.json").write_text(json.dumps(description))


def of_old_schema(found):
  segment = records.decode(found[0])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(records, "SCHEMA_VERSION", 1)
    return [records.encode(segment), *found[1:]]


DAMAGES = {
  "a flipped byte": (lambda d: flip(shard(d), 1), r"00000-of-00002\.tfrecord: record 1 is damaged \(checksum\)"),
  "a truncated shard": (lambda d: os.truncate(shard(d), 900), r"00000-of-00002\.tfrecord: 900 bytes, but .* says"),
  "a missing shard": (lambda d: shard(d, 1).unlink(), r"00001-of-00002\.tfrecord: cannot be read"),
  "a missing index": (
    lambda d: tfrecord.index_path(shard(d)).unlink(),
    r"00000-of-00002\.tfrecord\.idx: cannot be read",
  ),
  "the index of another shard": (
    lambda d: shutil.copy(tfrecord.index_path(shard(d, 1)), tfrecord.index_path(shard(d))),
    r"00000-of-00002\.tfrecord\.idx: does not belong",
  ),
  "another shard with its index": (
    lambda d: [shutil.copy(f(shard(d, 1)), f(shard(d))) for f in (str, lambda p: str(tfrecord.index_path(p)))],
    r"00000-of-00002\.tfrecord: 5 records, but dataset\.json says 3",
  ),
  "records in another order": (lambda d: rewrite(d, lambda r: r[::-1]), r"record 0 is segment 2 of video-0"),
  "a record of another schema": (
    lambda d: rewrite(d, of_old_schema),
    r"00000-of-00002\.tfrecord: record 0 is of another schema \(schema \[1\], expected 2\)",
  ),
  "a record of something else": (lambda d: rewrite(d, lambda r: [b"no", *r[1:]]), "record 0 is of another schema"),
  "another hash": (rehashed, r"00000-of-00002\.tfrecord: not the shard"),
}


def test_a_whole_dataset_has_no_problems(data, capsys):
  assert not list(verify.problems(data))
  assert cli.main(["prepare", "--verify", str(data)]) == 0
  assert "whole" in capsys.readouterr().out


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_one_line_that_names_shard_and_record(data, capsys, name):
  damage, message = DAMAGES[name]
  damage(data)
  problem, *others = verify.problems(data)
  assert "\n" not in problem and re.search(message, problem) and (not others or "order" in name)
  assert cli.main(["prepare", "--verify", str(data)]) == 2
  captured = capsys.readouterr()
  assert captured.out.startswith(f"{problem}\n") and captured.err.count("\n") == 1


def test_a_rewritten_description_is_refused_by_all_who_read_it(data):
  reformatted(data)
  for read in (lambda: list(verify.problems(data)), lambda: dataset.open_dataset(data, ruler.SPEC)):
    with pytest.raises(InputError, match=r"dataset\.json: not as it was written \(sha256\); copy it again"):
      read()


@pytest.mark.parametrize(
  "change",
  [
    lambda d: d.pop("shards"),
    lambda d: d.update(shards=None),
    lambda d: d.update(shards=[]),
    lambda d: d["shards"][0].update(records=3.0),
    lambda d: d["shards"][0].pop("file"),
    lambda d: d["videos"][0].pop("id"),
    lambda d: d["videos"][1].update(first_record=-3),
  ],
)
def test_a_description_that_does_not_add_up_is_refused_though_it_is_whole(data, change, capsys):
  description = json.loads((data / "dataset.json").read_text())
  change(description)
  del description["sha256"]
  (data / "dataset.json").write_text(seal.sealed(description))
  assert cli.main(["prepare", "--verify", str(data)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "dataset.json: no valid description of a dataset" in line


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_of_any_file_is_found_and_its_place_named(whole, data):
  path = data.draw(st.sampled_from(sorted(whole.iterdir())))
  before = path.read_bytes()
  at = data.draw(st.integers(0, len(before) - 1))
  changed = data.draw(st.integers(1, 255))
  record = record_at(path, at) if path.suffix == ".tfrecord" else None
  try:
    path.write_bytes(before[:at] + bytes([before[at] ^ changed]) + before[at + 1 :])
    problem = one_problem(whole)
  finally:
    path.write_bytes(before)
  assert problem.startswith(f"{path}: " if record is None else f"{path}: record {record} is damaged")


def record_at(path, at):
  """Record of a shard that has byte `at`."""
  return int(np.searchsorted(tfrecord.Shard(path)._index[:, 0], at, side="right")) - 1


def one_problem(directory):
  try:
    (problem,) = verify.problems(directory)
  except InputError as e:
    return str(e)
  return problem


def test_all_problems_are_found_at_once(data):
  flip(shard(data), 0)
  flip(shard(data, 1), 4)
  flip(shard(data, 1), 1)
  assert len(list(verify.problems(data))) == 3


def test_reading_says_the_same(data):
  rewrite(data, of_old_schema)
  opened = dataset.open_dataset(data, ruler.SPEC)
  with pytest.raises(InputError, match=r"00000-of-00002\.tfrecord: record 0 is of another schema"):
    opened.read_window(opened.videos[0], 0, 30)


def test_a_cache_in_the_same_folder_is_checked_too(data):
  side_shards.Plan(epath.Path(data / "cache"), 3, 1, {}, {}).begin()
  (data / "cache" / "cache.json").rename(data / "cache.json")
  flip(shard(data), 1)
  unfilled, damaged = verify.problems(data)
  assert "not filled yet: 0 of 1 shards" in unfilled and "record 1 is damaged" in damaged
