"""What the collectives of a program send between devices.

The bytes of a collective are those that one device sends over its links with the usual ring algorithm, in a group of n
devices, for an operand of B bytes per device (a permutation's group are two):

  all-gather           B (n - 1)       of every other device it passes on its part, the result being n B
  reduce-scatter       B (n - 1) / n
  all-reduce           2 B (n - 1) / n the two above, one after the other
  all-to-all           B (n - 1) / n   not counting that parts may pass other devices on their way
  collective-permute   B

What goes from one slice of TPUs to another does so by way of the hosts, as a `send` of B bytes: `between-slices`.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from condfoley_jax.hlo.module import Computation, Instruction

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_SENT = {
  "all-reduce": lambda n: 2 * (n - 1) / n,
  "all-gather": lambda n: n - 1,
  "reduce-scatter": lambda n: (n - 1) / n,
  "all-to-all": lambda n: (n - 1) / n,
  "collective-permute": lambda n: 1,
}


# What a send to another slice counts as.
BETWEEN_SLICES = "between-slices"


class Collective(NamedTuple):
  """One collective of a program.

  Attributes:
    kind: one of `KINDS`, or `BETWEEN_SLICES`.
    group: devices of one of its groups, as numbers in the program's order of devices; of the latter none are named.
    channel: its number in the program; None where it has none.
  """

  kind: str
  group: tuple[int, ...]
  channel: int | None = None


def kind_of(instruction: Instruction) -> str | None:
  """Which of `KINDS` an instruction is, or starts; None for any other."""
  kind = instruction.opcode.removesuffix("-start").removeprefix("ragged-")
  return kind if kind in KINDS else None


def read(instruction: Instruction, within: Computation, devices: int) -> tuple[Collective, float] | None:
  """The collective that an instruction is and the bytes that each device sends; None for any other instruction.

  An asynchronous one counts where it starts. TPU programs write a reduce-scatter as a fusion of an all-reduce and a
  slice of it.

  Args:
    within: the computation it is in.
    devices: of the program; one group of all of them is what an empty list of groups means.
  """
  if instruction.opcode == "send" and "xla_megascale_runtime" in instruction.attributes:
    sent, *_ = within.operands(instruction)
    return Collective(BETWEEN_SLICES, ()), float(sum(array.bytes for array in sent.arrays))
  kind = kind_of(instruction)
  if kind is None:
    return None
  users = within.users[instruction.name]
  if kind == "all-reduce" and users and all(user.opcode == "dynamic-slice" for user in users):
    kind = "reduce-scatter"
  group, channel = _group(instruction.attributes, devices), instruction.attribute("channel_id")
  operand_bytes = sum(array.bytes for operand in within.operands(instruction) for array in operand.arrays)
  sent = operand_bytes * _SENT[kind](len(group)) if len(group) > 1 else 0.0
  return Collective(kind, group, channel and int(channel)), sent


def _group(attributes: str, devices: int) -> tuple[int, ...]:
  """First of the groups, however they are written.

  `source_target_pairs={{0,2},...}`, `replica_groups={{0,1},{2,3}}`, `[4,2]<=[8]`, `[2,4]<=[4,2]T(1,0)` or
  `mesh['a'=4,'b'=2] {'a'}`.
  """
  if pairs := re.search(r"source_target_pairs=\{\{(\d+),(\d+)\}", attributes):
    return int(pairs[1]), int(pairs[2])
  if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
    return tuple(_numbers(listed[1]))
  if iota := re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes):
    groups, sizes = _numbers(iota[1]), _numbers(iota[2])
    order = _numbers(iota[3]) if iota[3] else range(len(sizes))
    return tuple(_transposed(sizes, order)[: groups[-1]])
  if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\](?:\s*,?\s*(?:device_ids=)?([^{]*))\{([^}]*)\}", attributes):
    axes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", mesh[1])}
    wanted = re.findall(r"'([^']+)'", mesh[3])
    names = [*(n for n in axes if n not in wanted), *wanted]
    order = [list(axes).index(name) for name in names]
    return tuple(_transposed(list(axes.values()), order)[: math.prod(axes[n] for n in wanted)])
  return tuple(range(devices))


def _transposed(sizes: Sequence[int], order: Sequence[int]) -> list[int]:
  """0, 1, 2 ... laid out in an array of `sizes`, its axes brought into `order`, read in a row."""
  strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
  numbers = [0]
  for axis in order:
    numbers = [n + i * strides[axis] for n in numbers for i in range(sizes[axis])]
  return numbers


def _numbers(text: str) -> list[int]:
  return [int(n) for n in text.split(",") if n]
