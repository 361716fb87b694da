"""Any arrays come back as they were, and any damage to a cache is found and named."""

import shutil

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
  assert plan.shards == 3
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
  record = side_shards._encode(*place, {"x": array})
  found = side_shards._decode(record, place, {"x": (dtype, array.shape)})["x"]
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
  shard = sorted(cache.glob("*.tfrecord"))[1]
  raw = bytearray(shard.read_bytes())
  offset, length = tfrecord.Shard(shard)._index[2].astype(int)
  raw[offset + length // 2] ^= 1
  shard.write_bytes(raw)
  sorted(cache.glob("*.tfrecord"))[2].unlink()
  assert cli.main(["prepare", "--verify", str(cache)]) == 2
  damaged, absent = capsys.readouterr().out.splitlines()
  assert f"{shard.name}: record 2 is damaged" in damaged
  assert "cache-00002-of-00003.tfrecord: cannot be read" in absent


def test_a_whole_cache_is_said_to_be(whole, capsys):
  assert cli.main(["prepare", "--verify", str(whole)]) == 0
  assert "whole" in capsys.readouterr().out


def test_a_shard_in_anothers_place_is_found(cache):
  first, second = sorted(cache.glob("*.tfrecord"))[:2]
  for one, other in ((first, second), (tfrecord.index_path(first), tfrecord.index_path(second))):
    shutil.copy(one, other)
  assert [line.split("; ")[0].split(": ", 1)[1] for line in verify.problems(cache)] == [
    f"record {i} is not of this cache ((epoch, index) is (0, {i}), expected {place})"
    for i, place in enumerate([(0, 4), (1, 0), (1, 1), (1, 2)])
  ]


@pytest.mark.parametrize("change", [{"examples": 6}, {"epochs": 3}, {"seed": 1}, {"seed": 0, "mode": "paper"}])
def test_another_cache_is_refused_before_anything_is_written(cache, change):
  before = {p.name: p.read_bytes() for p in cache.iterdir()}
  with pytest.raises(InputError, match=f"cache.json: its {list(change)[-1]} is not that of this run"):
    make(cache, **{"seed": 0} | change)
  assert before == {p.name: p.read_bytes() for p in cache.iterdir()}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "[" * 100_000])
def test_a_damaged_description_is_one_line(cache, text):
  (cache / "cache.json").write_text(text)
  for attempt in (lambda: list(verify.problems(cache)), lambda: make(cache, seed=0)):
    with pytest.raises(InputError, match=r"cache.json: (no valid description|its .* is not that of this run)"):
      attempt()


def test_a_newer_schema_is_refused(cache):
  path = cache / "cache.json"
  path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
  with pytest.raises(InputError, match="schema version 2, expected 1"):
    list(verify.problems(cache))


def test_batches_name_a_damaged_record(cache):
  shard = sorted(cache.glob("*.tfrecord"))[0]
  raw = bytearray(shard.read_bytes())
  raw[30] ^= 1
  shard.write_bytes(raw)
  opened = side_shards.SideShards(side_shards.read_plan(epath.Path(cache)))
  with pytest.raises(InputError, match=f"{shard.name}: record 0 is damaged"):
    list(zip(range(5), pipeline.cached_batches(opened, batch_size=2, seed=0), strict=False))
