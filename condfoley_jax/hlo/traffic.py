"""Bytes that one instruction moves in main memory (HBM on an accelerator): its operands in, its result out.

What is fused never leaves the chip, so a fusion counts by its own operands and results. Arrays that the compiler keeps
in another memory (VMEM on a TPU) cost nothing but the copies there and back. Where only a part of an array is touched,
as of a stack of layers inside a loop or of a cache that is written in place, that part counts.
"""

import re
from collections.abc import Mapping

from condfoley_jax.hlo.array import MAIN_MEMORY, Array
from condfoley_jax.hlo.collectives import kind_of
from condfoley_jax.hlo.module import Computation, Instruction

# Names for what is there already, and the ends of transfers that count where they start.
_FREE = re.compile(
  "parameter|constant|tuple|get-tuple-element|bitcast|after-all|partition-id|replica-id|opt-barrier|.*-done"
)
# Looked through inside a fusion, to find how much of an operand is needed.
_VALUE_BY_VALUE = frozenset(("bitcast", "reshape", "copy", "transpose", "convert"))
_SLICES = frozenset(("slice", "dynamic-slice", "gather"))
_ALLOCATE = "AllocateBuffer"
# What a TPU program ends the fusions with that start a collective, which others overlap with, and wait for it.
_START, _DONE = "AsyncCollectiveStart", "AsyncCollectiveDone"


def moved(instruction: Instruction, within: Computation, computations: Mapping[str, Computation]) -> int:
  """Bytes read and written by an instruction of `within`.

  Control flow and calls move nothing themselves; count what they call.
  """
  opcode, operands = instruction.opcode, within.operands(instruction)
  if _FREE.fullmatch(opcode) or _ALLOCATE in instruction.attributes:
    return 0
  written = sum(_bytes(array) for array in instruction.arrays)
  read = sum(_bytes(array) for operand in operands for array in operand.arrays)
  match opcode:
    case "fusion":
      return _fusion(instruction, operands, computations)
    case "dynamic-update-slice":
      update = operands[1].arrays[0]
      return _bytes(update) + _part(instruction.arrays[0], update)
    case "slice" | "dynamic-slice" | "gather":
      return _part(operands[0].arrays[0], instruction.arrays[0]) + written
    case "slice-start":
      # A part fetched ahead; its results are its operand again and the part.
      source, part, *_ = instruction.arrays
      return _part(source, part) + _bytes(part)
    case "scatter":
      # Reads and writes the places that its updates (the last third of its operands) go to.
      return 3 * sum(_bytes(operand.arrays[0]) for operand in operands[-len(instruction.arrays) :])
  # What starts a transfer mostly lists its operands again among its results.
  again = opcode.endswith("-start") and len(instruction.arrays) > len(operands)
  return written if again else read + written


def _fusion(fusion: Instruction, operands, computations) -> int:
  fused = computations[fusion.called("calls")[0]]
  if _START in fused.root.attributes:
    # Its results are its operands again and what they become.
    return sum(_bytes(array) for array in fusion.arrays)
  if _DONE in fused.root.attributes:
    return 0
  read = sum(
    min(_bytes(operand.arrays[0]), _read(parameter, operand.arrays[0], fused, computations))
    for operand, parameter in zip(operands, fused.parameters, strict=True)
    if operand.arrays
  )
  roots = fused.operands(fused.root) if fused.root.opcode == "tuple" else [fused.root]
  if len(roots) != len(fusion.arrays):
    return read + sum(_bytes(array) for array in fusion.arrays)
  return read + sum(_written(root, array, fused) for root, array in zip(roots, fusion.arrays, strict=True))


def _read(value: Instruction, source: Array, fused: Computation, computations) -> int:
  """Bytes of `source` that are needed of it inside a fusion, where it is called `value`."""
  total, users = 0, fused.users[value.name]
  passes = fused.root.opcode == "tuple" and fused.root in users
  for user in users:
    if passes and (user is fused.root or kind_of(user)):
      # A collective under way: its start has counted.
      continue
    if user.opcode in _SLICES and user.operands[0] == value.name:
      total += _part(source, user.arrays[0])
    elif _is_updated(value, user):
      continue
    elif user.opcode in _VALUE_BY_VALUE and user is not fused.root:
      total += _read(user, source, fused, computations)
    elif user.opcode == "fusion":
      inner = computations[user.called("calls")[0]]
      places = [i for i, name in enumerate(user.operands) if name == value.name]
      total += sum(_read(inner.parameters[i], source, inner, computations) for i in places)
    else:
      return _bytes(source)
  return total


def _is_updated(value: Instruction, user: Instruction) -> bool:
  """Whether `user` writes a part of `value` in place: not where it has been computed from something else."""
  in_place = value.opcode in ("parameter", "bitcast")
  return in_place and user.opcode == "dynamic-update-slice" and user.operands[0] == value.name


def _written(root: Instruction, target: Array, fused: Computation) -> int:
  """Bytes of `target`, a result of a fusion, that `root` writes."""
  while root.opcode == "bitcast":
    (root,) = fused.operands(root)
  if root.opcode == "parameter" or (kind_of(root) and root is not fused.root):
    return 0
  if root.opcode == "dynamic-update-slice":
    return min(_bytes(target), _part(target, fused.operands(root)[1].arrays[0]))
  return _bytes(target)


def _part(whole: Array, part: Array) -> int:
  """Bytes of that many values of `whole`, as densely as it is laid out."""
  if not _bytes(whole):
    return 0
  return min(_bytes(whole), round(_bytes(whole) * part.elements / whole.elements))


def _bytes(array: Array) -> int:
  return array.stored_bytes if array.space == MAIN_MEMORY else 0
