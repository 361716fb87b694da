"""A pickle read as data, by a machine of its own: it builds lists, dicts, tuples, numbers and text, and runs nothing.

What the pickle would import and call is looked up by `find`: one of our builders, or an inert object. The standard
library's unpickler is no base for this, whatever its `find_class` does: one instruction makes it fill 64 GiB (its
memo), another sets attributes of what it is given (BUILD), and a nested tuple as a key overflows the C stack.
"""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO


class Malformed(ValueError):
  """The file cannot be used; message and remedy are ours and part of one line."""

  def __init__(self, message: str, remedy: str = "get the checkpoint from its authors again"):
    super().__init__(message)
    self.remedy = remedy


@dataclasses.dataclass(frozen=True, eq=False)
class Inert:
  """A class that a pickle names, or an object of one: its name and nothing else. Equal by identity."""

  name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Builder:
  """A function of ours that a pickle may call."""

  build: Callable[..., Any]


def shown(text: str) -> str:
  """Text from a file as it may stand in a message: quoted, ASCII, one line, short."""
  return ascii(text[:100])


class Machine:
  """Reads pickles of one file.

  Attributes:
    find: (module, name) to what stands for it; raises Malformed for what must not be named.
    load: persistent id to what stands for it.
  """

  def __init__(self, find: Callable[[str, str], Any], load: Callable[[Any], Any]):
    self.find, self.load = find, load
    self._stack: list[Any] = []
    self._marks: list[int] = []
    self._memo: dict[int, Any] = {}

  def read(self, file: BinaryIO) -> Any:
    """The object of the pickle at the file's position, which is then behind it.

    Sets are inert, the state that BUILD gives an object is dropped, and dicts are in the pickle's order.

    Raises:
      Malformed: the pickle names what it must not, or its instructions do not fit together.
      Exception: any other, for bytes that are no pickle.
    """
    self._stack, self._marks, self._memo = [], [], {}
    for opcode, arg, _ in pickletools.genops(file):
      if opcode.name not in _STEPS:
        raise Malformed(f"its pickle has an instruction {opcode.name}")
      _STEPS[opcode.name](self, arg)
    return self.pop()

  def push(self, x: Any) -> None:
    self._stack.append(x)

  def top(self) -> Any:
    if len(self._stack) <= (self._marks[-1] if self._marks else 0):
      raise Malformed("its pickle takes more than it has")
    return self._stack[-1]

  def pop(self) -> Any:
    x = self.top()
    del self._stack[-1]
    return x

  def take(self, count: int) -> list[Any]:
    return [self.pop() for _ in range(count)][::-1]

  def mark(self) -> None:
    self._marks.append(len(self._stack))

  def take_to_mark(self) -> list[Any]:
    start = self._marks.pop()
    taken = self._stack[start:]
    del self._stack[start:]
    return taken

  def discard(self) -> None:
    if self._marks and self._marks[-1] == len(self._stack):
      self._marks.pop()
    else:
      self.pop()

  def remember(self, index: int) -> None:
    self._memo[index] = self.top()

  def memoize(self) -> None:
    self.remember(len(self._memo))

  def recall(self, index: int) -> None:
    self.push(self._memo[index])

  def name(self, module: Any, name: Any) -> Any:
    # The bound is on memory: a long name costs the file nothing after the first time.
    if not (isinstance(module, str) and isinstance(name, str) and len(module) + len(name) < 300):
      raise Malformed("its pickle names a class by what is no name")
    return self.find(module, name)

  def call(self, function: Any, args: Any) -> None:
    if isinstance(function, Inert):
      self.push(Inert(function.name))
    elif isinstance(function, Builder):
      self.push(function.build(*args))
    else:
      raise Malformed("its pickle calls what is no class")

  def call_of_mark(self) -> None:
    function, *args = self.take_to_mark()
    self.call(function, args)

  def extend(self, items: list[Any]) -> None:
    if isinstance(target := self.top(), list):
      target.extend(items)
    elif not isinstance(target, Inert):
      raise Malformed("its pickle appends to what is no list")

  def update(self, items: list[Any]) -> None:
    if isinstance(target := self.top(), dict):
      target.update(_pairs(items))
    elif not isinstance(target, Inert):
      raise Malformed("its pickle sets items of what is no dict")


def _pairs(items: list[Any]) -> dict[Any, Any]:
  """Keys and values in turn, as a dict."""
  return dict(zip((_flat(key) for key in items[::2]), items[1::2], strict=True))


def _flat(key: Any) -> Any:
  # To hash tuples within tuples takes C stack without a bound.
  if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
    raise Malformed("its pickle has nested tuples as keys")
  return key


def _inst(machine: Machine, arg: str) -> None:
  function = machine.name(*arg.split(" "))
  machine.call(function, machine.take_to_mark())


def _newobj_ex(machine: Machine) -> None:
  function, args, _ = machine.take(3)
  machine.call(function, args)


_NUMBERS = "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"
_TEXTS = "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"
_BYTES = "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"
# Left out, so refused: EXT1, EXT2, EXT4 (names by number, from a register of the process) and out-of-band buffers.
_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
  **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
  **dict.fromkeys((*_NUMBERS, *_TEXTS, *_BYTES), Machine.push),
  "NONE": lambda m, _: m.push(None),
  "NEWTRUE": lambda m, _: m.push(True),
  "NEWFALSE": lambda m, _: m.push(False),
  "EMPTY_TUPLE": lambda m, _: m.push(()),
  "EMPTY_LIST": lambda m, _: m.push([]),
  "EMPTY_DICT": lambda m, _: m.push({}),
  "EMPTY_SET": lambda m, _: m.push(Inert("set")),
  "TUPLE": lambda m, _: m.push(tuple(m.take_to_mark())),
  "TUPLE1": lambda m, _: m.push(tuple(m.take(1))),
  "TUPLE2": lambda m, _: m.push(tuple(m.take(2))),
  "TUPLE3": lambda m, _: m.push(tuple(m.take(3))),
  "LIST": lambda m, _: m.push(m.take_to_mark()),
  "DICT": lambda m, _: m.push(_pairs(m.take_to_mark())),
  "FROZENSET": lambda m, _: m.call(Inert("frozenset"), m.take_to_mark()),
  "APPEND": lambda m, _: m.extend(m.take(1)),
  **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda m, _: m.extend(m.take_to_mark())),
  "SETITEM": lambda m, _: m.update(m.take(2)),
  "SETITEMS": lambda m, _: m.update(m.take_to_mark()),
  "MARK": lambda m, _: m.mark(),
  "POP": lambda m, _: m.discard(),
  "POP_MARK": lambda m, _: m.take_to_mark(),
  "DUP": lambda m, _: m.push(m.top()),
  **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.recall),
  **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine.remember),
  "MEMOIZE": lambda m, _: m.memoize(),
  "GLOBAL": lambda m, arg: m.push(m.name(*arg.split(" "))),
  "STACK_GLOBAL": lambda m, _: m.push(m.name(*m.take(2))),
  **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda m, _: m.call(*m.take(2))),
  "NEWOBJ_EX": lambda m, _: _newobj_ex(m),
  "OBJ": lambda m, _: m.call_of_mark(),
  "INST": _inst,
  "BUILD": lambda m, _: m.pop(),
  "PERSID": lambda m, arg: m.push(m.load(arg)),
  "BINPERSID": lambda m, _: m.push(m.load(m.pop())),
}
