"""The sampler as one program for a mesh: prefill and every decoding step of a clip's codes."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from condfoley_jax import sharding
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import registry
from data_pipelines.errors import InputError


@dataclasses.dataclass(frozen=True)
class Least:
  """Bytes that sampling B takes of one job cannot do without.

  Attributes:
    weights: of the transformer.
    prefix: keys and values that all takes share.
    suffix: keys and values of all that the takes have drawn in the end.
  """

  weights: int
  prefix: int
  suffix: int

  @property
  def step(self) -> float:
    """To read in a step of decoding, in the mean: half of the suffix is not there yet."""
    return self.weights + self.prefix + self.suffix / 2

  @property
  def held(self) -> int:
    """In memory at the end."""
    return self.weights + self.prefix + self.suffix


def lower(values: Mapping[str, Any], mesh: Mesh, takes: int) -> jax.stages.Lowered:
  """Sampling of `takes` takes of one clip by the config's transformer, split over the devices that read batches.

  The parameters have the dtype of the config and lie as its rules say.

  Raises:
    InputError: the config has no transformer, or the takes cannot be split evenly.
    ValueError: the rules do not fit the model.
  """
  if "transformer" not in values["model"]:
    raise InputError(f"stage {values['stage']}: only a transformer samples; rehearse the transformer's config")
  if takes % (parts := sharding.readers(mesh)):
    raise InputError(f"{takes} takes: the mesh splits them into {parts}; name a multiple of that")
  dtype = jnp.dtype(values["dtype"])
  model = _transformer(values, dtype, mesh)
  sizes = model.config
  whole = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding.replicated(mesh))
  features = whole((1, sizes.frames, sizes.feature_width), dtype)
  codes, history = whole((1, sizes.codes), jnp.int32), whole((1, takes, 0), jnp.int32)
  keys = whole((1, takes), jax.random.key(0).dtype)
  sampling = Sampling(*(whole((), kind) for kind in (jnp.float32, jnp.int32, jnp.float32, jnp.float32)))
  program = jax.jit(functools.partial(sample_codes, count=sizes.codes))
  with jax.set_mesh(mesh):
    return program.lower(model, features, features, codes, history, keys, sampling)


def least(config: TransformerConfig, dtype, takes: int) -> Least:
  """Of one device that holds all of the model and makes all takes."""
  model = nnx.eval_shape(lambda: registry.build("transformer", dataclasses.asdict(config), dtype=dtype, rngs=Keys(0)))
  weights = sum(x.size for x in jax.tree.leaves(nnx.state(model)))
  position = 2 * config.layers * config.width
  size = jnp.dtype(dtype).itemsize
  return Least(size * weights, size * position * config.prefix, size * position * takes * (config.codes - 1))


def _transformer(values: Mapping[str, Any], dtype, mesh: Mesh) -> nnx.Module:
  """The model that decodes, abstract, each parameter with the sharding of its rule."""
  build = lambda: registry.build("transformer", values["model"]["transformer"], dtype=dtype, rngs=Keys(0)).unstacked()
  graph, state = nnx.split(nnx.eval_shape(build))
  pure = {"transformer": nnx.to_pure_dict(state)}
  placed = sharding.parameter_shardings(pure, values["sharding"], mesh)
  nnx.replace_by_pure_dict(state, jax.tree.map(functools.partial(_placed, dtype), pure, placed)["transformer"])
  return nnx.merge(graph, state)


def _placed(dtype, x: jax.ShapeDtypeStruct, where: NamedSharding) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, dtype, sharding=where)
