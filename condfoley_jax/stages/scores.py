"""Arithmetic that stages share."""

import jax
import jax.numpy as jnp


def mean_where(values: jax.Array, mask: jax.Array) -> jax.Array:
  """Mean of values where the mask is 1; 0 where it is nowhere."""
  return jnp.sum(values * mask) / jnp.maximum(jnp.sum(mask), 1)
