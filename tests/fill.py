"""Models with weights from NumPy: nothing is compiled to make them, which takes most of a small test's time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def filled(build: Callable[[], nnx.Module], seed: int = 0, scale: float = 0.3) -> nnx.Module:
  """What `build` makes, every weight drawn from N(0, scale); running variances are 1."""
  rng = np.random.default_rng(seed)
  graph, state = nnx.split(nnx.eval_shape(build))

  def draw(path, x):
    variance = any(getattr(key, "key", None) == "var" for key in path)
    return jnp.ones(x.shape, x.dtype) if variance else jnp.asarray(scale * rng.standard_normal(x.shape), x.dtype)

  return nnx.merge(graph, jax.tree_util.tree_map_with_path(draw, state))
