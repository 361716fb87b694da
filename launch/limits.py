"""A lowered program compiled for a slice, held against what its chips can do."""

import re
from collections.abc import Sequence
from typing import Any

import jax

from condfoley_jax.hlo import cost
from launch import roofline
from launch.topology import Slice

# How the compiler says what did not fit.
_NEEDED = re.compile(r"\(([\d.]+)([KMGT]?)\) exceeds available HBM|Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm")
_SCALE = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def report(lowered: jax.stages.Lowered, order: Sequence[jax.Device], where: Slice) -> dict[str, Any]:
  """Compiles a program and says whether it fits and how fast it can be at most.

  Args:
    lowered: for the devices of the slice.
    order: its devices in the program's order (`mesh.devices.flat`).
    where: the slice.

  Returns:
    All of one device in one run: {"fits", "hbm_bytes": {"limit", "needed", "arguments", "temporaries", "outputs",
    "aliased", "code"}, "flops", "elementwise_flops", "bytes_accessed", "collectives": {KIND: {"count", "bytes"}},
    "unknown_loops", "seconds": {"compute", "hbm", "network"}, "roofline_s", "bound", "peak_share": the roofline's part
    of peak flops}.
    Where the compiler itself runs out of memory, "needed" is its figure, "compiler" its words, and what nobody knows
    then is None.
  """
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    return _unknown() | _out_of_memory(str(error), where)
  places = {device: i for i, device in enumerate(where.devices)}
  return _memory(compiled.memory_analysis(), where) | _work(
    cost.of_text(compiled.as_text()), [places[device] for device in order], where
  )


def _memory(stats, where: Slice) -> dict[str, Any]:
  sizes = {
    "arguments": stats.argument_size_in_bytes,
    "temporaries": stats.temp_size_in_bytes,
    "outputs": stats.output_size_in_bytes,
    # Donated arguments and the outputs that take their places are the same bytes.
    "aliased": stats.alias_size_in_bytes,
    "code": stats.generated_code_size_in_bytes,
  }
  needed = sum(sizes.values()) - 2 * sizes["aliased"]
  limit = where.chip.hbm_bytes
  return {"fits": needed <= limit, "hbm_bytes": {"limit": limit, "needed": needed, **sizes}}


def _work(found: cost.Cost, order: Sequence[int], where: Slice) -> dict[str, Any]:
  seconds = roofline.seconds(found, where, order)
  bound = max(seconds, key=seconds.get)
  return {
    "flops": found.flops,
    "elementwise_flops": found.elementwise_flops,
    "bytes_accessed": found.bytes_accessed,
    "collectives": found.by_kind(),
    "unknown_loops": found.unknown_loops,
    "seconds": seconds,
    "roofline_s": seconds[bound],
    "bound": bound,
    "peak_share": seconds["compute"] / seconds[bound] if seconds[bound] else 0.0,
  }


def _out_of_memory(message: str, where: Slice) -> dict[str, Any]:
  words = next(line for line in message.splitlines() if "RESOURCE_EXHAUSTED" in line)
  found = _NEEDED.search(message)
  number, unit = [part for part in found.groups() if part is not None] if found else (None, None)
  needed = round(float(number) * _SCALE[unit]) if number else None
  unknown = dict.fromkeys(("arguments", "temporaries", "outputs", "aliased", "code"))
  sizes = {"limit": where.chip.hbm_bytes, "needed": needed, **unknown}
  return {"fits": False, "hbm_bytes": sizes, "compiler": words.partition("RESOURCE_EXHAUSTED: ")[2]}


def _unknown() -> dict[str, Any]:
  names = ("flops", "elementwise_flops", "bytes_accessed", "collectives", "seconds", "roofline_s", "bound")
  return dict.fromkeys((*names, "peak_share"))
