"""Checkpoints of PyTorch, read without it; nothing of the file is ever run.

Two formats. Since 1.6, a zip archive with one folder: `data.pkl`, the object with storages by number, and
`data/NUMBER`, their bytes as they are. Before, one stream: pickles of a magic number, a protocol number, facts of the
machine, the object and the list of its storages, then each storage behind its number of elements. Storages stay in the
file, which is mapped: only the tensors that are used take memory.
"""

import io
import mmap
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from condfoley_jax.weights import torch_tensors
from condfoley_jax.weights.pickled import Machine, Malformed, shown
from condfoley_jax.weights.torch_tensors import Storage, Tensor, refusing

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_ASK = "ask its authors for the state_dict(), saved by a newer PyTorch on a common machine"


def read(path: Path) -> Any:
  """The object that the checkpoint holds: dicts (ordered ones too), lists, tuples, numbers, text, `Tensor`.

  Sets and objects of other classes are `pickled.Inert`: their name is there, what they held is not.

  Raises:
    InputError: the file is missing, damaged or no checkpoint, or it names what a checkpoint has no business with.
  """
  with refusing(path):
    _refuse_special(path)
  with refusing(path), open(path, "rb") as file:
    if not file.read(1):
      raise Malformed("an empty file")
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if data[:4] == b"PK\3\4":
      return _Zip(path, data, file).tree()
    if data[257:262] == b"ustar":
      raise Malformed("in the tar format of PyTorch before 0.1.10", _ASK)
    return _Stream(path, data).tree()


def _refuse_special(path: Path) -> None:
  """Refuses a pipe, which would be waited for, and a device. Raises OSError, also for a folder, as `open` does."""
  mode = path.stat().st_mode
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    raise Malformed("no file but a pipe or a device", "give the path of a PyTorch checkpoint")


def state_dict(path: Path) -> dict[str, np.ndarray]:
  """Tensors by name: of the checkpoint itself or of its "state_dict", "model" or "model_state_dict".

  Shapes and dtypes are the file's (bfloat16 is `ml_dtypes.bfloat16`), whole-number buffers among them; a "module." in
  front of every name is dropped. The arrays are read-only views of the file, not always aligned.

  Raises:
    InputError: as for `read`, or there is no state dict, or it holds other things than tensors.
  """
  tree = read(path)
  with refusing(path):
    found = _found(tree)
    prefix = "module." if all(name.startswith("module.") for name in found) else ""
    return {name.removeprefix(prefix): tensor.array() for name, tensor in found.items()}


def _found(tree: Any) -> dict[str, Tensor]:
  if not isinstance(tree, dict):
    raise Malformed("it holds no state dict", _ASK)
  inner = [tree[name] for name in ("state_dict", "model", "model_state_dict") if isinstance(tree.get(name), dict)]
  found = next(filter(None, inner), tree)
  bad = [name for name, x in found.items() if not (isinstance(name, str) and isinstance(x, Tensor))]
  if bad or not found:
    names = [shown(name) if isinstance(name, str) else f"a {type(name).__name__}" for name in bad[:5]]
    raise Malformed(f"no state dict: {', '.join(names) or 'nothing'} where tensors by name should be", _ASK)
  return found


class _Zip:
  """The format since PyTorch 1.6."""

  def __init__(self, path: Path, data: mmap.mmap, file: BinaryIO):
    self.path, self._data = path, memoryview(data)
    with zipfile.ZipFile(file) as archive:
      self._entries = {entry.filename: entry for entry in archive.infolist()}
    self._checked: dict[str, memoryview] = {}
    folders = {name.removesuffix("data.pkl") for name in self._entries if f"/{name}".endswith("/data.pkl")}
    if len(folders) != 1:
      raise Malformed("a zip file but not a PyTorch checkpoint")
    self._folder = folders.pop()

  def tree(self) -> Any:
    if f"{self._folder}constants.pkl" in self._entries:
      raise Malformed("a TorchScript program", _ASK)
    if f"{self._folder}byteorder" in self._entries and self._entry("byteorder") != b"little":
      raise Malformed("written on a big-endian machine", _ASK)
    machine = Machine(torch_tensors.find, lambda persistent: torch_tensors.storage(self, persistent))
    return machine.read(io.BytesIO(self._entry("data.pkl")))

  def storage(self, key: str) -> memoryview:
    return self._entry(f"data/{key}")

  def _entry(self, name: str) -> memoryview:
    """Bytes of an entry; one that many tensors share is checked once."""
    if name not in self._checked:
      if (entry := self._entries.get(self._folder + name)) is None:
        raise Malformed(f"its entry {shown(name)} is missing")
      if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
        raise Malformed(f"its entry {shown(name)} is compressed or encrypted, which PyTorch never does")
      data = self._span(entry)
      if zlib.crc32(data) != entry.CRC:
        raise Malformed(f"its entry {shown(name)} is damaged")
      self._checked[name] = data
    return self._checked[name]

  def _span(self, entry: zipfile.ZipInfo) -> memoryview:
    """Where the archive's directory says; only the entry's own header tells how far behind it the bytes begin."""
    name, extra = struct.unpack_from("<HH", self._data, entry.header_offset + 26)
    return self._data[entry.header_offset + 30 + name + extra :][: entry.file_size]


class _Stream:
  """The format before PyTorch 1.6."""

  def __init__(self, path: Path, data: mmap.mmap):
    self.path, self._data = path, data
    self._dtypes: dict[str, np.dtype] = {}
    self._storages: dict[str, memoryview] = {}

  def tree(self) -> Any:
    machine = Machine(torch_tensors.find, self._noted)
    if machine.read(self._data) != _MAGIC or machine.read(self._data) != _PROTOCOL:
      raise Malformed("not a PyTorch checkpoint")
    if not machine.read(self._data)["little_endian"]:
      raise Malformed("written on a big-endian machine", _ASK)
    tree = machine.read(self._data)
    self._locate(machine.read(self._data), self._data.tell())
    return tree

  def storage(self, key: str) -> memoryview:
    return self._storages[key]

  def _noted(self, persistent: Any) -> Storage:
    storage = torch_tensors.storage(self, persistent)
    if self._dtypes.setdefault(storage.key, storage.dtype) != storage.dtype:
      raise Malformed(f"storage {shown(storage.key)} has two types")
    return storage

  def _locate(self, keys: list[str], position: int) -> None:
    data = memoryview(self._data)
    for key in keys:
      (count,) = struct.unpack_from("<Q", data, position)
      size = count * self._dtypes[key].itemsize
      if size > len(data) - position - 8:
        raise Malformed("the file is cut short")
      self._storages[key] = data[position + 8 :][:size]
      position += 8 + size
