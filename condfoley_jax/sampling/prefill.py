"""Reads what all takes of a job share, in one pass."""

import jax
import jax.numpy as jnp

from condfoley_jax.models.sequence import INPUTS
from condfoley_jax.models.transformer import Prefix, Transformer

# What guidance takes away.
_ALL = dict.fromkeys(INPUTS, True)


def prefill(
  transformer: Transformer, condition: jax.Array, query: jax.Array, codes: jax.Array, *, guided: bool
) -> tuple[jax.Array, Prefix]:
  """Logits of the first target code, and the prefix to decode from.

  Args:
    transformer: the model.
    condition, query: features [J, T, feature_width].
    codes: int32 [J, L], the condition's.
    guided: also reads every job with nothing given.

  Returns:
    Logits [J, V] and the prefix of J jobs; of 2J where guided, those with nothing given after the others.

  Raises:
    ValueError: guidance is asked of a model that never went without its inputs.
  """
  given = condition, query, codes
  if guided:
    missing = transformer.replace(*given, _ALL)
    given = tuple(jnp.concatenate(both) for both in zip(given, missing, strict=True))
  return transformer.prefill(*given)
