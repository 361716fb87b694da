"""The table of a run's parameters: how many there are, how each lies on the mesh, and what a device holds."""

import math
from typing import Any

import jax

from condfoley_jax.partition import path_name
from condfoley_jax.training.state import Frozen, TrainState


def summary(state: TrainState, frozen: Frozen) -> list[str]:
  """A line per part of the model, and one of all that a device holds of the state. Arrays, or shapes with shardings."""
  lines = [_part(name, tree, "trained") for name, tree in state.params.items()]
  lines += [_part(name, tree, "frozen") for name, tree in frozen.params.items()]
  held = {
    "parameters": (state.params, frozen.params),
    "optimiser": state.opt_state,
    "means": state.ema,
    "other": (state.rest, frozen.rest),
  }
  sizes = "  ".join(f"{name} {per_device(tree) / 2**20:,.1f}" for name, tree in held.items())
  return [*lines, f"MiB on a device: {sizes}"]


def table(state: TrainState, frozen: Frozen) -> str:
  """Every parameter: path, dtype, shape, axes of the mesh along its axes, bytes on a device."""
  leaves = jax.tree_util.tree_leaves_with_path({**state.params, **frozen.params})
  rows = [
    (path_name(path), str(x.dtype), str(x.shape), str(tuple(x.sharding.spec)), f"{_local(x):,}") for path, x in leaves
  ]
  rows = [("parameter", "dtype", "shape", "split along", "bytes on a device"), *rows]
  widths = [max(len(row[i]) for row in rows) for i in range(5)]
  return (
    "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows) + "\n"
  )


def per_device(tree: Any) -> int:
  """Bytes of a tree of arrays, or of shapes with shardings, that one device holds."""
  return sum(_local(x) for x in jax.tree.leaves(tree))


def _part(name: str, tree: Any, how: str) -> str:
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(tree))
  return f"{name}: {count:,} parameters, {how}, {per_device(tree) / 2**20:,.1f} MiB on a device"


def _local(x: jax.Array | jax.ShapeDtypeStruct) -> int:
  return math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
