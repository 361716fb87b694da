"""Floating-point operations of one instruction: a multiplication and an addition are two.

Products are what matrix units do: dot, convolution, and the library calls that stand for them on GPUs. TPU programs
write most dots as convolutions, batch axes as spatial ones with strides and dilation; only the positions that meet
count, so the figure is that of the dot.
"""

import functools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from condfoley_jax.hlo.array import Array
from condfoley_jax.hlo.module import Instruction

# One operation per value of the result.
_ELEMENTWISE = re.compile(
  "add|subtract|multiply|divide|maximum|minimum|negate|abs|power|remainder|exponential|exponential-minus-one|log|"
  "log-plus-one|logistic|tanh|sqrt|rsqrt|cbrt|sine|cosine|tan|erf|atan2"
)
# Operations on integers are indices and random bits.
_INTEGERS = re.compile(r"[su]\d+|pred")
# Which of (result, first operand, second operand) a convolution's input, kernel and output are.
_LIBRARY_CONVOLUTIONS = {"Forward": (1, 2, 0), "BackwardInput": (0, 2, 1), "BackwardFilter": (1, 0, 2)}


def products(instruction: Instruction, operands: Sequence[Instruction]) -> int:
  """Operations of a dot or convolution; 0 for everything else, custom calls of unknown content included."""
  match instruction.opcode:
    case "dot":
      contracted = _numbers(instruction.attribute("lhs_contracting_dims"))
      return _dot(instruction.arrays[0], operands[0].arrays[0], contracted)
    case "convolution":
      return _convolution(instruction, operands[0].arrays[0], operands[1].arrays[0], instruction.arrays[0])
    case "custom-call":
      return _library_call(instruction, operands)
  return 0


def elementwise(instruction: Instruction, operands: Sequence[Instruction]) -> int:
  """Operations of an elementwise instruction or a reduction on floating-point numbers; 0 for everything else."""
  if not instruction.arrays or _INTEGERS.fullmatch(instruction.arrays[0].dtype):
    return 0
  if instruction.opcode == "reduce":
    return sum(operand.arrays[0].elements for operand in operands[: len(instruction.arrays)])
  return instruction.arrays[0].elements if _ELEMENTWISE.fullmatch(instruction.opcode) else 0


def _dot(result: Array, lhs: Array, contracted: Sequence[int]) -> int:
  return 2 * result.elements * math.prod(lhs.dims[axis] for axis in contracted)


def _library_call(instruction: Instruction, operands: Sequence[Instruction]) -> int:
  """cuBLAS products and cuDNN convolutions, by the names that XLA gives them."""
  target = (instruction.attribute("custom_call_target") or "").strip('"')
  if target.startswith("__cublas$"):
    contracted = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', instruction.attributes)
    return _dot(instruction.arrays[0], operands[0].arrays[0], _numbers(contracted and contracted[1]))
  if target.startswith("__cudnn$conv"):
    arrays = [i.arrays[0] for i in (instruction, *operands[:2])]
    for name, order in _LIBRARY_CONVOLUTIONS.items():
      if name in target:
        return _convolution(instruction, *(arrays[i] for i in order))
  return 0


def _convolution(instruction: Instruction, lhs: Array, rhs: Array, result: Array) -> int:
  lhs_labels, rhs_labels, result_labels = re.split("_|->", instruction.attribute("dim_labels"))
  window = _window(instruction.attribute("window") or "")
  positions = 1
  for axis, label in enumerate(sorted(c for c in rhs_labels if c.isdecimal())):
    sizes = (array.dims[labels.index(label)] for array, labels in ((lhs, lhs_labels), (result, result_labels)))
    positions *= _meetings(*sizes, rhs.dims[rhs_labels.index(label)], window.axis(axis))
  of_result = math.prod(result.dims[result_labels.index(c)] for c in "bf")
  # The kernel's inputs are those of one group of features.
  return 2 * of_result * rhs.dims[rhs_labels.index("i")] * positions


class _Axis(NamedTuple):
  """stride; pad before; how far apart input values and kernel values lie."""

  stride: int = 1
  pad: int = 0
  lhs_dilate: int = 1
  rhs_dilate: int = 1


class _Window(NamedTuple):
  values: dict[str, list[int]]

  def axis(self, number: int) -> _Axis:
    return _Axis(**{name: values[number] for name, values in self.values.items()})


def _window(text: str) -> _Window:
  """Of `size=3x3 stride=2x2 pad=0_1x0_1 lhs_dilate=2x2`; which way round a kernel is read changes no count."""
  fields = dict(word.split("=") for word in text.split())
  return _Window({k: [int(v.split("_")[0]) for v in fields[k].split("x")] for k in _Axis._fields if k in fields})


@functools.cache
def _meetings(lhs: int, result: int, kernel: int, axis: _Axis) -> int:
  """How many pairs of an output position and a kernel position meet an input value, along one axis."""
  return sum(_outputs(k * axis.rhs_dilate - axis.pad, lhs, result, axis) for k in range(kernel))


def _outputs(offset: int, lhs: int, result: int, axis: _Axis) -> int:
  """How many o in 0..result-1 have o * stride + offset = i * lhs_dilate for an i in 0..lhs-1."""
  stride, dilate = axis.stride, axis.lhs_dilate
  common = math.gcd(stride, dilate)
  if offset % common:
    return 0
  period = dilate // common
  first = -offset // common * pow(stride // common, -1, period) % period if period > 1 else 0
  lowest, highest = max(0, -(offset // stride)), min(result - 1, ((lhs - 1) * dilate - offset) // stride)
  lowest += (first - lowest) % period
  return max(0, (highest - lowest) // period + 1)


def _numbers(text: str | None) -> list[int]:
  return [int(number) for number in re.findall(r"\d+", text or "")]
