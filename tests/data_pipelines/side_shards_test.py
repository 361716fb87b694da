"""Any arrays come back as they were, and any damage to a cache is found and named."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from condfoley_jax import cli
from data_pipelines import pipeline, side_shards, tfrecord, verify
from data_pipelines.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ARRAYS = {"codes": ("int32", (5,)), "features": ("bfloat16", (3, 4))}


def example(epoch, index):
  features = np.arange(12).reshape(3, 4) * (1 + epoch)
  return {"codes": np.arange(5, dtype=np.int32) + index, "features": features.astype(ml_dtypes.bfloat16)}


def make(directory, examples=5, epochs=2, **made_with):
  plan = side_shards.Plan(epath.Path(directory), examples, epochs, ARRAYS, made_with)
  plan.begin()
  for shard in range(plan.shards):
    plan.write(shard, [example(*place) for place in plan.places(shard)])
  return plan


@pytest.fixture(scope="module", autouse=True)
def small_shards():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(side_shards, "RECORDS_PER_SHARD", 4)
    yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  directory = tmp_path_factory.mktemp("cache")
  make(directory, seed=0)
  return directory


@pytest.fixture
def cache(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / "cache")


def test_every_pair_is_found_across_shards(whole):
  plan = side_shards.read_plan(epath.Path(whole))
  assert plan.shards == 4
  opened = side_shards.SideShards(plan)
  for epoch in range(2):
    for index in range(5):
      found, expected = opened.read(epoch, index), example(epoch, index)
      assert {k: (v.dtype, v.tolist()) for k, v in found.items()} == {
        k: (v.dtype, v.tolist()) for k, v in expected.items()
      }


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_any_array_comes_back(data):
  dtype = data.draw(st.sampled_from(["int32", "uint8", "float32", "float16"]))
  array = data.draw(st_numpy.arrays(dtype, st_numpy.array_shapes(max_dims=3, max_side=4)))
  place = data.draw(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)))
  record = side_shards._encode("a cache", place, {"x": array})
  found = side_shards._decode(record, "a cache", place, {"x": (dtype, array.shape)})["x"]
  assert found.tobytes() == array.tobytes()
  assert found.shape == array.shape


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_anywhere_is_found(whole, tmp_path_factory, data):
  directory = shutil.copytree(whole, tmp_path_factory.mktemp("flipped") / "cache")
  path = data.draw(st.sampled_from(sorted(directory.iterdir())))
  raw = bytearray(path.read_bytes())
  raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
  path.write_bytes(raw)
  try:
    found = list(verify.problems(directory))
  except InputError as error:
    found = [str(error)]
  assert found
  assert path.name.removesuffix(".idx") in found[0]


def test_damage_is_told_by_shard_and_record(cache, capsys):
  shard = sorted(cache.glob("*.tfrecord"))[2]
  raw = bytearray(shard.read_bytes())
  offset, length = tfrecord.Shard(shard)._index[2].astype(int)
  raw[offset + length // 2] ^= 1
  shard.write_bytes(raw)
  sorted(cache.glob("*.tfrecord"))[1].unlink()
  assert cli.main(["prepare", "--verify", str(cache)]) == 2
  damaged, absent = capsys.readouterr().out.splitlines()
  assert f"{shard.name}: record 2 is damaged (checksum); remove the shard, the next run makes it again" in damaged
  assert f"{cache}: not filled yet: 3 of 4 shards, cache-00001.tfrecord is the first" in absent
  assert absent.endswith("the next run goes on")


def test_a_whole_cache_is_said_to_be(whole, capsys):
  assert cli.main(["prepare", "--verify", str(whole)]) == 0
  assert "whole" in capsys.readouterr().out


def copy_shard(one, other):
  for f in (str, tfrecord.index_path):
    shutil.copy(f(one), f(other))


def test_a_shard_in_anothers_place_is_found(cache):
  shards = sorted(cache.glob("*.tfrecord"))
  copy_shard(shards[0], shards[2])
  assert [line.split("; ")[0].split(": ", 1)[1] for line in verify.problems(cache)] == [
    f"record {i} is not of this cache ((epoch, index) is (0, {i}), expected (1, {i}))" for i in range(4)
  ]


def test_a_shard_of_another_cache_is_found_and_made_again(cache, tmp_path):
  other, plan = make(tmp_path / "other", seed=1), side_shards.read_plan(epath.Path(cache))
  copy_shard(other.path(1), plan.path(1))
  (problem,) = verify.problems(cache)
  assert "cache-00001.tfrecord: record 0 is not of this cache (made with something else); remove the shard" in problem
  with pytest.raises(InputError, match=r"cache-00001\.tfrecord: record 0 is not of this cache"):
    side_shards.SideShards(plan).read(0, 4)
  assert [plan.has(number) for number in range(4)] == [True, False, True, True]


def test_shards_without_a_description_belong_to_nobody(cache):
  (cache / "cache.json").unlink()
  for attempt in (lambda: list(verify.problems(cache)), lambda: make(cache, seed=1)):
    with pytest.raises(InputError, match=r"cache\.json: not there, beside shards of a cache; remove them or name"):
      attempt()
  assert not (cache / "cache.json").exists()


def test_a_shard_that_does_not_open_is_not_there(cache):
  plan = side_shards.read_plan(epath.Path(cache))
  os.truncate(plan.path(0), 20)
  tfrecord.index_path(plan.path(1)).unlink()
  tfrecord.write(plan.path(2), [b"one"])
  assert [plan.has(number) for number in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"examples": 6}, "examples is not that of this run (5 there, 6 here)"),
    ({"seed": 1}, "seed is not that of this run (0 there, 1 here)"),
    ({"seed": 0, "mode": "paper"}, 'mode is not that of this run (nothing there, "paper" here)'),
    ({"examples": 6, "seed": 2}, "seed is not that of this run (0 there, 2 here)"),
    ({"seed": {"a": {"b": 1}}}, "seed.a.b is not that of this run (nothing there, 1 here)"),
  ],
)
def test_another_cache_is_refused_before_anything_is_written(cache, change, words):
  before = {p.name: p.read_bytes() for p in cache.iterdir()}
  with pytest.raises(InputError, match=re.escape(f"cache.json: its {words}; name another --config.data.cache")):
    make(cache, **{"seed": 0} | change)
  assert before == {p.name: p.read_bytes() for p in cache.iterdir()}


def test_another_length_of_shards_is_refused(cache, monkeypatch):
  monkeypatch.setattr(side_shards, "RECORDS_PER_SHARD", 3)
  assert not list(verify.problems(cache))
  with pytest.raises(InputError, match=r"its records_per_shard is not that of this run \(4 there, 3 here\)"):
    make(cache, seed=0)


def test_fewer_epochs_are_a_part_of_a_cache_and_more_go_on_with_it(cache):
  before = {p.name: p.read_bytes() for p in cache.iterdir()}
  fewer, more = (side_shards.Plan(epath.Path(cache), 5, epochs, ARRAYS, {"seed": 0}) for epochs in (1, 3))
  fewer.begin()
  assert before == {p.name: p.read_bytes() for p in cache.iterdir()}
  side_shards.SideShards(fewer).read(0, 4)
  more.begin()
  assert [more.has(number) for number in range(6)] == [True] * 4 + [False] * 2
  assert side_shards.read_plan(epath.Path(cache)).epochs == 3
  make(cache, epochs=3, seed=0)
  assert not list(verify.problems(cache))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', "[" * 100_000, '{"schema_version": 2, "a":'])
def test_a_damaged_description_is_one_line(cache, text):
  (cache / "cache.json").write_text(text)
  for attempt in (lambda: list(verify.problems(cache)), lambda: make(cache, seed=0)):
    with pytest.raises(InputError, match=r"cache.json: no valid description .* remove the whole folder"):
      attempt()


def test_a_byte_that_is_no_text_is_a_short_line(cache):
  path = cache / "cache.json"
  path.write_bytes(path.read_bytes().replace(b"seed", b"s\xffed") + b" " * 20_000)
  with pytest.raises(InputError, match="no valid description") as caught:
    make(cache, seed=0)
  assert len(str(caught.value)) < 300 + len(str(path))


def test_a_folder_of_a_dataset_is_refused(tmp_path):
  (tmp_path / "dataset.json").write_text("{}")
  with pytest.raises(InputError, match=r"holds a dataset; name another --config\.data\.cache"):
    make(tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ["dataset.json"]


def test_a_full_disk_names_the_shard(cache, monkeypatch):
  plan = side_shards.read_plan(epath.Path(cache))

  def full():
    yield example(0, 0)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  words = r"cache-00000\.tfrecord: cannot be written \(No space left on device\); make room or name another"
  with pytest.raises(InputError, match=words):
    plan.write(0, full())
  (cache / "file").touch()
  with pytest.raises(InputError, match=r"file/cache: cannot be written \(Not a directory\)"):
    make(cache / "file" / "cache")


def test_what_killed_processes_left_goes_and_what_others_write_stays(cache):
  code = (
    "import sys, time; from data_pipelines import tfrecord; from tests.data_pipelines import side_shards_test as t;"
  )
  code += "tfrecord.write(sys.argv[1] + '/cache-00009.tfrecord', t.slowly())"
  with subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, cwd=ROOT) as writer:
    writer.stdout.readline()
    make(cache, seed=0)
    (left,) = cache.glob(".*")
    writer.kill()
    writer.wait()
  make(cache, seed=0)
  assert left.name.endswith(".partial") and not list(cache.glob(".*"))


def slowly():
  print("begun", flush=True)
  time.sleep(60)
  yield b""


RACE = """
import sys
from tests.data_pipelines import side_shards_test as t
t.side_shards.RECORDS_PER_SHARD = 4
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
  t.make(f"{sys.argv[1]}/{number}", seed=0)
