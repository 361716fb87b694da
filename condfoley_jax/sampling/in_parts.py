"""Rows a few at a time, where all at once would not fit."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

Arrays = TypeVar("Arrays")


def map_in_parts(function: Callable[[Arrays], jax.Array], x: Arrays, at_once: int) -> jax.Array:
  """`function` of `x`, arrays [B, ...] to one [B, ...], at most so many rows at a time, in parts of one size."""
  rows = len(jax.tree.leaves(x)[0])
  parts = -(-rows // at_once)
  size = -(-rows // parts)

  def in_parts(x: jax.Array) -> jax.Array:
    padded = jnp.pad(x, ((0, parts * size - rows), *((0, 0),) * (x.ndim - 1)))
    return padded.reshape(parts, size, *x.shape[1:])

  made = jax.lax.map(function, jax.tree.map(in_parts, x))
  return made.reshape(-1, *made.shape[2:])[:rows]
