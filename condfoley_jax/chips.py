"""What accelerators can do at most, for rooflines and for the share of it that a step reaches.

Sources. TPU: the Cloud TPU documentation's system architecture pages ("TPU v4", "TPU v5e", "TPU v5p", "TPU v6e"): peak
compute per chip (bf16), HBM capacity and bandwidth, inter-chip interconnect, of which a link in one direction is the
chip's share of its ports (v5e: 1600 Gbps on 4). What HBM programs may use is what libtpu 0.0.42's compiler says when it
runs out of it. Between slices: the data-centre bandwidth of a pod by its chips (v5e 6.4 Tbps, v6e 25.6 Tbps, both of
256; v5p 50 Gbps a chip), which no page gives for v4. NVIDIA: the data sheets of H100 and H200 (SXM): dense bf16 without
sparsity, HBM3 and HBM3e, NVLink.
"""

from typing import NamedTuple

_GIB = 2**30


class Chip(NamedTuple):
  """One device as JAX counts them: a TPU v4 or v5p is a chip of two cores that work as one.

  Attributes:
    name: as in a topology's name: v5e.
    kind: how JAX's `device_kind` begins.
    flops: peak of dense bf16 products, floating-point operations per second.
    hbm_bytes: what a program may use of it.
    hbm_rate: bytes per second.
    link_rate: bytes per second that one link sends in one direction.
    axes: of the torus, two links each; 0 where a switch joins all devices by one link.
    wraps: sizes of a slice along an axis that are multiples of this close to a ring.
    slices_rate: bytes per second of its share of the network between slices, one way; 0 where it is not known.
  """

  name: str
  kind: str
  flops: float
  hbm_bytes: int
  hbm_rate: float
  link_rate: float
  axes: int
  wraps: int
  slices_rate: float = 0.0

  @property
  def network_rate(self) -> float:
    """Bytes per second that a device sends at most, over all of its links."""
    return self.link_rate * max(1, 2 * self.axes)


CHIPS = (
  Chip("v4", "TPU v4", 275e12, int(30.75 * _GIB), 1200e9, 50e9, 3, 4),
  Chip("v5e", "TPU v5 lite", 197e12, int(15.75 * _GIB), 819e9, 50e9, 2, 16, 3.125e9),
  Chip("v5p", "TPU v5", 459e12, int(95.74 * _GIB), 2765e9, 100e9, 3, 4, 6.25e9),
  Chip("v6e", "TPU v6 lite", 918e12, int(31.25 * _GIB), 1600e9, 100e9, 2, 16, 12.5e9),
  Chip("H100", "NVIDIA H100", 989e12, 80 * 10**9, 3350e9, 450e9, 0, 1),
  Chip("H200", "NVIDIA H200", 989e12, 141 * 10**9, 4800e9, 450e9, 0, 1),
)


def of_kind(device_kind: str) -> Chip | None:
  """The chip that a `jax.Device` says it is; None for one that is not in the table, a CPU for example."""
  fitting = [chip for chip in CHIPS if device_kind.startswith(chip.kind)]
  return max(fitting, key=lambda chip: len(chip.kind), default=None)
