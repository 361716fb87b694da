"""What Google Cloud calls the slices that `launch.topology` names, and which machines they are made of.

Sources: the pages on each TPU version, on TPU software versions and on TPUs in GKE, in the Cloud TPU and GKE
documentation.
"""

import math
from typing import NamedTuple

from data_pipelines.errors import InputError
from launch import topology


class _Kind(NamedTuple):
  """accelerator: its type's name, less the size; cores: counted in that size, per chip; runtime: image of a TPU VM;
  gke: the node label; machine: type of a node with so many chips; alone: chips of the largest host that is a slice;
  counts: of chips of a slice."""

  accelerator: str
  cores: int
  runtime: str
  gke: str
  machine: str
  alone: int
  counts: tuple[int, ...]


_FLAT = (1, 4, 8, 16, 32, 64, 128, 256)
_CUBES = tuple(4 << i for i in range(11))
_KINDS = {
  "v4": _Kind("v4", 2, "tpu-ubuntu2204-base", "tpu-v4-podslice", "ct4p-hightpu-{}t", 4, _CUBES),
  "v5e": _Kind("v5litepod", 1, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice", "ct5lp-hightpu-{}t", 8, _FLAT),
  "v5p": _Kind("v5p", 2, "v2-alpha-tpuv5", "tpu-v5p-slice", "ct5p-hightpu-{}t", 4, _CUBES),
  "v6e": _Kind("v6e", 1, "v2-alpha-tpuv6e", "tpu-v6e-slice", "ct6e-standard-{}t", 8, _FLAT),
}
# Chips of a host that is one of several.
_OF_SEVERAL = 4


class Machines(NamedTuple):
  """Of one slice.

  Attributes:
    chip: its kind, as in `launch.topology`.
    sizes: `4x4`.
    chips: in all.
    hosts: in all.
    accelerator: the type by which a TPU VM is asked for.
    runtime: image of a TPU VM.
    gke: value of the node label cloud.google.com/gke-tpu-accelerator.
    machine: type of a GKE node.
  """

  chip: str
  sizes: str
  chips: int
  hosts: int
  accelerator: str
  runtime: str
  gke: str
  machine: str


def of(name: str) -> Machines:
  """The machines of a slice such as `v5e:4x4`.

  Raises:
    InputError: there is no such slice, or no accelerator type gives one of that form.
  """
  chip, sizes = topology.parse(name)
  kind, chips = _KINDS[chip.name], math.prod(sizes)
  if sizes != _usual(chips, chip.axes):
    usual = "x".join(map(str, _usual(chips, chip.axes)))
    raise InputError(f"{name}: {chips} chips are given out as {chip.name}:{usual}; name that")
  if chips not in kind.counts:
    raise InputError(
      f"{name}: there are {chip.name} slices of {', '.join(map(str, kind.counts))} chips; name one of those"
    )
  hosts = 1 if chips <= kind.alone else chips // _OF_SEVERAL
  return Machines(
    chip.name,
    "x".join(map(str, sizes)),
    chips,
    hosts,
    f"{kind.accelerator}-{chips * kind.cores}",
    kind.runtime,
    kind.gke,
    kind.machine.format(chips // hosts),
  )


def one_host(name: str) -> str:
  """The largest slice of one host that has the chips of the slice `name`."""
  chip, _ = topology.parse(name)
  return f"{chip.name}:{'x'.join(map(str, _usual(_KINDS[chip.name].alone, chip.axes)))}"


def _usual(chips: int, axes: int) -> tuple[int, ...]:
  """Sizes of the slice that one gets who asks for so many chips: as near to a square or cube as powers of two can be,
  the larger sizes last; on a 3D torus 2x2 is 2x2x1."""
  power = chips.bit_length() - 1
  if chips != 1 << power:
    raise InputError(f"{chips} chips: slices have a power of two; name one like v5e:4x4 or v4:2x2x4")
  if axes == 3 and chips == 4:
    return (2, 2, 1)
  return tuple(1 << (power + i) // axes for i in range(axes))
