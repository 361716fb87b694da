"""The mesh, and how state and batches lie on it: a config's rules as shardings.

A rule is (pattern, axes): a regular expression that is searched for in a parameter's path, such as
`transformer/blocks/0/mlp_in/kernel`, and the mesh axis, or None, along which each of the parameter's last axes is
split. Axes before them, as those of scanned layers, are whole. The first rule that is found counts.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from condfoley_jax.partition import AXES, BATCH_AXES, path_name

Rules = Sequence[tuple[str, Sequence[str | None]]]


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """Devices along each axis of the mesh; one may be -1: all that the others leave.

  Attributes:
    data: copies of the parameters, each for a part of the batch.
    fsdp: parts that parameters are stored in; each device reads its own part of the batch here too.
    tensor: parts that single products are computed in.
  """

  data: int = -1
  fsdp: int = 1
  tensor: int = 1


def make_mesh(config: MeshConfig = MeshConfig(), devices: Sequence[jax.Device] | None = None) -> Mesh:
  """`devices`, all there are unless given, as a mesh of axes data, fsdp and tensor.

  Slices of TPUs that only the data centre's network joins lie along data: of all axes it needs to send the least.

  Raises:
    ValueError: they cannot be arranged so.
  """
  devices = jax.devices() if devices is None else devices
  sizes = dataclasses.astuple(config)
  known = math.prod(n for n in sizes if n != -1)
  free = sizes.count(-1)
  if (
    free > 1
    or min(n for n in (*sizes, 1) if n != -1) < 1
    or len(devices) % known
    or (not free and known != len(devices))
  ):
    shape = " x ".join(f"{name} {n}" for name, n in zip(AXES, sizes, strict=True))
    raise ValueError(f"mesh {shape} does not take up {len(devices)} devices; the product must be their number")
  shape = tuple(len(devices) // known if n == -1 else n for n in sizes)
  kinds = (jax.sharding.AxisType.Auto,) * len(AXES)
  # Of TPUs alone: what others call a slice is nothing that data would have to lie along.
  slices = len({getattr(device, "slice_index", 0) for device in devices}) if devices[0].platform == "tpu" else 1
  if slices == 1:
    return jax.make_mesh(shape, AXES, axis_types=kinds, devices=devices)
  copies, *split = shape
  if copies % slices:
    raise ValueError(
      f"mesh data {copies} is no multiple of the {slices} slices, which are to hold a copy each at least"
    )
  within, between = (copies // slices, *split), (slices, 1, 1)
  try:
    # As `jax.make_mesh` does on one slice: a torus may have too few axes for those of the mesh.
    arranged = mesh_utils.create_hybrid_device_mesh(within, between, devices, allow_split_physical_axes=True)
  except NotImplementedError as error:
    raise ValueError(f"mesh {' x '.join(map(str, shape))} cannot be laid out on {slices} slices ({error})") from error
  return Mesh(arranged, AXES, axis_types=kinds)


def replicated(mesh: Mesh) -> NamedSharding:
  """Whole on every device."""
  return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Split along the first axis over all devices that read different examples."""
  return NamedSharding(mesh, P(BATCH_AXES))


def readers(mesh: Mesh) -> int:
  """Parts that a batch is split into."""
  return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def parameter_shardings(params: Any, rules: Rules, mesh: Mesh) -> Any:
  """Sharding of each array of a nested dict, or of anything with a shape in its place.

  An axis that does not divide by the mesh's stays whole.

  Raises:
    ValueError: names a parameter for which there is no rule, a rule that has more axes than the parameter, or is none.
  """

  def sharding_of(path, x) -> NamedSharding:
    name = path_name(path)
    return NamedSharding(mesh, _spec(name, x.shape, _rule(name, rules), mesh.shape))

  return jax.tree_util.tree_map_with_path(sharding_of, params)


def _rule(name: str, rules: Rules) -> Sequence[str | None]:
  for rule in rules:
    if not (isinstance(rule, Sequence) and len(rule) == 2):
      raise ValueError(f"config.sharding has {rule!r} in place of a rule; give (pattern, axes)")
    pattern, axes = rule
    if re.search(pattern, name):
      return axes
  raise ValueError(f"no rule of config.sharding is for the parameter {name}; add one")


def _spec(name: str, shape: tuple[int, ...], axes: Sequence[str | None], sizes: Mapping[str, int]) -> P:
  if len(axes) > len(shape):
    raise ValueError(f"the rule of config.sharding for {name} has {len(axes)} axes, the parameter {len(shape)}")
  before = (None,) * (len(shape) - len(axes))
  fits = lambda axis, n: axis is not None and n % sizes[axis] == 0
  return P(*before, *(a if fits(a, n) else None for a, n in zip(axes, shape[len(before) :], strict=True)))


@functools.cache
def rows_of(mesh: Mesh, batch_size: int, process: int) -> tuple[int, ...]:
  """Rows of a global batch that lie on devices of a process, in order.

  They need not be neighbours, as devices lie in a mesh by how they are joined; nor that process's alone, where `tensor`
  lies across processes.
  """
  places = batch_sharding(mesh).devices_indices_map((batch_size,))
  own = {rows.indices(batch_size) for device, (rows,) in places.items() if device.process_index == process}
  return tuple(sorted({row for rows in own for row in range(*rows)}))


def place_batch(batch: dict[str, np.ndarray], mesh: Mesh, batch_size: int) -> dict[str, jax.Array]:
  """Rows [R, ...] that this process read of a global batch (`rows_of`) -> global arrays [batch_size, ...]."""
  split, rows = batch_sharding(mesh), rows_of(mesh, batch_size, jax.process_index())
  at = {row: place for place, row in enumerate(rows)}

  def placed(read: np.ndarray) -> jax.Array:
    def part(index: tuple[slice, ...]) -> np.ndarray:
      first, end, _ = index[0].indices(batch_size)
      return read[at[first] : at[first] + end - first]

    return jax.make_array_from_callback((batch_size, *read.shape[1:]), split, part)

  return {name: placed(read) for name, read in batch.items()}
