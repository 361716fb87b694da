"""One layer of the transformer, read as a whole or position by position, and what training does with many of them."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INIT, TransformerConfig

# What the backward pass computes again, by the names of `TransformerConfig.remat`.
REMAT: dict[str, Callable] = {
  "none": lambda f: f,
  "dots": functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
  "full": jax.checkpoint,
}

# Queries that attention reads for at a time: a TPU's tile.
_QUERIES = 128

# Of one layer: what attention remembers of each position.
KeysValues: TypeAlias = tuple[jax.Array, jax.Array]


class Attention(nnx.Module):
  """Causal multi-head self-attention with one fused projection to queries, keys and values."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: Keys):
    # Heads are an axis of their own, so that a mesh can split them.
    self._head_width = config.width // config.heads
    sizes = (3, config.heads, self._head_width)
    self.qkv = nnx.LinearGeneral(config.width, sizes, kernel_init=INIT, dtype=dtype, rngs=rngs)
    self.out = nnx.Linear(config.width, config.width, kernel_init=INIT, dtype=dtype, rngs=rngs)

  def __call__(self, x_BxSxD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Output [B, S, D], and the keys and values [B, heads, S, E] of these positions."""
    q, k, v = jnp.moveaxis(_by_row(self.qkv, x_BxSxD), (2, 3), (0, 2))
    length = x_BxSxD.shape[1]
    # Queries in parts, so that hardly any of what lies in their future is computed.
    bounds = [*range(0, length, _QUERIES), length]
    attended = [self._attend(q, k, v, *span) for span in itertools.pairwise(bounds)]
    return self._project(jnp.concatenate(attended, axis=1)), k, v

  def _attend(self, q: jax.Array, k: jax.Array, v: jax.Array, start: int, end: int) -> jax.Array:
    """What the queries from `start` to `end` read, [B, Q, heads, E]."""
    scores = _scores("bhqe,bhse->bhqs", q[:, :, start:end], k[:, :, :end])
    weights = self._weights(scores, np.tri(end, dtype=bool)[start:], v.dtype)
    return jnp.einsum("bhqs,bhse->bqhe", weights, v[:, :, :end])

  def extend(
    self, x_JxBxQxD: jax.Array, prefix: KeysValues, suffix: KeysValues, index: jax.Array, reach: int
  ) -> tuple[jax.Array, KeysValues]:
    """The same for Q more positions of B takes of a prefix each: output [J, B, Q, D], and the suffix with them in it.

    Args:
      prefix: keys and values [J, heads, P, E], read by all B takes and never copied for them.
      suffix: of each take's own positions, [J, B, heads, room, E]; the new ones go to `index` and after.
      index: int32 scalar.
      reach: positions of the suffix that are looked at, `index` or more; static.
    """
    q, k, v = jnp.moveaxis(self.qkv(x_JxBxQxD), (3, 4), (0, 3))
    shared, new = prefix[0].shape[2], q.shape[3]
    old_k, old_v = (x[..., :reach, :] for x in suffix)
    scores = jnp.concatenate(
      [
        _scores("jbhqe,jhse->jbhqs", q, prefix[0]),
        _scores("jbhqe,jbhse->jbhqs", q, old_k),
        _scores("jbhqe,jbhse->jbhqs", q, k),
      ],
      axis=-1,
    )
    mask = [jnp.ones((new, shared), bool), jnp.tile(jnp.arange(reach) < index, (new, 1)), jnp.tri(new, dtype=bool)]
    weights = self._weights(scores, jnp.concatenate(mask, axis=1), v.dtype)
    of_prefix, of_suffix, of_new = jnp.split(weights, (shared, shared + reach), axis=-1)
    x = jnp.einsum("jbhqs,jhse->jbqhe", of_prefix, prefix[1])
    x += jnp.einsum("jbhqs,jbhse->jbqhe", of_suffix, old_v)
    x += jnp.einsum("jbhqs,jbhse->jbqhe", of_new, v)
    # What is read is what was there before: were it read after it is written to, a TPU would move all of it to its
    # fast memory and back.
    written = (
      jax.lax.dynamic_update_slice_in_dim(old, own, index, axis=3) for old, own in zip(suffix, (k, v), strict=True)
    )
    return self._project(x), tuple(written)

  def _weights(self, scores: jax.Array, mask: jax.Array, dtype) -> jax.Array:
    scores = scores * self._head_width**-0.5
    return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)).astype(dtype)

  def _project(self, x_xHxE: jax.Array) -> jax.Array:
    return _by_row(self.out, x_xHxE.reshape(*x_xHxE.shape[:-2], -1))


_scores = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


def _by_row(function: Callable[[jax.Array], jax.Array], x_xD: jax.Array) -> jax.Array:
  """A function of rows [N, D] at every position; XLA differentiates it much faster on a CPU than with more axes."""
  made = function(x_xD.reshape(-1, x_xD.shape[-1]))
  return made.reshape(*x_xD.shape[:-1], *made.shape[1:])


class Block(nnx.Module):
  """Pre-LN block: attention, then a 4x wide perceptron with exact GELU."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: Keys):
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

  def extend(
    self, x_JxBxQxD: jax.Array, prefix: KeysValues, suffix: KeysValues, index: jax.Array, reach: int
  ) -> tuple[jax.Array, KeysValues]:
    """As `Attention.extend`: output [J, B, Q, D], and the suffix with the new positions."""
    attended, suffix = self.attention.extend(self.attention_norm(x_JxBxQxD), prefix, suffix, index, reach)
    return self._mlp(x_JxBxQxD + attended), suffix

  def _mlp(self, x):
    perceptron = lambda x: self.mlp_out(jax.nn.gelu(self.mlp_in(x), approximate=False))
    return x + _by_row(perceptron, self.mlp_norm(x))


def stacked(blocks: Sequence[Block]) -> Block:
  """One block whose parameters have a leading axis of layers."""
  graph, *_ = nnx.split(blocks[0])
  return nnx.merge(graph, jax.tree.map(lambda *layers: jnp.stack(layers), *(nnx.state(b) for b in blocks)))


def unstacked(block: Block, layers: int) -> list[Block]:
  """The blocks that `stacked` was given."""
  graph, state = nnx.split(block)
  return [nnx.merge(graph, jax.tree.map(lambda x, i=i: x[i], state)) for i in range(layers)]
