"""Reads all that is known before sampling starts, in one pass."""

from condfoley_jax.models.transformer import KVCache, Transformer
from condfoley_jax.shapes import Codes_BxL, Features_BxTxD, Logits_BxV


def prefill(
  transformer: Transformer, condition_features: Features_BxTxD, query_features: Features_BxTxD, codes: Codes_BxL
) -> tuple[Logits_BxV, KVCache]:
  """Logits of the first unknown target code, and the cache to decode from.

  Args:
    transformer: the model.
    condition_features, query_features: [B, T, feature_width].
    codes: int32 [B, L + known]: condition codes, then the target codes known from the window before.

  Raises:
    ValueError: there are fewer codes than the condition's, or no unknown one is left.
  """
  condition, given = transformer.config.codes, codes.shape[1]
  if not condition <= given < 2 * condition:
    raise ValueError(f"prefill takes {condition} condition codes and fewer than {condition} target codes, not {given}")
  return transformer.prefill(condition_features, query_features, codes)
