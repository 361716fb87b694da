"""TFRecord shards with an offset index beside them, read at random without TensorFlow.

A shard `X.tfrecord` is the format that TensorFlow reads: per record the length (uint64), its masked CRC-32C (uint32),
the data, and their masked CRC-32C (uint32), all little-endian. Its index `X.tfrecord.idx` holds one pair of
little-endian uint64 per record: offset of the record's first byte in the shard, and length of its data in bytes.
"""

import io
import os
import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import google_crc32c
import numpy as np
from etils import epath

from data_pipelines import lock
from data_pipelines.errors import InputError

INDEX_SUFFIX = ".idx"
Result = TypeVar("Result")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_FRAMING = _HEADER.size + _FOOTER.size


def index_path(shard: str | os.PathLike) -> epath.Path:
  """Path of the index beside `shard`."""
  return epath.Path(f"{os.fspath(shard)}{INDEX_SUFFIX}")


def length(path: epath.Path) -> int:
  """Bytes of a file. (`path.stat()` of epath asks for the name of a local file's owner, who may have none.)"""
  with path.open("rb") as f:
    f.seek(0, os.SEEK_END)
    return f.tell()


def frame(data: bytes) -> bytes:
  """`data` as one TFRecord: header, data, footer."""
  length = struct.pack("<Q", len(data))
  return length + _FOOTER.pack(_masked_crc(length)) + data + _FOOTER.pack(_masked_crc(data))


def write(path: str | os.PathLike, records: Iterable[bytes]) -> int:
  """Writes a shard and its index, each aside and then renamed; returns the number of records. gs:// paths work too.

  Several processes may write the same shard at a time: each renames what it has finished. The lengths of its records
  must be the same in all, for the index to be that of any of them.
  """
  path = epath.Path(path)
  pairs, offset = [], 0
  with lock.aside(path) as shard:
    with shard.open("wb") as f:
      for data in records:
        pairs.append((offset, len(data)))
        offset += f.write(frame(data))
    with lock.aside(index_path(path)) as index:
      index.write_bytes(np.asarray(pairs, "<u8").tobytes())
  return len(pairs)


class Shard:
  """Random access to the records of one shard.

  Opens the file for each read, so that it may be shared by threads, pickled, and held by the thousand.

  Args:
    path: of the shard.
    remedy: what errors tell the user to do.

  Raises (on opening):
    InputError: the shard or its index is absent, or they do not belong together.
  """

  def __init__(self, path: str | os.PathLike, *, remedy: str = "copy it again or prepare the data again"):
    self.path, self._remedy = epath.Path(path), remedy
    self._index = self._read_index()

  def __len__(self) -> int:
    return len(self._index)

  def __getitem__(self, record: int) -> bytes:
    """Data of a record; raises like `read`."""
    return self.read(record, 1)[0]

  def read(self, first: int, count: int) -> list[bytes]:
    """Data of `count` records in a row, at least 1, in one read of the file.

    Raises:
      IndexError: no such record.
      InputError: a record's bytes do not match their checksums or the index, or cannot be read.
    """
    if not 0 <= first < first + count <= len(self):
      raise IndexError(f"records {first} to {first + count - 1} of {len(self)} in {self.path}")
    spans = self._index[first : first + count].astype(int)
    start = spans[0, 0]
    raw = memoryview(self._pread(start, spans[-1].sum() + _FRAMING - start))
    return [self._checked(first + i, raw[at - start :][: length + _FRAMING]) for i, (at, length) in enumerate(spans)]

  def _checked(self, record: int, raw: memoryview) -> bytes:
    """Data of a framed record; fewer bytes where the file has ended."""
    length = self._index[record, 1]
    if len(raw) != length + _FRAMING:
      raise self._damaged(record)
    found, header_crc = _HEADER.unpack_from(raw)
    data = bytes(raw[_HEADER.size : -_FOOTER.size])
    (data_crc,) = _FOOTER.unpack(raw[-_FOOTER.size :])
    if header_crc != _masked_crc(bytes(raw[:8])):
      raise self._damaged(record)
    if found != length:  # In a shard of just this size.
      raise self._not_indexed()
    if data_crc != _masked_crc(data):
      raise self._damaged(record)
    return data

  def _pread(self, offset: int, count: int) -> bytes:
    try:
      with self.path.open("rb") as f:
        if isinstance(f, io.BufferedReader):  # A local file: one system call, no buffer.
          return os.pread(f.fileno(), count, offset)
        f.seek(offset)
        return f.read(count)
    except OSError as e:
      raise InputError(f"{self.path}: cannot be read ({e.strerror or e}); is the folder still there?") from e

  def _read_index(self) -> np.ndarray:
    """Offsets and lengths, uint64 [records, 2]."""
    index = index_path(self.path)
    size = self._readable(self.path, lambda: length(self.path))
    raw = self._readable(index, index.read_bytes)
    if len(raw) % 16 == 0:
      spans = np.frombuffer(raw, "<u8").reshape(-1, 2)
      ends = np.cumsum(spans[:, 1] + np.uint64(_FRAMING))
      starts = np.concatenate([[0], ends]).astype("<u8")
      if np.array_equal(spans[:, 0], starts[:-1]) and int(starts[-1]) == size:
        return spans
    raise self._not_indexed()

  def _readable(self, path: epath.Path, read: Callable[[], Result]) -> Result:
    """What `read` gives. Raises InputError, naming `path`, if it cannot be read."""
    try:
      return read()
    except OSError as e:
      raise InputError(f"{path}: cannot be read ({e.strerror or e}); {self._remedy}") from e

  def _not_indexed(self) -> InputError:
    return InputError(f"{index_path(self.path)}: does not belong to {self.path.name}; {self._remedy}")

  def _damaged(self, record: int) -> InputError:
    return InputError(f"{self.path}: record {record} is damaged (checksum); {self._remedy}")


def _masked_crc(data: bytes) -> int:
  """CRC-32C rotated and offset, as the format asks (so that a CRC of data with CRCs in it stays strong)."""
  crc = google_crc32c.value(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