"""


def test_two_fill_one_cache(tmp_path, whole):
  start = lambda: subprocess.Popen(
    [sys.executable, "-c", RACE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
  )
  with start() as one, start() as other:
    assert [runner.stdout.readline() for runner in (one, other)] == ["ready\n"] * 2
    for runner in (one, other):
      runner.stdin.write("go\n")
      runner.stdin.flush()
    assert [one.wait(), other.wait()] == [0, 0]
  read = lambda directory: {p.name: p.read_bytes() for p in directory.iterdir()}
  assert [read(tmp_path / str(number)) for number in range(60)] == [read(whole)] * 60


def test_a_newer_schema_is_refused(cache):
  path = cache / "cache.json"
  path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 3'))
  with pytest.raises(InputError, match="schema version 3, expected 2"):
    list(verify.problems(cache))


def test_batches_name_a_damaged_record(cache):
  shard = sorted(cache.glob("*.tfrecord"))[0]
  raw = bytearray(shard.read_bytes())
  raw[30] ^= 1
  shard.write_bytes(raw)
  opened = side_shards.SideShards(side_shards.read_plan(epath.Path(cache)))
  with pytest.raises(InputError, match=f"{shard.name}: record 0 is damaged"):
    list(zip(range(5), pipeline.cached_batches(opened, batch_size=2, seed=0), strict=False))
