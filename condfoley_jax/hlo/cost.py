"""The cost of one run of a compiled program on one device, from its HLO text alone.

Unlike the compiler's own `cost_analysis`, loops count as often as they run, and a custom call (a Pallas kernel) counts
by its operands and results instead of by what its author says. The text may be that of any back-end.
"""

import dataclasses
import re
from collections.abc import Mapping

from condfoley_jax.hlo import collectives, flops, module, traffic
from condfoley_jax.hlo.collectives import Collective
from condfoley_jax.hlo.loops import trip_count
from condfoley_jax.hlo.module import Computation, Instruction

_CALLS = ("calls", "to_apply", "called_computations")


@dataclasses.dataclass(frozen=True)
class Cost:
  """What one device does in one run.

  Attributes:
    flops: operations of dots and convolutions, two per multiplication and addition: what peak rates are rates of.
    elementwise_flops: all others on floating-point numbers, one per value.
    bytes_accessed: read and written in main memory (HBM).
    collectives: (times run, bytes sent; see `collectives`) of each.
    unknown_loops: loops whose number of turns only the data tell; each counts as one turn.
  """

  flops: float = 0
  elementwise_flops: float = 0
  bytes_accessed: float = 0
  collectives: Mapping[Collective, tuple[float, float]] = dataclasses.field(default_factory=dict)
  unknown_loops: int = 0

  def __add__(self, other: "Cost") -> "Cost":
    sent = dict(self.collectives)
    for key, (count, size) in other.collectives.items():
      before = sent.get(key, (0, 0))
      sent[key] = (before[0] + count, before[1] + size)
    return Cost(
      self.flops + other.flops,
      self.elementwise_flops + other.elementwise_flops,
      self.bytes_accessed + other.bytes_accessed,
      sent,
      self.unknown_loops + other.unknown_loops,
    )

  def times(self, count: int) -> "Cost":
    """That of `count` runs."""
    return Cost(
      self.flops * count,
      self.elementwise_flops * count,
      self.bytes_accessed * count,
      {key: (n * count, size * count) for key, (n, size) in self.collectives.items()},
      self.unknown_loops,
    )

  def without(self, seen: Mapping[Collective, tuple[float, float]]) -> "Cost":
    """Less the collectives of those channels: a TPU program writes one again in each fusion that it overlaps with."""
    channels = {key.channel for key in seen} - {None}
    kept = {key: sent for key, sent in self.collectives.items() if key.channel not in channels}
    return dataclasses.replace(self, collectives=kept)

  def by_kind(self) -> dict[str, dict[str, float]]:
    """{KIND: {"count", "bytes"}} of the collectives, one kind's groups taken together."""
    kinds: dict[str, dict[str, float]] = {}
    for key, (count, size) in self.collectives.items():
      kind = kinds.setdefault(key.kind, {"count": 0, "bytes": 0})
      kind["count"] += count
      kind["bytes"] += size
    return kinds


def of_text(text: str) -> Cost:
  """Cost of the program that `text` (`compiled.as_text()`) writes.

  Raises:
    ValueError: it is no such text.
  """
  counts = [int(n) for n in re.findall(r"(?:num_partitions|replica_count)=(\d+)", text.partition("\n")[0])]
  return _Walk(module.parse(text), max(counts, default=1)).entry()


class _Walk:
  """Goes through a module, each computation once."""

  def __init__(self, parsed: module.Module, devices: int):
    self._module, self._devices = parsed, devices
    self._known: dict[tuple[str, bool], Cost] = {}

  def entry(self) -> Cost:
    return self._of(self._module.entry.name)

  def _of(self, name: str, *, fused: bool = False) -> Cost:
    """Of a computation; what is `fused` moves no bytes itself."""
    if (name, fused) not in self._known:
      within, total = self._module.computations[name], Cost()
      for instruction in within.instructions.values():
        total += self._instruction(instruction, within, fused).without(total.collectives)
      self._known[name, fused] = total
    return self._known[name, fused]

  def _instruction(self, instruction: Instruction, within: Computation, fused: bool) -> Cost:
    match instruction.opcode:
      case "while":
        return self._loop(instruction, within)
      case "conditional":
        return self._largest_branch(instruction)
      case "call" | "async-start":
        return sum((self._of(name, fused=fused) for name in _called(instruction)), Cost())
      case "async-update" | "async-done":
        return Cost()
    operands = within.operands(instruction)
    moved = 0 if fused else traffic.moved(instruction, within, self._module.computations)
    sent = collectives.read(instruction, within, self._devices)
    own = Cost(
      flops.products(instruction, operands),
      flops.elementwise(instruction, operands),
      moved,
      {sent[0]: (1, sent[1])} if sent else {},
    )
    if instruction.opcode == "fusion":
      own += sum((self._of(name, fused=True) for name in _called(instruction)), Cost())
    return own

  def _loop(self, loop: Instruction, within: Computation) -> Cost:
    (condition,), (body,) = loop.called("condition"), loop.called("body")
    turn = self._of(condition) + self._of(body)
    count = trip_count(loop, within, self._module.computations)
    return turn + Cost(unknown_loops=1) if count is None else turn.times(count)

  def _largest_branch(self, conditional: Instruction) -> Cost:
    names = [
      n for key in ("branch_computations", "true_computation", "false_computation") for n in conditional.called(key)
    ]
    return max((self._of(name) for name in names), key=lambda cost: (cost.flops, cost.bytes_accessed))


def _called(instruction: Instruction) -> list[str]:
  return [name for key in _CALLS for name in instruction.called(key)]
