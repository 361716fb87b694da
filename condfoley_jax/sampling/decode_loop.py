"""Samples the target codes one after another from a prefilled cache, in one scan."""

import dataclasses

import jax
import jax.numpy as jnp

from condfoley_jax.models.transformer import KVCache, Transformer
from condfoley_jax.sampling.logits import Sampling, sample
from condfoley_jax.shapes import Codes_BxL, Logits_BxV


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DecodeState:
  """What goes from one step to the next; every shape is fixed.

  Attributes:
    cache: keys and values of all positions before `position`.
    codes: int32 [B], the codes last drawn, not read yet.
    position: int32 scalar, where in the sequence they belong.
    keys: [B] typed keys, one per take, the same at every step.
  """

  cache: KVCache
  codes: jax.Array
  position: jax.Array
  keys: jax.Array


def decode(
  transformer: Transformer,
  logits: Logits_BxV,
  cache: KVCache,
  keys: jax.Array,
  sampling: Sampling,
  known: int,
  count: int,
) -> Codes_BxL:
  """Samples the target codes after the known ones.

  A code is drawn with its take's key folded with its position, so a take does not depend on the others in its batch,
  nor on how many codes were known.

  Args:
    transformer: the model.
    logits, cache: from `prefill`.
    keys: [B] typed keys, one per take.
    sampling: how to draw.
    known: target codes already read by `prefill`; static.
    count: how many to sample, L - known at most; static.

  Returns:
    Codes int32 [B, count].
  """
  config = transformer.config
  position = jnp.int32(config.prefix + known)
  first = _draw(logits, keys, position, sampling)

  def step(state: DecodeState, _):
    logits, cache = transformer.decode_step(state.codes, state.position, state.cache)
    position = state.position + 1
    codes = _draw(logits, state.keys, position, sampling)
    return DecodeState(cache, codes, position, state.keys), codes

  state = DecodeState(cache, first, position, keys)
  _, rest = jax.lax.scan(step, state, length=count - 1)
  return jnp.concatenate([first[:, None], rest.T], axis=1)


def _draw(logits, keys, position, sampling):
  return sample(logits, jax.vmap(jax.random.fold_in, (0, None))(keys, position), sampling)
