"""Reads what all takes of a job share, in one pass."""

import jax
import jax.numpy as jnp

from condfoley_jax.models.transformer import Prefix, Transformer

# What guidance takes away.
_CONDITION = {"condition_codes": True, "condition_features": True}


def prefill(
  transformer: Transformer, condition: jax.Array, query: jax.Array, codes: jax.Array, *, guided: bool
) -> tuple[jax.Array, Prefix]:
  """Logits of the first target code, and the prefix to decode from.

  Args:
    transformer: the model.
    condition, query: features [J, T, feature_width].
    codes: int32 [J, L], the condition's.
    guided: also reads every job without its condition.

  Returns:
    Logits [J, V] and the prefix of J jobs; of 2J where guided, those without condition after the others.

  Raises:
    ValueError: guidance is asked of a model that never went without a condition.
  """
  given = condition, query, codes
  if guided:
    missing = transformer.replace(*given, _CONDITION)
    given = tuple(jnp.concatenate(both) for both in zip(given, missing, strict=True))
  return transformer.prefill(*given)
