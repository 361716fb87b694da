"""Tensors and storages as a PyTorch checkpoint describes them, with their elements still in the file."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from condfoley_jax.weights import torch_names
from condfoley_jax.weights.pickled import Builder, Malformed, shown
from data_pipelines.errors import InputError

DTYPES = {
  "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
  "BoolStorage": np.dtype(np.bool),
  "ByteStorage": np.dtype(np.uint8),
  "CharStorage": np.dtype(np.int8),
  "ComplexDoubleStorage": np.dtype(np.complex128),
  "ComplexFloatStorage": np.dtype(np.complex64),
  "DoubleStorage": np.dtype(np.float64),
  "FloatStorage": np.dtype(np.float32),
  "HalfStorage": np.dtype(np.float16),
  "IntStorage": np.dtype(np.int32),
  "LongStorage": np.dtype(np.int64),
  "ShortStorage": np.dtype(np.int16),
}


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
  """Turns whatever a hostile, damaged or missing file raises into InputError."""
  try:
    yield
  except InputError:
    raise
  except Malformed as error:
    raise InputError(f"{path}: {error}; {error.remedy}") from error
  except OSError as error:
    raise InputError(f"{path}: {error.strerror or 'not readable'}; give the path of a PyTorch checkpoint") from error
  # Bytes that are no pickle or no zip raise anything, RecursionError and MemoryError among them.
  except Exception as error:
    refused = Malformed("damaged or not a PyTorch checkpoint")
    raise InputError(f"{path}: {refused}; {refused.remedy}") from error


class Source(Protocol):
  """A file with storages."""

  path: Path

  def storage(self, key: str) -> memoryview:
    """Bytes of a storage; raises Malformed or KeyError for one that is not there."""


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
  """A run of elements in the file: `length` from `start`, of the `count` that are there under `key`."""

  source: Source
  dtype: np.dtype
  key: str
  count: int
  start: int
  length: int

  def bytes(self) -> memoryview:
    """The run; raises Malformed if it is not what the file has under `key`."""
    data, width = self.source.storage(self.key), self.dtype.itemsize
    if len(data) != self.count * width:
      raise Malformed(f"storage {shown(self.key)} has {len(data)} bytes, which is not what its tensors say")
    if not 0 <= self.start <= self.start + self.length <= self.count:
      raise Malformed(f"a view goes beyond storage {shown(self.key)}")
    return data[self.start * width :][: self.length * width]


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
  """A tensor whose elements are still in the file; offset and strides count elements."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self) -> np.ndarray:
    """A read-only view of the file.

    Raises:
      InputError: the tensor does not fit into its storage, or the storage is damaged or not there.
    """
    with refusing(self.storage.source.path):
      data, dtype = self.storage.bytes(), self.storage.dtype
      if 0 in self.shape:
        return np.zeros(self.shape, dtype)
      self._refuse_beyond()
      strides = [stride * dtype.itemsize for stride in self.strides]
      return np.ndarray(self.shape, dtype, data, self.offset * dtype.itemsize, strides)

  def _refuse_beyond(self) -> None:
    last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
    # More elements than the storage has (stride 0) would be a small file's way to a huge array.
    if max(last + 1, math.prod(self.shape)) > self.storage.length:
      beyond = f"a tensor of shape {list(self.shape)} goes beyond its storage of {self.storage.length} elements"
      if last < self.storage.length and 0 in self.strides:
        raise Malformed(f"{beyond} (it is expanded, which is not read)", "save the checkpoint with contiguous tensors")
      raise Malformed(beyond)


def find(module: str, name: str) -> Any:
  """What stands for a name in a checkpoint: a Builder, a storage's dtype, or Inert.

  Raises:
    Malformed: the name is one that a checkpoint has no business with.
  """
  known = module, name
  if known in _UNREAD:
    raise Malformed(f"{_UNREAD[known]} tensors are not read", "save the checkpoint as float32")
  return _KNOWN[known] if known in _KNOWN else torch_names.inert(module, name)


def storage(source: Source, persistent: Any) -> Storage:
  """What stands for a persistent id: ("storage", type, key, device, count), in old files with a view behind.

  Raises:
    Malformed: it is something else.
  """
  match persistent:
    case ("storage", np.dtype() as dtype, str(key), str(), int(count)):
      return Storage(source, dtype, key, count, 0, count)
    case ("storage", np.dtype() as dtype, str(key), str(), int(count), None):
      return Storage(source, dtype, key, count, 0, count)
    case ("storage", np.dtype() as dtype, str(key), str(), int(count), (str(), int(start), int(length))):
      return Storage(source, dtype, key, count, start, length)
  raise Malformed("its pickle refers to what is no storage")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
  if not (isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)):
    raise Malformed("a tensor without storage, shape and strides")
  if not _is_size(offset) or len(shape) != len(strides) or len(shape) > 64 or not all(map(_is_size, shape + strides)):
    raise Malformed("a tensor with impossible offset, shape or strides")
  # Behind the facts of gradients: whether it is the conjugate or the negative of what is stored.
  if any(rest[2:]):
    raise Malformed("a tensor that is a conjugate or negative view, which is not read")
  return Tensor(storage, offset, shape, strides)


def _is_size(x: Any) -> bool:
  return type(x) is int and 0 <= x < 2**63


_UNREAD = {
  ("torch._utils", "_rebuild_tensor_v3"): "fp8 and unsigned",
  ("torch._utils", "_rebuild_qtensor"): "quantised",
  ("torch._utils", "_rebuild_sparse_tensor"): "sparse",
  ("torch._utils", "_rebuild_sparse_csr_tensor"): "sparse",
  ("torch._utils", "_rebuild_meta_tensor_no_storage"): "meta",
}
_KNOWN: dict[tuple[str, str], Any] = {
  ("collections", "OrderedDict"): Builder(lambda: {}),
  ("torch", "Size"): Builder(lambda sizes: sizes),
  ("torch._utils", "_rebuild_tensor"): Builder(_tensor),
  ("torch._utils", "_rebuild_tensor_v2"): Builder(_tensor),
  ("torch._utils", "_rebuild_parameter"): Builder(lambda tensor, *_gradient: tensor),
} | {("torch", name): dtype for name, dtype in DTYPES.items()}
