"""A cache of what frozen models make of the pairs of a few epochs: TFRecord shards beside `cache.json`.

`cache.json` holds: schema_version, examples (pairs of an epoch), epochs, arrays {name: [dtype, shape]}, and made_with,
all that the content depends on. It is written first; the cache is whole when every shard is there. Record epoch *
examples + index is a tf.train.Example with the features epoch and index, int64 [1], and for each array its bytes,
little-endian.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes  # noqa: F401 (tells NumPy of bfloat16)
import numpy as np
from etils import epath
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_generated_pb2 as example_pb2

from data_pipelines import seal, tfrecord
from data_pipelines.errors import InputError

SCHEMA_VERSION = 1
FILE_NAME = "cache.json"
# Some 60 MB at paper size: a killed pass loses little, and a pod's hosts have shards enough.
RECORDS_PER_SHARD = 1024


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a cache is to hold.

  Attributes:
    directory: local or gs://.
    examples: pairs of an epoch.
    epochs: how many epochs it holds.
    arrays: dtype and shape of each array of a pair.
    made_with: all that the content depends on, as JSON has it.
  """

  directory: epath.Path
  examples: int
  epochs: int
  arrays: Mapping[str, tuple[str, tuple[int, ...]]]
  made_with: Mapping[str, Any]

  @property
  def shards(self) -> int:
    """How many shards there are."""
    return -(-self.examples * self.epochs // RECORDS_PER_SHARD)

  def path(self, shard: int) -> epath.Path:
    """Of a shard."""
    return self.directory / f"cache-{shard:05d}-of-{self.shards:05d}.tfrecord"

  def places(self, shard: int) -> list[tuple[int, int]]:
    """(epoch, index) of each record of a shard."""
    first = shard * RECORDS_PER_SHARD
    end = min(first + RECORDS_PER_SHARD, self.examples * self.epochs)
    return [divmod(record, self.examples) for record in range(first, end)]

  def begin(self) -> None:
    """Writes `cache.json`, unless the same is there.

    Raises:
      InputError: the folder holds another cache, or a damaged one.
    """
    path = self.directory / FILE_NAME
    content = self._content()
    if path.exists():
      _check_same(path, content)
      return
    self.directory.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{FILE_NAME}")
    aside.write_text(seal.sealed(content))
    aside.replace(path)

  def write(self, shard: int, examples: Iterable[Mapping[str, np.ndarray]]) -> None:
    """Writes a shard of its examples, in the order of `places`."""
    places = self.places(shard)
    tfrecord.write(self.path(shard), (_encode(*place, e) for place, e in zip(places, examples, strict=True)))

  def open(self, number: int) -> tfrecord.Shard:
    """A shard that is there. Raises InputError if it is not, or has another number of records."""
    shard, expected = tfrecord.Shard(self.path(number)), len(self.places(number))
    if len(shard) != expected:
      raise InputError(f"{shard.path}: {len(shard)} records, expected {expected}; remove it")
    return shard

  def decode(self, shard: tfrecord.Shard, number: int, record: int) -> dict[str, np.ndarray]:
    """Arrays of a record of shard `number`. Raises InputError if it is damaged or another one."""
    place = divmod(number * RECORDS_PER_SHARD + record, self.examples)
    try:
      return _decode(shard[record], place, self.arrays)
    except ValueError as e:
      raise InputError(f"{shard.path}: record {record} is not of this cache ({e}); remove the shard") from e

  def _content(self) -> dict[str, Any]:
    told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "directory"}
    return json.loads(json.dumps({"schema_version": SCHEMA_VERSION, **told}))


class SideShards:
  """Random access to a whole cache. Threads may share it; it pickles.

  Raises (on opening):
    InputError: a shard is absent, or not of this cache.
  """

  def __init__(self, plan: Plan):
    self.directory, self.examples, self.epochs = plan.directory, plan.examples, plan.epochs
    self._plan, self._shards = plan, [plan.open(number) for number in range(plan.shards)]

  def read(self, epoch: int, index: int) -> dict[str, np.ndarray]:
    """What is held of a pair. Raises InputError if its record is damaged or another one."""
    number, record = divmod(epoch * self.examples + index, RECORDS_PER_SHARD)
    return self._plan.decode(self._shards[number], number, record)


def problems(directory: epath.Path) -> Iterator[str]:
  """One line for each thing that is wrong with a cache, naming the shard and, where it can, the record.

  Raises:
    InputError: its `cache.json` is absent or cannot be read.
  """
  path = directory / FILE_NAME
  plan = read_plan(directory)
  if not seal.is_whole(path.read_bytes()):
    yield f"{path}: not as it was written (sha256); remove the folder"
    return
  for number in range(plan.shards):
    try:
      shard = plan.open(number)
    except InputError as e:
      yield str(e)
      continue
    for record in range(len(shard)):
      try:
        plan.decode(shard, number, record)
      except InputError as e:
        yield str(e)


def read_plan(directory: epath.Path) -> Plan:
  """The plan of a folder that holds a cache.

  Raises:
    InputError: its `cache.json` is absent, damaged or of another schema.
  """
  path = directory / FILE_NAME
  content = _read(path)
  try:
    arrays = {name: (dtype, tuple(shape)) for name, (dtype, shape) in content["arrays"].items()}
    return Plan(directory, content["examples"], content["epochs"], arrays, content["made_with"])
  except (KeyError, TypeError, ValueError, AttributeError) as e:
    raise _invalid(path, e) from e


def _read(path: epath.Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
    version = content["schema_version"]
  except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
    raise _invalid(path, e) from e
  if version != SCHEMA_VERSION:
    raise InputError(f"{path}: schema version {version}, expected {SCHEMA_VERSION}; remove the folder")
  return content


def _invalid(path: epath.Path, cause: Exception) -> InputError:
  return InputError(f"{path}: no valid description of a cache ({cause!r}); remove the folder")


def _check_same(path: epath.Path, wanted: dict[str, Any]) -> None:
  found = _read(path)
  flat = [{**content, **content.get("made_with", {})} for content in (found, wanted)]
  for name in flat[1]:
    if name != "made_with" and flat[0].get(name) != flat[1][name]:
      raise InputError(
        f"{path}: its {name} is not that of this run; name another --config.data.cache or remove the folder"
      )


def _encode(epoch: int, index: int, arrays: Mapping[str, np.ndarray]) -> bytes:
  example = example_pb2.Example()
  feature = example.features.feature
  for name, value in (("epoch", epoch), ("index", index)):
    feature[name].int64_list.value.append(value)
  for name, array in arrays.items():
    feature[name].bytes_list.value.append(np.ascontiguousarray(array).tobytes())
  return example.SerializeToString(deterministic=True)


def _decode(
  record: bytes, place: tuple[int, int], arrays: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, np.ndarray]:
  """Arrays of a record. Raises ValueError if it is not that of `place`."""
  try:
    feature = example_pb2.Example.FromString(record).features.feature
  except DecodeError as e:
    raise ValueError("no tf.train.Example") from e
  found = tuple(number for name in ("epoch", "index") for number in feature[name].int64_list.value)
  if found != place:
    raise ValueError(f"(epoch, index) is {found}, expected {place}")
  raw = {name: b"".join(feature[name].bytes_list.value) for name in arrays}
  return {name: np.frombuffer(raw[name], np.dtype(dtype)).reshape(shape) for name, (dtype, shape) in arrays.items()}
