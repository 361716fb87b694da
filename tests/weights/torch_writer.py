"""Writes checkpoints in PyTorch's zip format without PyTorch: what NumPy arrays hold comes back from it as tensors."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from condfoley_jax.weights.torch_tensors import DTYPES

STORAGES = {dtype: name for name, dtype in DTYPES.items()}


@dataclasses.dataclass(frozen=True)
class Name:
  """What the pickle imports."""

  module: str
  name: str


@dataclasses.dataclass(frozen=True)
class Call:
  """A function's result."""

  function: Name
  args: tuple = ()


@dataclasses.dataclass(frozen=True)
class Instance:
  """An object of a class, with its state."""

  cls: Name
  state: Any


@dataclasses.dataclass(frozen=True)
class Raw:
  """Instructions as they are."""

  code: bytes


@dataclasses.dataclass(frozen=True)
class View:
  """A tensor of the array's storage, as the file is to say; offset and strides count elements."""

  array: np.ndarray
  offset: int
  shape: tuple
  strides: tuple


def write(path: Path, tree: Any) -> None:
  """Writes dicts, lists, tuples, numbers, text, None, arrays and what is above; an array twice is one storage."""
  arrays: list[np.ndarray] = []
  code = pickled(tree, arrays)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", code)
    for key, x in enumerate(arrays):
      with archive.open(f"archive/data/{key}", "w", force_zip64=True) as entry:
        entry.write(np.ascontiguousarray(x).reshape(-1).view(np.uint8))
    archive.writestr("archive/version", "3\n")


def pickled(tree: Any, arrays: list[np.ndarray]) -> bytes:
  """The pickle of `tree`; arrays that are not yet in `arrays` are added there, at the number of their storage."""
  return b"\x80\x02" + _code(tree, arrays) + b"."


def _code(tree: Any, arrays: list[np.ndarray]) -> bytes:
  def codes(*parts: Any) -> bytes:
    return b"".join(_code(part, arrays) for part in parts)

  match tree:
    case Raw(code):
      return code
    case Name(module, name):
      return b"c%s\n%s\n" % (module.encode(), name.encode())
    case Call(function, args):
      return codes(function, args) + b"R"
    case Instance(cls, state):
      return codes(cls, ()) + b"\x81" + codes(state) + b"b"
    case View(array, offset, shape, strides):
      return codes(_rebuilt(array, offset, shape, strides, arrays))
    case np.ndarray():
      strides = tuple(stride // tree.itemsize for stride in np.empty_like(tree, order="C").strides)
      return codes(View(tree, 0, tree.shape, strides))
    case dict():
      return b"}(" + codes(*(x for item in tree.items() for x in item)) + b"u"
    case list():
      return b"](" + codes(*tree) + b"e"
    case tuple():
      return b"(" + codes(*tree) + b"t"
    case str():
      return b"X" + len(text := tree.encode()).to_bytes(4, "little") + text
    case None | bool():
      return {None: b"N", True: b"\x88", False: b"\x89"}[tree]
    case int() | float():
      return b"%c%a\n" % (b"I" if isinstance(tree, int) else b"F", tree)
  raise TypeError(type(tree))


def _rebuilt(array: np.ndarray, offset: int, shape: tuple, strides: tuple, arrays: list[np.ndarray]) -> Call:
  keys = [key for key, x in enumerate(arrays) if x is array]
  if not keys:
    keys = [len(arrays)]
    arrays.append(array)
  storage = ("storage", Name("torch", STORAGES[array.dtype]), str(keys[0]), "cpu", array.size)
  persistent = Raw(_code(storage, arrays) + b"Q")
  hooks = Call(Name("collections", "OrderedDict"))
  return Call(Name("torch._utils", "_rebuild_tensor_v2"), (persistent, offset, shape, strides, False, hooks))
