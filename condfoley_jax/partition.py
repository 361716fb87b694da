"""Names: of the mesh's axes, with the one constraint that models state about it, and of parameters."""

import math

import jax
from jax.sharding import PartitionSpec as P

# Copies of the model; parts of one copy's parameters, gathered where they are used; parts of one layer's products.
AXES = ("data", "fsdp", "tensor")
# Both copies and parts of a copy read examples of their own.
BATCH_AXES = AXES[:2]


def split_batch(x: jax.Array) -> jax.Array:
  """`x` with its first axis split over the devices that read different examples; as it is where no mesh is set."""
  mesh = jax.sharding.get_abstract_mesh()
  return x if mesh.empty else jax.lax.with_sharding_constraint(x, P(_readers(mesh)))


def split_takes(x_JxB: jax.Array) -> jax.Array:
  """[J, B] with its jobs split over the devices that read different examples, or its takes where the jobs cannot be."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return x_JxB
  axes = _readers(mesh)
  by_jobs = x_JxB.shape[0] % math.prod(mesh.shape[axis] for axis in axes) == 0
  return jax.lax.with_sharding_constraint(x_JxB, P(axes) if by_jobs else P(None, axes))


def _readers(mesh: jax.sharding.AbstractMesh) -> tuple[str, ...]:
  """The axes along which examples are split by the compiler; along others they may have been split before."""
  kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
  return tuple(axis for axis in BATCH_AXES if kinds[axis] == jax.sharding.AxisType.Auto)


def path_name(path: tuple) -> str:
  """'/'-joined keys of a leaf of nested dicts."""
  return "/".join(str(key.key) for key in path)
