"""Rows a few at a time, where all at once would not fit."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def map_in_parts(function: Callable[[jax.Array], jax.Array], x: jax.Array, at_once: int) -> jax.Array:
  """`function` of `x`, [B, ...] to [B, ...], at most so many rows at a time, in parts of one size."""
  rows = x.shape[0]
  parts = -(-rows // at_once)
  size = -(-rows // parts)
  padded = jnp.pad(x, ((0, parts * size - rows), *((0, 0),) * (x.ndim - 1)))
  made = jax.lax.map(function, padded.reshape(parts, size, *x.shape[1:]))
  return made.reshape(-1, *made.shape[2:])[:rows]
