"""Compiled HLO text (`jax.stages.Compiled.as_text()`) as computations and their instructions."""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from condfoley_jax.hlo import array
from condfoley_jax.hlo.array import Array

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([^\s=]+) = (\(.*?\)|\S+) ([a-z][\w\-]*)\((.*)$")
_NAME = re.compile(r"%([^\s,(){}]+)")
_PARENTHESIS = re.compile(r"[()]")


class Instruction(NamedTuple):
  """One line of a computation.

  Attributes:
    name, opcode: `fusion.3`, `fusion`.
    arrays: of the result.
    argument: the text between the parentheses, which is all that parameters and constants have.
    operands: names of the instructions it reads.
    attributes: the text after the parentheses.
  """

  name: str
  opcode: str
  arrays: tuple[Array, ...]
  argument: str
  operands: tuple[str, ...]
  attributes: str

  def attribute(self, name: str) -> str | None:
    """Value of an attribute: what is in its braces, without them, or up to the next comma; None if it is not there."""
    found = re.search(rf"(?:^|, ){name}=(?:\{{([^}}]*)\}}|([^,\s]+))", self.attributes)
    return found and (found[1] if found[1] is not None else found[2])

  def called(self, name: str) -> list[str]:
    """Names of the computations that an attribute lists."""
    return _NAME.findall(self.attribute(name) or "")


class Computation:
  """Instructions by name, in order; `root` is the result."""

  def __init__(self, name: str, instructions: list[Instruction], root: Instruction):
    self.name, self.root = name, root
    self.instructions: Mapping[str, Instruction] = {i.name: i for i in instructions}

  def operands(self, instruction: Instruction) -> list[Instruction]:
    """The instructions that an instruction reads."""
    return [self.instructions[name] for name in instruction.operands]

  @functools.cached_property
  def users(self) -> Mapping[str, list[Instruction]]:
    """Who reads each instruction."""
    users: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
    for instruction in self.instructions.values():
      for name in dict.fromkeys(instruction.operands):
        users[name].append(instruction)
    return users

  @functools.cached_property
  def parameters(self) -> list[Instruction]:
    """Parameters in the order of the call's operands."""
    found = [i for i in self.instructions.values() if i.opcode == "parameter"]
    return sorted(found, key=lambda i: int(i.argument))


class Module(NamedTuple):
  """Computations by name, and the one that runs."""

  computations: Mapping[str, Computation]
  entry: Computation


def parse(text: str) -> Module:
  """The module that `text` writes.

  Raises:
    ValueError: it has no entry computation.
  """
  computations, entry, name, lines = {}, None, None, []
  for line in text.splitlines():
    if name is None:
      if header := _HEADER.match(line):
        name, lines = header[2], []
        entry = name if header[1] else entry
    elif line.startswith("}"):
      computations[name], name = _computation(name, lines), None
    elif match := _INSTRUCTION.match(line):
      lines.append(match)
  if entry not in computations:
    raise ValueError("this is not the text of a compiled program: no ENTRY computation in it")
  return Module(computations, computations[entry])


def _computation(name: str, lines: list[re.Match]) -> Computation:
  instructions = [_instruction(match) for match in lines]
  root = next((i for match, i in zip(lines, instructions, strict=True) if match[1]), instructions[-1])
  return Computation(name, instructions, root)


def _instruction(match: re.Match) -> Instruction:
  _, name, kind, opcode, rest = match.groups()
  end = _closing(rest)
  argument = rest[:end]
  operands = () if opcode in ("constant", "parameter") else tuple(_NAME.findall(argument))
  return Instruction(name, opcode, array.parse(kind), argument, operands, rest[end + 1 :].lstrip(", "))


def _closing(text: str) -> int:
  """Where the parenthesis closes that was opened before `text`."""
  depth = 1
  for match in _PARENTHESIS.finditer(text):
    depth += 1 if match[0] == "(" else -1
    if not depth:
      return match.start()
  return len(text)
