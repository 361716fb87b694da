"""Published transformer weights (GPTFeats, keys relative to its module) in our names and shapes."""

import numpy as np

from condfoley_jax.models.transformer import TransformerConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State


def params_from_torch(state: dict[str, np.ndarray], config: TransformerConfig) -> dict[str, np.ndarray]:
  """Maps PyTorch tensors to our flat parameters.

  Args:
    state: tensors by name; causal masks are dropped.
    config: gives the number of layers.

  Raises:
    KeyError: a tensor is missing.
    ValueError: tensors are left over.
  """
  state = {name: x for name, x in state.items() if not name.endswith("attn.mask")}
  params = {
    "positions/table": state.pop("pos_emb")[0],
    "tokens/embedding": state.pop("tok_emb.weight"),
    "head/kernel": state.pop("head.weight").T,
    **layers.linear(state, "embedder", "embedder"),
    **layers.norm(state, "ln_f", "norm"),
  }
  for layer in range(config.layers):
    params |= _block(state, f"blocks.{layer}", f"blocks/{layer}")
  layers.refuse_left_over(state)
  return params


def _block(state: State, source: str, target: str) -> State:
  return {
    **layers.fused(state, [f"{source}.attn.{part}" for part in ("query", "key", "value")], f"{target}/attention/qkv"),
    **layers.linear(state, f"{source}.attn.proj", f"{target}/attention/out"),
    **layers.linear(state, f"{source}.mlp.0", f"{target}/mlp_in"),
    **layers.linear(state, f"{source}.mlp.2", f"{target}/mlp_out"),
    **layers.norm(state, f"{source}.ln1", f"{target}/attention_norm"),
    **layers.norm(state, f"{source}.ln2", f"{target}/mlp_norm"),
  }
