"""Vector quantiser: nearest codebook entry, straight-through gradient (paper eq. 2)."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys

# Mean uses a step below which a running mean of latents says nothing.
_LEAST_COUNT = 1e-5


@dataclasses.dataclass(frozen=True)
class QuantizerConfig:
  """Codebook of `vocab` entries of `width` numbers.

  Attributes:
    vocab: entries.
    width: numbers in an entry.
    beta: weight of the smaller loss term.
    loss: `published` weighs the codebook term with beta (the authors' legacy order), `correct` the commitment term;
      `averages` has the commitment term alone, with beta, for entries that `CodeAverages` moves.
  """

  vocab: int
  width: int
  beta: float = 0.25
  loss: Literal["published", "correct", "averages"] = "correct"


class Quantized(NamedTuple):
  """z: [..., C] with straight-through gradient; codes: int32 [...]; loss: scalar; perplexity: scalar in [1, vocab]."""

  z: jax.Array
  codes: jax.Array
  loss: jax.Array
  perplexity: jax.Array


class Quantizer(nnx.Module):
  """Codebook with nearest-neighbour lookup; distances and losses in float32."""

  def __init__(self, config: QuantizerConfig, *, rngs: Keys):
    if config.loss not in ("published", "correct", "averages"):
      raise ValueError(f"quantizer loss is `published`, `correct` or `averages`, not `{config.loss}`")
    self.config = config
    bound = 1 / config.vocab
    self.codebook = nnx.Param(
      jax.random.uniform(rngs.params(), (config.vocab, config.width), minval=-bound, maxval=bound)
    )

  def nearest(self, z: jax.Array) -> jax.Array:
    """Index of the nearest entry, the first one on ties: float [..., C] -> int32 [...]."""
    z = z.astype(jnp.float32)
    book = self.codebook[...]
    squared = jnp.sum(z * z, -1, keepdims=True) + jnp.sum(book * book, -1)
    distance = squared - 2 * jnp.einsum("...c,vc->...v", z, book, precision="highest")
    return jnp.argmin(distance, -1).astype(jnp.int32)

  def lookup(self, codes: jax.Array) -> jax.Array:
    """Entries of int32 codes [...] -> float32 [..., C]."""
    return self.codebook[...][codes]

  def __call__(self, z: jax.Array) -> Quantized:
    """Quantises float [..., C]."""
    codes = self.nearest(z)
    entry = self.lookup(codes)
    z32 = z.astype(jnp.float32)
    commitment = jnp.mean((jax.lax.stop_gradient(entry) - z32) ** 2)
    codebook = jnp.mean((entry - jax.lax.stop_gradient(z32)) ** 2)
    on_latent, on_codebook = {
      "published": (1.0, self.config.beta),
      "correct": (self.config.beta, 1.0),
      "averages": (self.config.beta, 0.0),
    }[self.config.loss]
    loss = on_latent * commitment + on_codebook * codebook
    straight_through = z32 + jax.lax.stop_gradient(entry - z32)
    return Quantized(straight_through.astype(z.dtype), codes, loss, perplexity(codes, self.config.vocab))


def perplexity(codes: jax.Array, vocab: int) -> jax.Array:
  """exp(entropy) of how often each code is used, in [1, vocab]."""
  share = usage(codes, vocab) / codes.size
  return jnp.exp(-jnp.sum(share * jnp.log(share + 1e-10)))


def usage(codes: jax.Array, vocab: int) -> jax.Array:
  """How often each code is used: int32 [...] -> float32 [vocab]."""
  return jnp.zeros(vocab, jnp.float32).at[codes.ravel()].add(1.0)


class CodeState(nnx.Variable):
  """What codebooks remember between steps; not trained."""


class CodeRestarts(nnx.Module):
  """Moves codebook entries that nothing uses onto latents of the current batch (Dhariwal et al. 2020, sec. 3.2).

  Args:
    restart_below: uses a step below which an entry is moved.
    parts: of a step's batch that are observed one after the other.

  Attributes:
    usage: [V], running mean of uses a step.
    candidates: [V, C], latents drawn from the last part of a batch.
  """

  DECAY = 0.95

  def __init__(self, config: QuantizerConfig, restart_below: float, *, parts: int = 1):
    self.restart_below, self.parts = restart_below, parts
    self.vocab = config.vocab
    # Starts at 0, so that all but the entries in heavy use move onto the data at the first step.
    self.usage = CodeState(jnp.zeros(config.vocab))
    self.candidates = CodeState(jnp.zeros((config.vocab, config.width)))

  def observe(self, latent: jax.Array, codes: jax.Array, key: jax.Array) -> None:
    """Remembers how often codes were used and draws candidates from latents [..., C]."""
    flat = _flat(latent)
    drawn = jax.random.randint(key, (self.vocab,), 0, flat.shape[0])
    self.candidates[...] = flat[drawn]
    self.usage[...] = _mean(self.usage[...], usage(codes, self.vocab), self.DECAY, self.parts)

  def apply(self, quantizer: Quantizer) -> jax.Array:
    """Replaces the entries used less than `restart_below` times a step; which ones, bool [V]."""
    dead = self.usage[...] < self.restart_below
    quantizer.codebook[...] = jnp.where(dead[:, None], self.candidates[...], quantizer.codebook[...])
    self.usage[...] = jnp.where(dead, 1.0, self.usage[...])
    return dead


class CodeAverages(nnx.Module):
  """Keeps each entry at the running mean of the latents nearest to it (van den Oord et al. 2017, appendix A.1).

  Args:
    parts: as for `CodeRestarts`.

  Attributes:
    counts: [V], running mean of uses a step.
    sums: [V, C], running mean of the sum of the latents that used an entry.
  """

  DECAY = 0.99

  def __init__(self, quantizer: Quantizer, *, parts: int = 1):
    self.parts = parts
    # As if every entry had been used once, where it is: none moves before a latent comes to it.
    self.counts = CodeState(jnp.ones(quantizer.config.vocab))
    self.sums = CodeState(jnp.array(quantizer.codebook[...], copy=True))

  def observe(self, latent: jax.Array, codes: jax.Array) -> None:
    """Takes latents [..., C] in by the codes that they were given, int32 [...]."""
    flat, codes = _flat(latent), codes.ravel()
    sums = jnp.zeros_like(self.sums[...]).at[codes].add(flat)
    self.sums[...] = _mean(self.sums[...], sums, self.DECAY, self.parts)
    self.counts[...] = _mean(self.counts[...], usage(codes, len(self.counts)), self.DECAY, self.parts)

  def apply(self, quantizer: Quantizer) -> None:
    """Moves every entry to its mean; one that is not used any more stays where it is."""
    counts = self.counts[...][:, None]
    mean = self.sums[...] / jnp.maximum(counts, _LEAST_COUNT)
    quantizer.codebook[...] = jnp.where(counts > _LEAST_COUNT, mean, quantizer.codebook[...])

  def restart(self, moved: jax.Array, quantizer: Quantizer) -> None:
    """Begins anew at the entries that were moved by others, bool [V]."""
    self.counts[...] = jnp.where(moved, 1.0, self.counts[...])
    self.sums[...] = jnp.where(moved[:, None], quantizer.codebook[...], self.sums[...])


def _mean(before: jax.Array, seen: jax.Array, decay: float, parts: int) -> jax.Array:
  """Running mean of what is seen a step, which decays by `decay` a step, after another of a step's `parts`."""
  decay = decay ** (1 / parts)
  return decay * before + (1 - decay) * parts * seen


def _flat(latent: jax.Array) -> jax.Array:
  return jax.lax.stop_gradient(latent).reshape(-1, latent.shape[-1]).astype(jnp.float32)
