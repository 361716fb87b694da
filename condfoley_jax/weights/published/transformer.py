"""Published transformer weights (GPTFeats, keys relative to its module) in our names and shapes."""

import numpy as np

from condfoley_jax.models.transformer import TransformerConfig


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
    "embedder/kernel": state.pop("embedder.weight")[..., 0].T,
    "embedder/bias": state.pop("embedder.bias"),
    **_norm(state, "ln_f", "norm"),
  }
  for layer in range(config.layers):
    params |= _block(state, f"blocks.{layer}", f"blocks/{layer}")
  if state:
    raise ValueError(f"tensors left over: {', '.join(sorted(state))}")
  return params


def _block(state, source: str, target: str) -> dict[str, np.ndarray]:
  parts = [_linear(state, f"{source}.attn.{part}", "qkv") for part in ("query", "key", "value")]
  qkv = {f"{target}/attention/{name}": np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
  return {
    **qkv,
    **_linear(state, f"{source}.attn.proj", f"{target}/attention/out"),
    **_linear(state, f"{source}.mlp.0", f"{target}/mlp_in"),
    **_linear(state, f"{source}.mlp.2", f"{target}/mlp_out"),
    **_norm(state, f"{source}.ln1", f"{target}/attention_norm"),
    **_norm(state, f"{source}.ln2", f"{target}/mlp_norm"),
  }


def _linear(state, source: str, target: str) -> dict[str, np.ndarray]:
  return {f"{target}/kernel": state.pop(f"{source}.weight").T, f"{target}/bias": state.pop(f"{source}.bias")}


def _norm(state, source: str, target: str) -> dict[str, np.ndarray]:
  return {f"{target}/scale": state.pop(f"{source}.weight"), f"{target}/bias": state.pop(f"{source}.bias")}
