"""One layer of the transformer, read as a whole or position by position, and what training does with many of them."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.sequence import INIT, TransformerConfig

# What the backward pass computes again, by the names of `TransformerConfig.remat`.
REMAT: dict[str, Callable] = {
  "none": lambda f: f,
  "dots": functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
  "full": jax.checkpoint,
}


class Attention(nnx.Module):
  """Causal multi-head self-attention with one fused projection to queries, keys and values."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
    # Heads are an axis of their own, so that a mesh can split them.
    sizes = (3, config.heads, config.width // config.heads)
    self.qkv = nnx.LinearGeneral(config.width, sizes, kernel_init=INIT, dtype=dtype, rngs=rngs)
    self.out = nnx.Linear(config.width, config.width, kernel_init=INIT, dtype=dtype, rngs=rngs)

  def __call__(self, x_BxSxD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Output [B, S, D], and the keys and values [B, heads, S, E] of these positions."""
    q, k, v = self._project(x_BxSxD)
    length = x_BxSxD.shape[1]
    return self._attend(q, k, v, np.tri(length, dtype=bool)), k, v

  def step(self, x_Bx1xD: jax.Array, keys: jax.Array, values: jax.Array, position: jax.Array):
    """The same for one position, whose key and value are written into the cache: output, keys, values."""
    q, k, v = self._project(x_Bx1xD)
    keys = jax.lax.dynamic_update_slice_in_dim(keys, k, position, axis=2)
    values = jax.lax.dynamic_update_slice_in_dim(values, v, position, axis=2)
    return self._attend(q, keys, values, jnp.arange(keys.shape[2])[None] <= position), keys, values

  def _project(self, x_BxSxD):
    return jnp.moveaxis(self.qkv(x_BxSxD), (2, 3), (0, 2))

  def _attend(self, q, k, v, mask_QxS):
    scores = jnp.einsum("bhqe,bhse->bhqs", q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
    weights = jax.nn.softmax(jnp.where(mask_QxS, scores, -jnp.inf)).astype(v.dtype)
    x = jnp.einsum("bhqs,bhse->bqhe", weights, v)
    return self.out(x.reshape(*x.shape[:2], -1))


class Block(nnx.Module):
  """Pre-LN block: attention, then a 4x wide perceptron with exact GELU."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
    linear = functools.partial(nnx.Linear, kernel_init=INIT, dtype=dtype, rngs=rngs)
    self.attention_norm = nnx.LayerNorm(config.width, epsilon=1e-5, dtype=dtype, rngs=rngs)
    self.attention = Attention(config, dtype=dtype, rngs=rngs)
    self.mlp_norm = nnx.LayerNorm(config.width, epsilon=1e-5, dtype=dtype, rngs=rngs)
    self.mlp_in = linear(config.width, 4 * config.width)
    self.mlp_out = linear(4 * config.width, config.width)

  def __call__(self, x_BxSxD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Output [B, S, D], and the keys and values of these positions."""
    attended, keys, values = self.attention(self.attention_norm(x_BxSxD))
    return self._mlp(x_BxSxD + attended), keys, values

  def step(self, x_Bx1xD: jax.Array, keys: jax.Array, values: jax.Array, position: jax.Array):
    """The same for one position: output [B, 1, D], and the updated keys and values of the cache."""
    attended, keys, values = self.attention.step(self.attention_norm(x_Bx1xD), keys, values, position)
    return self._mlp(x_Bx1xD + attended), keys, values

  def _mlp(self, x):
    return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=False))


def stacked(blocks: Sequence[Block]) -> Block:
  """One block whose parameters have a leading axis of layers."""
  graph, *_ = nnx.split(blocks[0])
  return nnx.merge(graph, jax.tree.map(lambda *layers: jnp.stack(layers), *(nnx.state(b) for b in blocks)))


def unstacked(block: Block, layers: int) -> list[Block]:
  """The blocks that `stacked` was given."""
  graph, state = nnx.split(block)
  return [nnx.merge(graph, jax.tree.map(lambda x, i=i: x[i], state)) for i in range(layers)]
