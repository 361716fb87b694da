"""How often a loop of a compiled program runs."""

import re
from collections.abc import Mapping

from condfoley_jax.hlo.module import Computation, Instruction

_SAME = frozenset(("copy", "bitcast", "convert", "reshape", "copy-start", "copy-done"))


def trip_count(loop: Instruction, within: Computation, computations: Mapping[str, Computation]) -> int | None:
  """Turns of a `while` of `within`: what the compiler noted, else what its counter, bound and step come to.

  None where they are no constants.
  """
  if noted := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.attributes):
    return int(noted[1])
  condition = computations[loop.called("condition")[0]]
  body = computations[loop.called("body")[0]]
  (state,) = within.operands(loop)
  compared = _comparison(condition, computations)
  if compared is None:
    return None
  (counter, bound), direction = compared
  place = _place(counter, condition)
  if place is None or direction not in ("LT", "LE"):
    return None
  last = _constant(bound, condition, state, within)
  first = _constant(_element(state, place, within), within, None, within)
  step = _step(place, body, computations)
  if None in (first, last, step) or step < 1:
    return None
  return max(0, -(-(last + (direction == "LE") - first) // step))


def _comparison(condition: Computation, computations) -> tuple[list[Instruction], str] | None:
  """The two sides of a loop's condition, as instructions of it, and the direction; it may be wrapped in a fusion."""
  root = condition.root
  while root.opcode in _SAME:
    (root,) = condition.operands(root)
  if root.opcode == "compare":
    return condition.operands(root), root.attribute("direction")
  if root.opcode == "fusion":
    inner = computations[root.called("calls")[0]]
    if inner.root.opcode == "compare":
      sides = inner.operands(inner.root)
      if all(side.opcode == "parameter" for side in sides):
        operands = condition.operands(root)
        return [operands[int(side.argument)] for side in sides], inner.root.attribute("direction")
  return None


def _place(value: Instruction, within: Computation) -> int | None:
  """Which element of the loop's state a value is."""
  while value.opcode in _SAME:
    (value,) = within.operands(value)
  return int(value.attribute("index")) if value.opcode == "get-tuple-element" else None


def _element(state: Instruction, place: int, within: Computation) -> Instruction | None:
  return within.operands(state)[place] if state.opcode == "tuple" else None


def _constant(value: Instruction | None, within: Computation, state: Instruction | None, outer: Computation):
  """A whole number that a value is known to be; an element of the loop's state is what it was before the loop."""
  while value is not None and value.opcode in _SAME:
    (value,) = within.operands(value)
  if value is None:
    return None
  if value.opcode == "get-tuple-element" and state is not None:
    return _constant(_element(state, int(value.attribute("index")), outer), outer, None, outer)
  return int(value.argument) if re.fullmatch(r"-?\d+", value.argument) and value.opcode == "constant" else None


def _step(place: int, body: Computation, computations) -> int | None:
  """What a turn adds to the counter."""
  value = _element(body.root, place, body)
  while value is not None and value.opcode in _SAME:
    (value,) = body.operands(value)
  if value is None:
    return None
  added = body.operands(value)
  if value.opcode == "fusion":
    value = computations[value.called("calls")[0]].root
  if value.opcode != "add":
    return None
  # A constant that the loop's state carries along is one, by all that is known of loops over layers and steps.
  steps = [int(i.argument) for i in added if i.opcode == "constant" and i.argument.isdecimal()]
  return steps[0] if steps else 1
