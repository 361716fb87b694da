"""From logits to codes: temperature, top-k, top-p and min-p, with one key per take."""

import dataclasses

import jax
import jax.numpy as jnp

from condfoley_jax.shapes import Logits_BxV


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sampling:
  """How a code is drawn. The values are traced: changing them never recompiles, but for guidance to or from None.

  Attributes:
    temperature: divides the logits; 0 takes the most likely code.
    top_k: keeps the k largest logits and whatever ties with the last of them; 0 or less keeps all.
    top_p: of those, keeps the fewest most likely codes whose probabilities reach p, and whatever ties with the last of
      them; 1 or more keeps all.
    min_p: of those, keeps the codes that are at least this share as likely as the likeliest; 0 keeps all.
    guidance: how far logits are moved from those of a model that is given nothing, neither condition nor query, to
      those with both (classifier-free guidance, Ho and Salimans 2022): 0 is without, 1 with, more than 1 beyond. None
      reads what is given alone, in half the time.
  """

  temperature: float | jax.Array = 1.0
  top_k: int | jax.Array = 0
  top_p: float | jax.Array = 1.0
  min_p: float | jax.Array = 0.0
  guidance: float | jax.Array | None = None


def sample(logits: Logits_BxV, keys: jax.Array, sampling: Sampling) -> jax.Array:
  """Draws one code per take.

  Args:
    logits: float32 [B, V].
    keys: [B] typed keys, one per take.
    sampling: how to draw.

  Returns:
    Codes int32 [B].
  """
  codes = jax.lax.cond(jnp.asarray(sampling.temperature) > 0, _draw, _most_likely, logits, keys, sampling)
  return codes.astype(jnp.int32)


def guide(given: jax.Array, missing: jax.Array, guidance: jax.Array) -> jax.Array:
  """Logits moved from those where everything is `missing` towards, or beyond, those where it is `given`."""
  return missing + guidance * (given - missing)


def filter_logits(logits: Logits_BxV, sampling: Sampling) -> Logits_BxV:
  """Divides by a temperature above 0 and sets what the limits leave out to -inf; float32 [B, V]."""
  logits = logits / sampling.temperature
  limited = (jnp.asarray(sampling.top_k) > 0) | (jnp.asarray(sampling.top_p) < 1) | (jnp.asarray(sampling.min_p) > 0)
  return jax.lax.cond(limited, _limit, lambda logits, _: logits, logits, sampling)


def _limit(logits, sampling):
  # One descending sort serves all limits.
  ranked = jnp.sort(logits, axis=-1, descending=True)
  vocab = logits.shape[-1]
  last = jnp.where(jnp.asarray(sampling.top_k) > 0, jnp.minimum(sampling.top_k, vocab), vocab) - 1
  kept = ranked >= jnp.take(ranked, last, axis=-1)[:, None]
  probabilities = jax.nn.softmax(jnp.where(kept, ranked, -jnp.inf), axis=-1)
  before = jnp.cumsum(probabilities, axis=-1) - probabilities
  kept &= (before < sampling.top_p) | (jnp.asarray(sampling.top_p) >= 1)
  kept &= probabilities >= sampling.min_p * probabilities[:, :1]
  # The most likely code stays whatever the limits are.
  smallest = jnp.where(kept.at[:, 0].set(True), ranked, jnp.inf).min(axis=-1, keepdims=True)
  return jnp.where(logits >= smallest, logits, -jnp.inf)


def _draw(logits, keys, sampling):
  return jax.vmap(jax.random.categorical)(keys, filter_logits(logits, sampling))


def _most_likely(logits, keys, sampling):
  del keys, sampling
  return jnp.argmax(logits, axis=-1)
