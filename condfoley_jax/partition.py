"""Names: of the mesh's axes, with the one constraint that models state about it, and of parameters."""

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


def path_name(path: tuple) -> str:
  """'/'-joined keys of a leaf of nested dicts."""
  return "/".join(str(key.key) for key in path)
