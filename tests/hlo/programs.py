"""Programs whose cost is known, compiled for the devices at hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def array(*shape, dtype=jnp.float32, mesh: Mesh | None = None, spec: P | None = None) -> jax.ShapeDtypeStruct:
  """An abstract argument, split over `mesh` by `spec` if there is one."""
  sharding = mesh and NamedSharding(mesh, spec or P())
  return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def compiled(function, *arguments, **options) -> jax.stages.Compiled:
  """`function` compiled for arguments that are no arrays."""
  return jax.jit(function, **options).lower(*arguments).compile()


def mesh(devices, **axes: int) -> Mesh:
  """The first devices as a mesh of named axes."""
  sizes = tuple(axes.values())
  return Mesh(np.array(devices[: np.prod(sizes)]).reshape(sizes), tuple(axes))


def layers(x: jax.Array, weights: jax.Array) -> jax.Array:
  """[B, D] through the layers [L, D, D], in a loop."""
  return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]


def gradient(function):
  """Of the sum of a function's result, by its first argument."""
  return jax.grad(lambda *arguments: function(*arguments).astype(jnp.float32).sum())


convolution = functools.partial(
  jax.lax.conv_general_dilated,
  window_strides=(2, 2),
  padding="SAME",
  dimension_numbers=("NHWC", "HWIO", "NHWC"),
)
