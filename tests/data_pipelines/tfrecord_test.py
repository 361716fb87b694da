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


def test_every_flipped_byte_is_found(shard, tmp_path):
  path = tmp_path / "x.tfrecord"
  for name in (shard.name, shard.name + ".idx"):
    whole = shard.with_name(name).read_bytes()
    tfrecord.write(path, RECORDS)
    for i in range(len(whole)):
      (tmp_path / name).write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
      with pytest.raises(InputError, match=r"x\.tfrecord"):
        read_all(path)


def test_damage_names_the_record_and_spares_the_others(shard, tmp_path):
  path = tmp_path / "x.tfrecord"
  tfrecord.write(path, RECORDS)
  raw = bytearray(path.read_bytes())
  raw[-6] ^= 1
  path.write_bytes(raw)
  damaged = tfrecord.Shard(path)
  assert damaged[0] == RECORDS[0]
  with pytest.raises(InputError, match=r"x\.tfrecord: record 2 is damaged"):
    damaged[2]


@pytest.mark.parametrize("keep", [0, 10, 47])
def test_truncated_shard_is_found(shard, tmp_path, keep):
  path = tmp_path / "x.tfrecord"
  tfrecord.write(path, RECORDS)
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(InputError, match="does not belong"):
    tfrecord.Shard(path)


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
