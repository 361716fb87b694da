"""Flat views of a model's weights: '/'-joined names to arrays and back."""

from typing import Any

import jax
import numpy as np
from flax import nnx

from condfoley_jax.models.sequence import Frozen

SAVED = (nnx.Param, nnx.BatchStat, Frozen)


def flatten(model: nnx.Module) -> dict[str, np.ndarray]:
  """Every parameter and batch statistic of `model` by its '/'-joined path, on the host."""
  return {name: np.asarray(value) for name, value in _named(nnx.state(model, SAVED)).items()}


def shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
  """Shape of all that `flatten` gives; `model` may be of shapes alone."""
  return {name: tuple(value.shape) for name, value in _named(nnx.state(model, SAVED)).items()}


def restore(model: nnx.Module, flat: dict[str, np.ndarray]) -> None:
  """Overwrites the weights of `model` with `flat`, in the model's dtypes.

  Raises:
    ValueError: counts the names that are missing, left over or of another shape, and lists the first ten.
  """
  state = nnx.state(model, SAVED)
  have = _named(state)
  problems = [f"missing {name}" for name in have if name not in flat]
  problems += [f"left over {name}" for name in flat if name not in have]
  problems += [
    f"{name} is {tuple(flat[name].shape)}, expected {tuple(have[name].shape)}"
    for name in have
    if name in flat and tuple(flat[name].shape) != tuple(have[name].shape)
  ]
  if problems:
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    raise ValueError("weights do not fit the model: " + "; ".join(sorted(problems)[:10]) + more)
  # Converted on the host and sent as they are: on a device each shape would be a program to compile, or to look up.
  converted = lambda path, x: np.asarray(flat[_name(path)], x.dtype)
  nnx.update(model, jax.device_put(jax.tree_util.tree_map_with_path(converted, state)))


def _named(state: Any) -> dict[str, jax.Array]:
  return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]}


def _name(path) -> str:
  """'/'-joined path without the wrapper level that NNX variables add."""
  keys = [str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path]
  return "/".join(k for k in keys if k != "value")
