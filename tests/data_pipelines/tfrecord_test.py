import itertools
import os
import shutil
import struct

import google_crc32c
import hypothesis
import pytest
from hypothesis import strategies as st

from data_pipelines import tfrecord
from data_pipelines.errors import InputError

RECORDS = [b"first", b"", b"a third one"]


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
  path = tmp_path_factory.mktemp("shard") / "x.tfrecord"
  assert tfrecord.write(path, RECORDS) == 3
  return path


def read_all(path):
  shard = tfrecord.Shard(path)
  return [shard[i] for i in range(len(shard))]


@hypothesis.given(st.lists(st.binary(max_size=300), max_size=8))
@hypothesis.settings(max_examples=40, deadline=None)
def test_records_come_back(tmp_path_factory, data):
  path = tmp_path_factory.mktemp("t") / "x.tfrecord"
  assert tfrecord.write(path, iter(data)) == len(data)
  assert read_all(path) == data
  assert sorted(p.name for p in path.parent.iterdir()) == ["x.tfrecord", "x.tfrecord.idx"]


def test_format_is_that_of_tensorflow():
  # The published check value of CRC-32C, and the mask of the format's description, by hand.
  assert google_crc32c.value(b"123456789") == 0xE3069283
  framed = tfrecord.frame(b"123456789")
  masked = (((0xE3069283 >> 15) | (0xE3069283 << 17 & 0xFFFFFFFF)) + 0xA282EAD8) & 0xFFFFFFFF
  assert framed[:8] == struct.pack("<Q", 9)
  assert framed[12:21] == b"123456789"
  assert framed[21:] == struct.pack("<I", masked)


def test_index_holds_offsets_and_lengths(shard):
  pairs = struct.unpack("<6Q", tfrecord.index_path(shard).read_bytes())
  assert pairs == (0, 5, 21, 0, 37, 11)


@hypothesis.given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
@hypothesis.settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_found_and_the_record_it_is_in_named(tmp_path_factory, content, data):
  path = tmp_path_factory.mktemp("t") / "x.tfrecord"
  tfrecord.write(path, content)
  damaged = data.draw(st.sampled_from([path, tfrecord.index_path(path)]))
  at = change_a_byte(damaged, data)
  if damaged != path:
    with pytest.raises(InputError, match=r"x\.tfrecord\.idx: does not belong"):
      tfrecord.Shard(path)
    return
  ends = itertools.accumulate(len(tfrecord.frame(record)) for record in content)
  hit = next(record for record, end in enumerate(ends) if at < end)
  opened = tfrecord.Shard(path)
  for record in range(len(content)):
    if record == hit:
      with pytest.raises(InputError, match=rf"x\.tfrecord: record {hit} is damaged"):
        opened[record]
    else:
      assert opened[record] == content[record]


def change_a_byte(path, data):
  """Changes any byte of a file to any other; returns where."""
  raw = bytearray(path.read_bytes())
  at = data.draw(st.integers(0, len(raw) - 1))
  raw[at] ^= data.draw(st.integers(1, 255))
  path.write_bytes(raw)
  return at


@hypothesis.given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
@hypothesis.settings(max_examples=80, deadline=None)
def test_any_truncation_is_found(tmp_path_factory, content, data):
  path = tmp_path_factory.mktemp("t") / "x.tfrecord"
  tfrecord.write(path, content)
  cut = data.draw(st.sampled_from([path, tfrecord.index_path(path)]))
  os.truncate(cut, data.draw(st.integers(0, len(cut.read_bytes()) - 1)))
  with pytest.raises(InputError, match=r"x\.tfrecord\.idx: does not belong"):
    tfrecord.Shard(path)


@hypothesis.given(*[st.lists(st.binary(max_size=9), max_size=4)] * 2)
@hypothesis.example([b"1", b"234"], [b"12", b"34"])
@hypothesis.settings(max_examples=80, deadline=None)
def test_the_index_of_another_shard_is_found(tmp_path_factory, content, others):
  path, other = (tmp_path_factory.mktemp("t") / name for name in ("x.tfrecord", "y.tfrecord"))
  tfrecord.write(path, content)
  tfrecord.write(other, others)
  shutil.copy(tfrecord.index_path(other), tfrecord.index_path(path))
  if [len(record) for record in content] == [len(record) for record in others]:
    assert read_all(path) == content
  else:
    with pytest.raises(InputError, match=r"x\.tfrecord\.idx: does not belong"):
      read_all(path)


@pytest.mark.parametrize("absent", ["x.tfrecord", "x.tfrecord.idx"])
def test_absent_file_is_named(tmp_path, absent):
  tfrecord.write(tmp_path / "x.tfrecord", RECORDS)
  (tmp_path / absent).unlink()
  with pytest.raises(InputError, match=absent):
    tfrecord.Shard(tmp_path / "x.tfrecord")


def test_shard_that_vanishes_is_named(tmp_path):
  tfrecord.write(tmp_path / "x.tfrecord", RECORDS)
  opened = tfrecord.Shard(tmp_path / "x.tfrecord")
  (tmp_path / "x.tfrecord").unlink()
  with pytest.raises(InputError, match=r"x\.tfrecord"):
    opened[0]


def test_failed_write_leaves_nothing(tmp_path):
  def records():
    yield b"one"
    raise RuntimeError("out of videos")

  with pytest.raises(RuntimeError, match="out of videos"):
    tfrecord.write(tmp_path / "x.tfrecord", records())
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("record", [-1, 3])
def test_index_out_of_range(shard, record):
  with pytest.raises(IndexError):
    tfrecord.Shard(shard)[record]


def test_a_shard_that_another_still_writes_is_not_published(tmp_path):
  path, records = tmp_path / "x.tfrecord", [bytes([i]) * 20_000 for i in range(20)]

  def other():
    for i, record in enumerate(records):
      if i == 3:
        assert tfrecord.write(path, iter(records)) == 20
        assert read_all(path) == records
      yield record

  tfrecord.write(path, other())
  assert read_all(path) == records
  assert sorted(p.name for p in tmp_path.iterdir()) == ["x.tfrecord", "x.tfrecord.idx"]


def test_errors_tell_the_remedy_that_was_given(tmp_path):
  tfrecord.write(tmp_path / "x.tfrecord", RECORDS)
  opened = tfrecord.Shard(tmp_path / "x.tfrecord", remedy="make tea")
  raw = bytearray((tmp_path / "x.tfrecord").read_bytes())
  raw[13] ^= 1
  (tmp_path / "x.tfrecord").write_bytes(raw)
  with pytest.raises(InputError, match=r"checksum\); make tea$"):
    opened[0]
  (tmp_path / "x.tfrecord.idx").unlink()
  with pytest.raises(InputError, match=r"cannot be read .*; make tea$"):
    tfrecord.Shard(tmp_path / "x.tfrecord", remedy="make tea")
