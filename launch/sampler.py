"""The sampler as one program for a mesh: prefill and every decoding step of a clip's codes."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from condfoley_jax.sampling.generate import sample_window
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.training import sharding
from condfoley_jax.weights import registry
from data_pipelines.errors import InputError


def lower(values: Mapping[str, Any], mesh: Mesh, takes: int) -> jax.stages.Lowered:
  """Sampling of `takes` takes of one clip by the config's transformer, split over the devices that read batches.

  The parameters are float32, as generation loads them, and lie as the config's rules say.

  Raises:
    InputError: the config has no transformer, or the takes cannot be split evenly.
    ValueError: the rules do not fit the model.
  """
  if "transformer" not in values["model"]:
    raise InputError(f"stage {values['stage']}: only a transformer samples; rehearse the transformer's config")
  if takes % (parts := sharding.readers(mesh)):
    raise InputError(f"{takes} takes: the mesh splits them into {parts}; name a multiple of that")
  split = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding.batch_sharding(mesh))
  model = _transformer(values, mesh)
  sizes = model.config
  features = split((takes, sizes.frames, sizes.feature_width), jnp.dtype(values["dtype"]))
  codes, known = split((takes, sizes.codes), jnp.int32), split((takes, 0), jnp.int32)
  keys = split((takes,), jax.random.key(0).dtype)
  scalar = lambda dtype: jax.ShapeDtypeStruct((), dtype, sharding=sharding.replicated(mesh))
  sampling = Sampling(scalar(jnp.float32), scalar(jnp.int32), scalar(jnp.float32))
  return sample_window.lower(model, features, features, codes, known, keys, sampling, sizes.codes)


def _transformer(values: Mapping[str, Any], mesh: Mesh) -> nnx.Module:
  """The model that decodes, abstract, each parameter with the sharding of its rule."""
  build = lambda: registry.build(
    "transformer", values["model"]["transformer"], dtype=jnp.dtype(values["dtype"]), rngs=nnx.Rngs(0)
  ).unstacked()
  graph, state = nnx.split(nnx.eval_shape(build))
  pure = {"transformer": nnx.to_pure_dict(state)}
  placed = sharding.parameter_shardings(pure, values["sharding"], mesh)
  nnx.replace_by_pure_dict(state, jax.tree.map(_placed, pure, placed)["transformer"])
  return nnx.merge(graph, state)


def _placed(x: jax.ShapeDtypeStruct, where: NamedSharding) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)
