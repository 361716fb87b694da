"""Array types as compiled HLO writes them: `bf16[7,256,128]{2,1,0:T(8,128)(2,1)S(1)}`."""

import math
import re
from typing import NamedTuple

# The memory that an array lies in where its layout names none: HBM on TPU and GPU, RAM on CPU.
MAIN_MEMORY = 0

_ARRAY = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")
_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128}


class Array(NamedTuple):
  """One array of an instruction's result.

  Attributes:
    dtype: as HLO names it: bf16, f32, s32, pred.
    dims: sizes.
    minor_to_major: order of the axes in memory, the fastest first; empty where the text gives no layout.
    tile: sizes that the most minor axes are padded to multiples of, the minor last; empty for none.
    space: number of the memory it lies in.
  """

  dtype: str
  dims: tuple[int, ...]
  minor_to_major: tuple[int, ...] = ()
  tile: tuple[int, ...] = ()
  space: int = MAIN_MEMORY

  @property
  def elements(self) -> int:
    """Number of values."""
    return math.prod(self.dims)

  @property
  def bytes(self) -> int:
    """Bytes of the values alone."""
    return math.ceil(self.elements * _bits(self.dtype) / 8)

  @property
  def stored_bytes(self) -> int:
    """Bytes it takes in memory, tiles being whole there."""
    order = self.minor_to_major or tuple(reversed(range(len(self.dims))))
    sizes = [self.dims[axis] for axis in reversed(order)]
    sizes = [1] * (len(self.tile) - len(sizes)) + sizes
    for i, tile in enumerate(reversed(self.tile), 1):
      sizes[-i] = -(-sizes[-i] // tile) * tile
    return math.ceil(math.prod(sizes) * _bits(self.dtype) / 8)


def parse(text: str) -> tuple[Array, ...]:
  """Arrays of a type, those of nested tuples one after another."""
  return tuple(_array(*match) for match in _ARRAY.findall(text))


def _array(dtype: str, dims: str, layout: str) -> Array:
  order, _, rest = layout.partition(":")
  tile, space = _TILE.search(rest), _SPACE.search(rest)
  return Array(
    dtype,
    # A bound that a dynamic size stays below is written `<=8`.
    tuple(int(size.lstrip("<=")) for size in dims.split(",") if size),
    tuple(int(axis) for axis in order.split(",") if axis),
    tuple(int(size) for size in tile[1].split(",")) if tile else (),
    int(space[1]) if space else MAIN_MEMORY,
  )


def _bits(dtype: str) -> int:
  if dtype in _BITS:
    return _BITS[dtype]
  # f32, bf16, s4, f8e4m3fn: the first number is the width.
  return int(re.search(r"\d+", dtype)[0])
