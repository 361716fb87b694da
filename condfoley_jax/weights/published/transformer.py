"""Published transformer weights (GPTFeats, keys relative to its module) in our names and shapes."""

import numpy as np

from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State, Tensors
from data_pipelines.errors import InputError

# Video frames of a published clip: the position table may be longer than what is read.
_FRAMES = 30


def config_from_torch(state: State, *, rows: int, columns: int, heads: int) -> TransformerConfig:
  """Sizes that the tensors tell.

  Args:
    state: tensors by name.
    rows, columns: grid of codes of a clip, from the permuter beside the transformer.
    heads: attention heads, which no tensor tells.

  Raises:
    ValueError: a tensor that tells one is missing or has another number of axes, or the position table is too short
      for condition and target.
    InputError: the width is no multiple of `heads`: nothing that the tensors could be blamed for.
  """
  _, positions, width = layers.shape(state, "pos_emb", 3)
  if width % heads:
    raise InputError(f"--heads {heads}: a width of {width} does not divide by it; give as many as it was trained with")
  codes = rows * columns
  # The last code of a clip is never fed, so a table may lack its place.
  if positions + 1 < 2 * (_FRAMES + codes):
    raise ValueError(
      f"{positions} positions do not hold two clips of {codes} codes and {_FRAMES} frames (a model without condition?)"
    )
  return TransformerConfig(
    frames=_FRAMES,
    code_rows=rows,
    code_columns=columns,
    vocab=layers.shape(state, "tok_emb.weight", 2)[0],
    layers=layers.stack(state, "blocks"),
    heads=heads,
    width=width,
    feature_width=layers.shape(state, "embedder.weight", 3)[1],
  )


def params_from_torch(state: State, config: TransformerConfig) -> State:
  """Maps PyTorch tensors to our flat parameters.

  Args:
    state: tensors by name; causal masks are dropped.
    config: gives the number of layers.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  with layers.taking(state, layers.shapes_of(Transformer, config)) as state:
    params = {
      "positions/table": _positions(state.pop("pos_emb", (1, None, config.width))[0], config.length),
      "tokens/embedding": state.pop_same("tok_emb.weight", "tokens/embedding"),
      **layers.linear(state, "head", "head"),
      **layers.linear(state, "embedder", "embedder"),
      **layers.norm(state, "ln_f", "norm"),
    }
    for layer in range(config.layers):
      params |= _block(state, f"blocks.{layer}", f"blocks/{layer}")
  return params


def _block(state: Tensors, source: str, target: str) -> State:
  state.drop(f"{source}.attn.mask")
  return {
    **layers.heads(state, [f"{source}.attn.{part}" for part in ("query", "key", "value")], f"{target}/attention/qkv"),
    **layers.linear(state, f"{source}.attn.proj", f"{target}/attention/out"),
    **layers.linear(state, f"{source}.mlp.0", f"{target}/mlp_in"),
    **layers.linear(state, f"{source}.mlp.2", f"{target}/mlp_out"),
    **layers.norm(state, f"{source}.ln1", f"{target}/attention_norm"),
    **layers.norm(state, f"{source}.ln2", f"{target}/mlp_norm"),
  }


def _positions(table: np.ndarray, length: int) -> np.ndarray:
  """The table [length, D] without the positions after the sequence, or with the last one, which nothing reads."""
  return np.pad(table[:length], ((0, max(0, length - len(table))), (0, 0)))
