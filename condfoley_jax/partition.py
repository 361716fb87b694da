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
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, P(BATCH_AXES))


def split_takes(x_JxB: jax.Array) -> jax.Array:
  """[J, B] with its jobs split over the devices that read different examples, or its takes where the jobs cannot be."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return x_JxB
  readers = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
  return jax.lax.with_sharding_constraint(
    x_JxB, P(BATCH_AXES) if x_JxB.shape[0] % readers == 0 else P(None, BATCH_AXES)
  )


def path_name(path: tuple) -> str:
  """'/'-joined keys of a leaf of nested dicts."""
  return "/".join(str(key.key) for key in path)
