"""Decoder-only transformer over [condition frames | query frames | condition codes | target codes] (paper sec. 3.2)."""

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.block import REMAT, Block, KeysValues, stacked, unstacked
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import (
  INIT,
  BothTokens,
  CodebookTokens,
  GridPositions,
  LearnedPositions,
  StandIns,
  TransformerConfig,
  grid_slots,
)
from condfoley_jax.partition import split_batch
from condfoley_jax.shapes import Codes_BxL, Features_BxTxD


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Prefix:
  """What all takes of one query and example share; no take has a copy of it.

  Attributes:
    layers: keys and values [J, heads, P, E] of each layer, of [condition frames | query frames | condition codes].
    offsets: [J, L - 1, D], what is added to the token at each position of a target code; [1, L - 1, D] where it is
      the same for all J.
  """

  layers: tuple[KeysValues, ...]
  offsets: jax.Array


# Keys and values [J, B, heads, room, E] of each layer, of the target codes that each take has read.
Suffix: TypeAlias = tuple[KeysValues, ...]


class Transformer(nnx.Module):
  """Predicts the codes of a query clip's sound from its frames and a condition clip's frames and codes.

  All parts are causal, frames included. Logits are float32; position p predicts the token at p + 1.
  """

  def __init__(self, config: TransformerConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.embedder = nnx.Linear(config.feature_width, config.width, kernel_init=INIT, dtype=dtype, rngs=rngs)
    if config.audio_token == "learned":
      self.tokens = nnx.Embed(config.vocab, config.width, embedding_init=INIT, dtype=dtype, rngs=rngs)
    else:
      kind = CodebookTokens if config.audio_token == "codebook" else BothTokens
      self.tokens = kind(config, dtype=dtype, rngs=rngs)
    if config.stand_ins:
      self.stand_ins = StandIns(config, rngs=rngs)
    positions = LearnedPositions if config.positions == "learned" else GridPositions
    self.positions = positions(config, rngs=rngs)
    if config.aligned_frames:
      self.aligned = nnx.Linear(config.feature_width, config.width, kernel_init=INIT, dtype=dtype, rngs=rngs)
    blocks = [Block(config, dtype=dtype, rngs=rngs) for _ in range(config.layers)]
    self.blocks = stacked(blocks) if config.scan_layers else nnx.List(blocks)
    self.norm = nnx.LayerNorm(config.width, epsilon=1e-5, dtype=dtype, rngs=rngs)
    # In bfloat16 logits of like codes would be the same.
    exact = {"dtype": dtype, "preferred_element_type": jnp.float32}
    self.head = nnx.Linear(config.width, config.vocab, use_bias=False, kernel_init=INIT, **exact, rngs=rngs)

  def set_codebook(self, codebook_VxC: jax.Array) -> None:
    """Copies the VQGAN's codebook, float [V, codebook_width], in; at unit variance where tokens are `both`.

    Raises:
      ValueError: the model has learned audio tokens, or the codebook another shape.
    """
    if self.config.audio_token == "learned":
      raise ValueError("a transformer with learned audio tokens has no codebook")
    have = self.tokens.codebook
    if codebook_VxC.shape != have.shape:
      raise ValueError(f"the codebook is {codebook_VxC.shape}, expected {have.shape}")
    book = jnp.asarray(codebook_VxC, jnp.float32)
    if self.config.audio_token == "both":
      # However wide it lies, so that what it gives is neither drowned by the codes' own table nor drowns it.
      book -= book.mean(0)
      book /= jnp.sqrt(jnp.mean(book**2))
    have[...] = book

  def replace(
    self,
    condition_features: Features_BxTxD,
    query_features: Features_BxTxD,
    codes: Codes_BxL,
    missing: Mapping[str, jax.Array | bool],
  ) -> tuple[Features_BxTxD, Features_BxTxD, Codes_BxL]:
    """The same inputs, with stand-ins where `missing`, by names of `INPUTS`, says so (bool [B] or for all).

    Codes that are missing are V, the first number that is no code; every method that reads codes knows it. So does
    nothing of how a model is called depend on what it is given: training drops inputs, guidance compares with and
    without, by changing what goes in.

    Raises:
      ValueError: the model has no stand-ins.
    """
    if not self.config.stand_ins:
      raise ValueError("this transformer has no stand-ins for inputs that are missing")
    rows = codes.shape[0]
    where = lambda name: jnp.broadcast_to(jnp.asarray(missing.get(name, False)), rows)
    swap = lambda name, x: jnp.where(where(name)[:, None, None], getattr(self.stand_ins, name)[...].astype(x.dtype), x)
    condition = np.arange(codes.shape[1]) < self.config.codes
    codes = jnp.where(where("condition_codes")[:, None] & condition, self.config.vocab, codes)
    return swap("condition_features", condition_features), swap("query_features", query_features), codes

  def __call__(self, condition_features: Features_BxTxD, query_features: Features_BxTxD, codes: Codes_BxL) -> jax.Array:
    """Logits [B, 2T + n, V] at every position fed.

    Args:
      condition_features, query_features: [B, T, feature_width].
      codes: int32 [B, n], n <= 2L - 1: condition codes, then target codes.

    Raises:
      ValueError: a length does not fit the config.
    """
    return self._logits(self._hidden(condition_features, query_features, codes))

  def target_logits(
    self, condition_features: Features_BxTxD, query_features: Features_BxTxD, codes: Codes_BxL
  ) -> jax.Array:
    """Logits [B, n - L + 1, V] of the target codes alone: with n = 2L - 1 codes fed, those of all L."""
    x_BxSxD = self._hidden(condition_features, query_features, codes)
    return self._logits(x_BxSxD[:, self.config.prefix - 1 :])

  def computed_as(self, config: TransformerConfig) -> "Transformer":
    """The same model with blocks one by one or as one, and computed again, as `config` says.

    Raises:
      ValueError: it is of other sizes.
    """
    have, wanted = dataclasses.asdict(self.config), dataclasses.asdict(config)
    for name in have.keys() - {"scan_layers", "remat"}:
      if have[name] != wanted[name]:
        raise ValueError(f"the transformer's {name} is {have[name]}, not {wanted[name]}")
    same = nnx.clone(self)
    same.config = config
    if self.config.scan_layers and not config.scan_layers:
      same.blocks = nnx.List(unstacked(self.blocks, config.layers))
    if config.scan_layers and not self.config.scan_layers:
      same.blocks = stacked(self.blocks)
    return same

  def unstacked(self) -> "Transformer":
    """The same model with a list of blocks and nothing computed again: what is saved, and what decodes."""
    return self.computed_as(dataclasses.replace(self.config, scan_layers=False, remat="none"))

  def prefill(
    self, condition_features: jax.Array, query_features: jax.Array, codes: jax.Array
  ) -> tuple[jax.Array, Prefix]:
    """Logits [J, V] of the first target code, and the prefix to go on from with `extend`.

    Args:
      condition_features, query_features: [J, T, feature_width].
      codes: int32 [J, L], the condition's.

    Raises:
      ValueError: a length does not fit the config.
    """
    if codes.shape[1] != self.config.codes:
      raise ValueError(f"prefill reads the {self.config.codes} codes of a condition, not {codes.shape[1]}")
    x_JxPxD, offsets = self._embed(condition_features, query_features, codes)
    layers = []
    for block in self.blocks:
      x_JxPxD, keys, values = block(x_JxPxD)
      layers.append((keys, values))
    return self._logits(x_JxPxD[:, -1]), Prefix(tuple(layers), offsets[:, self.config.prefix :])

  def empty_suffix(self, jobs: int, takes: int, room: int) -> Suffix:
    """Room for so many target codes of `takes` takes of each of `jobs` prefixes."""
    shape = (jobs, takes, self.config.heads, room, self.config.width // self.config.heads)
    return tuple((jnp.zeros(shape, self.head.dtype), jnp.zeros(shape, self.head.dtype)) for _ in self.blocks)

  def extend(
    self, codes_JxBxQ: jax.Array, index: jax.Array, prefix: Prefix, suffix: Suffix, reach: int
  ) -> tuple[jax.Array, Suffix]:
    """Reads Q more target codes of each take.

    Args:
      codes_JxBxQ: int32.
      index: int32 scalar, of the first of them among the target codes; the last is below L - 1.
      prefix: of the J jobs.
      suffix: with the codes before `index`, and room for these.
      reach: positions of the suffix that are looked at: `index` or more, the fewer the sooner done; static.

    Returns:
      Logits [J, B, V] of the code after them, and the suffix with them.
    """
    offsets = jax.lax.dynamic_slice_in_dim(prefix.offsets, index, codes_JxBxQ.shape[2], axis=1)
    x = self.tokens(codes_JxBxQ) + offsets[:, None]
    layers = []
    for block, shared, own in zip(self.blocks, prefix.layers, suffix, strict=True):
      x, own = block.extend(x, shared, own, index, reach)
      layers.append(own)
    return self._logits(x[:, :, -1]), tuple(layers)

  def _hidden(self, condition_features, query_features, codes) -> jax.Array:
    """Output [B, S, D] of the last block."""
    x_BxSxD, _ = self._embed(condition_features, query_features, codes)

    def layer(x: jax.Array, block: tuple) -> tuple[jax.Array, None]:
      # Split along the batch at every layer: weights come to the data, not the other way round.
      return split_batch(nnx.merge(*block)(x)[0]), None

    layer = REMAT[self.config.remat](layer)
    if self.config.scan_layers:
      graph, states = nnx.split(self.blocks)
      return jax.lax.scan(lambda x, state: layer(x, (graph, state)), x_BxSxD, states)[0]
    for block in self.blocks:
      x_BxSxD, _ = layer(x_BxSxD, nnx.split(block))
    return x_BxSxD

  def _embed(self, condition_features, query_features, codes) -> tuple[jax.Array, jax.Array]:
    """Input [B, S, D] of the first block, and what was added to the tokens of all positions."""
    self._check(condition_features, query_features, codes)
    if self.config.absent:
      absent = dict.fromkeys(self.config.absent, True)
      condition_features, query_features, codes = self.replace(condition_features, query_features, codes, absent)
    features_Bx2TxDf = jnp.concatenate([condition_features, query_features], axis=1)
    offsets = self._offsets(features_Bx2TxDf)
    x_BxSxD = jnp.concatenate([self.embedder(features_Bx2TxDf), self._tokens(codes)], axis=1)
    return split_batch(x_BxSxD + offsets[:, : x_BxSxD.shape[1]]), offsets

  def _tokens(self, codes: Codes_BxL) -> jax.Array:
    """Embeddings [B, n, D] of codes, those of V being the stand-in of the condition's."""
    if not self.config.stand_ins:
      return self.tokens(codes)
    embedded = self.tokens(jnp.minimum(codes, self.config.vocab - 1))
    stand_in = self.stand_ins.condition_codes[...].astype(embedded.dtype)
    return jnp.where((codes == self.config.vocab)[..., None], stand_in, embedded)

  def _offsets(self, features_Bx2TxDf) -> jax.Array:
    offsets = self.positions()[None].astype(self.head.dtype)
    if not self.config.aligned_frames:
      return offsets
    segment, time, _ = grid_slots(self.config)
    frames = 2 * self.config.frames
    seen = self.aligned(features_Bx2TxDf)[:, (segment * self.config.frames + time)[frames:]]
    return offsets + jnp.pad(seen, ((0, 0), (frames, 0), (0, 0)))

  def _check(self, condition_features, query_features, codes) -> None:
    frames, most = self.config.frames, 2 * self.config.codes - 1
    given = (condition_features.shape[1], query_features.shape[1])
    if given != (frames, frames):
      raise ValueError(f"condition and query have {given[0]} and {given[1]} frames, expected {frames}")
    if codes.shape[1] > most:
      raise ValueError(f"{codes.shape[1]} codes are more than the {most} that can be read")

  def _logits(self, x) -> jax.Array:
    x = self.norm(x)
    logits = self.head(x)
    if self.config.audio_token == "both":
      logits += self.tokens.alike(x)
    return logits
