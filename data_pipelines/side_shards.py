"""A cache of what frozen models make of the pairs of a few epochs: TFRecord shards beside `cache.json`.

`cache.json` holds: schema_version, examples (pairs of an epoch), epochs, arrays {name: [dtype, shape]}, made_with, all
that the content depends on, records_per_shard, and a hash of itself. It is written first; the cache is whole when every
shard is there. The shards of an epoch hold its pairs in order, those of the next one follow, so that a shard is the
same however many epochs there are. A record is a tf.train.Example with the features epoch and index, int64 [1], cache,
a hash of what `cache.json` says but for epochs, and for each array its bytes, little-endian.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes  # noqa: F401 (tells NumPy of bfloat16)
import numpy as np
from etils import epath
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_generated_pb2 as example_pb2

from data_pipelines import dataset, lock, seal, tfrecord
from data_pipelines.errors import InputError

SCHEMA_VERSION = 2
FILE_NAME = "cache.json"
# Some 60 MB at paper size: a killed pass loses little, and a pod's hosts have shards enough.
RECORDS_PER_SHARD = 1024
_OTHER = "name another --config.data.cache"
_REMEDY = "remove the shard, the next run makes it again"


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a cache is to hold.

  Attributes:
    directory: local or gs://.
    examples: pairs of an epoch.
    epochs: how many epochs it holds.
    arrays: dtype and shape of each array of a pair.
    made_with: all that the content depends on, as JSON has it.
    records_per_shard: of all shards but the last of an epoch.
  """

  directory: epath.Path
  examples: int
  epochs: int
  arrays: Mapping[str, tuple[str, tuple[int, ...]]]
  made_with: Mapping[str, Any]
  records_per_shard: int = dataclasses.field(default_factory=lambda: RECORDS_PER_SHARD)

  @property
  def shards(self) -> int:
    """How many shards there are."""
    return self.epochs * self._per_epoch

  @functools.cached_property
  def identity(self) -> str:
    """Of the cache, whatever the number of its epochs."""
    content = {name: value for name, value in self._content().items() if name != "epochs"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

  def path(self, shard: int) -> epath.Path:
    """Of a shard."""
    return self.directory / f"cache-{shard:05d}.tfrecord"

  def places(self, shard: int) -> list[tuple[int, int]]:
    """(epoch, index) of each record of a shard."""
    epoch, first = self._place(shard, 0)
    return [(epoch, index) for index in range(first, min(first + self.records_per_shard, self.examples))]

  def find(self, epoch: int, index: int) -> tuple[int, int]:
    """(shard, record) of a pair."""
    part, record = divmod(index, self.records_per_shard)
    return epoch * self._per_epoch + part, record

  def begin(self) -> None:
    """Writes `cache.json`, unless this cache, with as many epochs or more, is there; clears up after killed processes.

    Raises:
      InputError: the folder holds another cache, a damaged one or a dataset, or cannot be written to.
    """
    if (self.directory / dataset.FILE_NAME).exists():
      raise InputError(f"{self.directory}: holds a dataset; {_OTHER}")
    held = _epochs_held(self.directory, self._content()) if is_in(self.directory) else 0
    lock.remove_abandoned(self.directory)
    if held >= self.epochs:
      return
    with _written(self.directory):
      self.directory.mkdir(parents=True, exist_ok=True)
      with lock.aside(self.directory / FILE_NAME) as path:
        path.write_text(seal.sealed(self._content()))

  def has(self, shard: int) -> bool:
    """Whether a shard of this cache is there and can be opened."""
    try:
      self.decode(self.open(shard), shard, 0)
    except InputError:
      return False
    return True

  def write(self, shard: int, examples: Iterable[Mapping[str, np.ndarray]]) -> None:
    """Writes a shard of its examples, in the order of `places`. Raises InputError if there is no room, say."""
    rows = zip(self.places(shard), examples, strict=True)
    with _written(self.path(shard)):
      tfrecord.write(self.path(shard), (_encode(self.identity, place, arrays) for place, arrays in rows))

  def open(self, number: int) -> tfrecord.Shard:
    """A shard that is there. Raises InputError if it is not, or has another number of records."""
    shard, expected = tfrecord.Shard(self.path(number), remedy=_REMEDY), len(self.places(number))
    if len(shard) != expected:
      raise InputError(f"{shard.path}: {len(shard)} records, expected {expected}; {_REMEDY}")
    return shard

  def decode(self, shard: tfrecord.Shard, number: int, record: int) -> dict[str, np.ndarray]:
    """Arrays of a record of shard `number`. Raises InputError if it is damaged or another one."""
    data = shard[record]
    try:
      return _decode(data, self.identity, self._place(number, record), self.arrays)
    except ValueError as e:
      raise InputError(f"{shard.path}: record {record} is not of this cache ({e}); {_REMEDY}") from e

  def _place(self, shard: int, record: int) -> tuple[int, int]:
    epoch, part = divmod(shard, self._per_epoch)
    return epoch, part * self.records_per_shard + record

  @property
  def _per_epoch(self) -> int:
    return -(-self.examples // self.records_per_shard)

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
    number, record = self._plan.find(epoch, index)
    return self._plan.decode(self._shards[number], number, record)


def is_in(directory: epath.Path) -> bool:
  """Whether a folder holds a cache, or shards of one."""
  return (directory / FILE_NAME).exists() or any(directory.glob(f"cache-{'[0-9]' * 5}.tfrecord*"))


def problems(directory: epath.Path) -> Iterator[str]:
  """One line for each thing that is wrong with a cache, naming the shard and, where it can, the record.

  Raises:
    InputError: its `cache.json` is absent or cannot be read.
  """
  plan = read_plan(directory)
  there = [number for number in range(plan.shards) if plan.path(number).exists()]
  for number in there:
    yield from _of_shard(plan, number)
  if absent := plan.shards - len(there):
    first = min(set(range(plan.shards)) - set(there))
    yield (
      f"{directory}: not filled yet: {len(there)} of {plan.shards} shards, {plan.path(first).name} is the first of"
      f" {absent} that are not there; the next run goes on"
    )


def _of_shard(plan: Plan, number: int) -> Iterator[str]:
  try:
    shard = plan.open(number)
  except InputError as e:
    yield str(e)
    return
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
  content = _read(directory / FILE_NAME)
  arrays = {name: (dtype, tuple(shape)) for name, (dtype, shape) in content["arrays"].items()}
  return Plan(directory, **{n: v for n, v in content.items() if n != "schema_version"} | {"arrays": arrays})


def _read(path: epath.Path) -> dict[str, Any]:
  """What a `cache.json` says. Raises InputError if it is absent, damaged or of another schema."""
  if not path.exists():
    raise InputError(f"{path}: not there, beside shards of a cache; remove them or {_OTHER}")
  try:
    raw = path.read_bytes()
    content = json.loads(raw)
    version = content["schema_version"]
    whole = seal.is_whole(raw)
  except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
    raise _invalid(path, dataset.short(e)) from e
  if version != SCHEMA_VERSION:
    raise InputError(f"{path}: schema version {version}, expected {SCHEMA_VERSION}; remove the folder")
  if not whole:
    raise _invalid(path, "not as it was written")
  return {name: value for name, value in content.items() if name != "sha256"}


def _invalid(path: epath.Path, cause: str) -> InputError:
  return InputError(f"{path}: no valid description of a cache ({cause}); remove the whole folder")


def _epochs_held(directory: epath.Path, wanted: dict[str, Any]) -> int:
  """Epochs of the cache that is there. Raises InputError if it is not that of `wanted` otherwise."""
  path = directory / FILE_NAME
  found = _read(path)
  here, there = ({k: json.dumps(v) for k, v in _leaves(content)} for content in (wanted, found))
  for name in here | there:
    if name != "epochs" and here.get(name) != there.get(name):
      values = f"{_cut(there.get(name))} there, {_cut(here.get(name))} here"
      raise InputError(f"{path}: its {name} is not that of this run ({values}); {_OTHER} or remove the folder")
  return found["epochs"]


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
  """(name with dots, value) of all that is not a mapping; made_with first, and without its name."""
  for name, value in sorted(content.items(), key=lambda item: item[0] != "made_with"):
    if isinstance(value, Mapping) and value:
      yield from _leaves(value, "" if name == "made_with" else f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", value


def _cut(value: str | None) -> str:
  return "nothing" if value is None else value[:40]


@contextlib.contextmanager
def _written(path: epath.Path) -> Iterator[None]:
  """Raises InputError, naming `path`, if it cannot be written in the block."""
  try:
    yield
  except OSError as e:
    raise InputError(f"{path}: cannot be written ({e.strerror or e}); make room or {_OTHER}") from e


def _encode(identity: str, place: tuple[int, int], arrays: Mapping[str, np.ndarray]) -> bytes:
  example = example_pb2.Example()
  feature = example.features.feature
  feature["cache"].bytes_list.value.append(identity.encode())
  for name, value in zip(("epoch", "index"), place, strict=True):
    feature[name].int64_list.value.append(value)
  for name, array in arrays.items():
    feature[name].bytes_list.value.append(np.ascontiguousarray(array).tobytes())
  return example.SerializeToString(deterministic=True)


def _decode(
  record: bytes, identity: str, place: tuple[int, int], arrays: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, np.ndarray]:
  """Arrays of a record. Raises ValueError if it is not that of `place` in the cache of `identity`."""
  try:
    feature = example_pb2.Example.FromString(record).features.feature
  except DecodeError as e:
    raise ValueError("no tf.train.Example") from e
  if list(feature["cache"].bytes_list.value) != [identity.encode()]:
    raise ValueError("made with something else")
  found = tuple(number for name in ("epoch", "index") for number in feature[name].int64_list.value)
  if found != place:
    raise ValueError(f"(epoch, index) is {found}, expected {place}")
  raw = {name: b"".join(feature[name].bytes_list.value) for name in arrays}
  return {name: np.frombuffer(raw[name], np.dtype(dtype)).reshape(shape) for name, (dtype, shape) in arrays.items()}
