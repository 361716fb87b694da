"""Decoder-only transformer over [condition frames | query frames | condition codes | target codes] (paper sec. 3.2)."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.partition import split_batch
from condfoley_jax.shapes import Codes_BxL, Features_BxTxD, Logits_BxV

_INIT = nnx.initializers.normal(0.02)
_REMAT = {
  "none": lambda f: f,
  "dots": functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
  "full": jax.checkpoint,
}
# What the model reads besides the target's codes.
INPUTS = ("condition_codes", "condition_features", "query_features")


class Frozen(nnx.Variable):
  """Saved with the weights but never trained."""


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
  """Sizes of the transformer.

  Attributes:
    frames: video frames T of a clip.
    code_rows, code_columns: grid of codes of a clip.
    vocab: entries V of the codebook.
    layers, heads, width: of the transformer; width is D.
    feature_width: width of the video features.
    audio_token: `learned` embeds a code by a table of its own (the published system), `codebook` projects the
      quantised vector of the VQGAN's codebook (the paper's text).
    codebook_width: width of that vector; read only where audio_token is `codebook`.
    positions: `learned` is one table over the whole sequence (published), `grid` sums tables of segment, time and row.
    aligned_frames: adds to each code the features of the frame that the code it predicts sounds with, so that the model
      need not first learn which frame that is.
    stand_ins: holds a learned vector for each of `INPUTS`, to take the place of one that is not given (see `replace`).
    absent: those of `INPUTS` that are never given: whatever comes in their place is replaced. For ablations; needs
      stand_ins.
    scan_layers: holds the blocks as one, with a leading axis of layers, and scans over them: a large model compiles in
      the time of one layer. For training; `unstacked` is what decodes.
    remat: what the backward pass computes again: `none`, all but the products with weights (`dots`), or all of a
      block (`full`).
  """

  frames: int
  code_rows: int
  code_columns: int
  vocab: int
  layers: int
  heads: int
  width: int
  feature_width: int
  audio_token: Literal["learned", "codebook"] = "learned"
  codebook_width: int = 256
  positions: Literal["learned", "grid"] = "learned"
  aligned_frames: bool = False
  stand_ins: bool = False
  absent: tuple[str, ...] = ()
  scan_layers: bool = False
  remat: Literal["none", "dots", "full"] = "none"

  def __post_init__(self):
    if self.width % self.heads:
      raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
    if self.audio_token not in ("learned", "codebook"):
      raise ValueError(f"audio_token must be learned or codebook, not {self.audio_token}")
    if self.positions not in ("learned", "grid"):
      raise ValueError(f"positions must be learned or grid, not {self.positions}")
    if unknown := set(self.absent) - set(INPUTS):
      raise ValueError(f"absent names some of {', '.join(INPUTS)}, not {unknown.pop()}")
    if self.absent and not self.stand_ins:
      raise ValueError("what is absent has a stand-in: absent needs stand_ins")
    if self.remat not in _REMAT:
      raise ValueError(f"remat is one of {', '.join(_REMAT)}, not {self.remat}")

  @property
  def codes(self) -> int:
    """Codes L of a clip."""
    return self.code_rows * self.code_columns

  @property
  def prefix(self) -> int:
    """Positions of [condition frames | query frames | condition codes]."""
    return 2 * self.frames + self.codes

  @property
  def length(self) -> int:
    """Positions of the whole sequence."""
    return self.prefix + self.codes

  @property
  def fed(self) -> int:
    """Positions that the model reads: all but the last code, which predicts nothing."""
    return self.length - 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KVCache:
  """What decoding remembers; every shape is fixed.

  Attributes:
    keys: `layers` arrays [B, heads, fed, head width]; positions not read yet are zeros.
    values: the same of the values.
    offsets: [B, fed, D], what is added to the token at each position; [1, fed, D] where all takes share it.
  """

  keys: tuple[jax.Array, ...]
  values: tuple[jax.Array, ...]
  offsets: jax.Array


class CodebookTokens(nnx.Module):
  """Embeds a code by projecting its vector of the VQGAN's codebook."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
    self.codebook = Frozen(jnp.zeros((config.vocab, config.codebook_width), jnp.float32))
    self.projection = nnx.Linear(config.codebook_width, config.width, kernel_init=_INIT, dtype=dtype, rngs=rngs)

  def __call__(self, codes: jax.Array) -> jax.Array:
    """codes [...] -> [..., D]."""
    return self.projection(jnp.take(self.codebook[...], codes, axis=0))


class StandIns(nnx.Module):
  """A learned vector in place of each input that is not given: of a token, and of the features of a frame."""

  def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
    self.condition_codes = nnx.Param(_INIT(rngs.params(), (config.width,)))
    self.condition_features = nnx.Param(_INIT(rngs.params(), (config.feature_width,)))
    self.query_features = nnx.Param(_INIT(rngs.params(), (config.feature_width,)))


class LearnedPositions(nnx.Module):
  """One vector per position of the sequence."""

  def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
    del rngs
    self.table = nnx.Param(jnp.zeros((config.length, config.width), jnp.float32))

  def __call__(self) -> jax.Array:
    """Embeddings [fed, D]."""
    return self.table[:-1]


class GridPositions(nnx.Module):
  """Sum of a segment, a time and a row vector: a code and the frame it sounds with share segment and time."""

  def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs):
    self.config = config
    self.segment = nnx.Param(_INIT(rngs.params(), (2, config.width)))
    self.time = nnx.Param(_INIT(rngs.params(), (config.frames, config.width)))
    self.row = nnx.Param(_INIT(rngs.params(), (config.code_rows + 1, config.width)))

  def __call__(self) -> jax.Array:
    """Embeddings [fed, D]."""
    segment, time, row = grid_slots(self.config)
    return self.segment[...][segment] + self.time[...][time] + self.row[...][row]


@functools.cache
def grid_slots(config: TransformerConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Segment, time and row index of every position that is fed, int32 [fed] each.

  Segment 0 is the condition, 1 the target; a time slot is a video frame; row `code_rows` is that of frames. A code's
  position carries the slot of the code that it predicts, so the last condition code carries the first target slot.
  """
  frame = np.tile(np.arange(config.frames), 2)
  predicted = np.arange(1, 2 * config.codes)
  column = predicted % config.codes // config.code_rows
  segment = np.concatenate([np.repeat([0, 1], config.frames), predicted // config.codes])
  time = np.concatenate([frame, ((column + 0.5) * config.frames / config.code_columns).astype(int)])
  row = np.concatenate([np.full_like(frame, config.code_rows), predicted % config.code_rows])
  return segment.astype(np.int32), time.astype(np.int32), row.astype(np.int32)


class Attention(nnx.Module):
  """Causal multi-head self-attention with one fused projection to queries, keys and values."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
    # Heads are an axis of their own, so that a mesh can split them.
    sizes = (3, config.heads, config.width // config.heads)
    self.qkv = nnx.LinearGeneral(config.width, sizes, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.out = nnx.Linear(config.width, config.width, kernel_init=_INIT, dtype=dtype, rngs=rngs)

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
    linear = functools.partial(nnx.Linear, kernel_init=_INIT, dtype=dtype, rngs=rngs)
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


def _stacked(blocks: list[Block]) -> Block:
  """One block whose parameters have a leading axis of layers."""
  graph, *_ = nnx.split(blocks[0])
  return nnx.merge(graph, jax.tree.map(lambda *layers: jnp.stack(layers), *(nnx.state(b) for b in blocks)))


class Transformer(nnx.Module):
  """Predicts the codes of a query clip's sound from its frames and a condition clip's frames and codes.

  All parts are causal, frames included. Logits are float32; position p predicts the token at p + 1.
  """

  def __init__(self, config: TransformerConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
    self.config = config
    self.embedder = nnx.Linear(config.feature_width, config.width, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    if config.audio_token == "learned":
      self.tokens = nnx.Embed(config.vocab, config.width, embedding_init=_INIT, dtype=dtype, rngs=rngs)
    else:
      self.tokens = CodebookTokens(config, dtype=dtype, rngs=rngs)
    if config.stand_ins:
      self.stand_ins = StandIns(config, rngs=rngs)
    positions = LearnedPositions if config.positions == "learned" else GridPositions
    self.positions = positions(config, rngs=rngs)
    if config.aligned_frames:
      self.aligned = nnx.Linear(config.feature_width, config.width, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    blocks = [Block(config, dtype=dtype, rngs=rngs) for _ in range(config.layers)]
    self.blocks = _stacked(blocks) if config.scan_layers else nnx.List(blocks)
    self.norm = nnx.LayerNorm(config.width, epsilon=1e-5, dtype=dtype, rngs=rngs)
    self.head = nnx.Linear(config.width, config.vocab, use_bias=False, kernel_init=_INIT, dtype=dtype, rngs=rngs)

  def set_codebook(self, codebook_VxC: jax.Array) -> None:
    """Copies the VQGAN's codebook, float [V, codebook_width], in.

    Raises:
      ValueError: the model has learned audio tokens, or the codebook another shape.
    """
    if self.config.audio_token != "codebook":
      raise ValueError("a transformer with learned audio tokens has no codebook")
    have = self.tokens.codebook
    if codebook_VxC.shape != have.shape:
      raise ValueError(f"the codebook is {codebook_VxC.shape}, expected {have.shape}")
    have[...] = jnp.asarray(codebook_VxC, jnp.float32)

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

  def unstacked(self) -> "Transformer":
    """The same model with a list of blocks and nothing computed again: what is saved, and what decodes."""
    config = dataclasses.replace(self.config, scan_layers=False, remat="none")
    plain = nnx.clone(self)
    plain.config = config
    if self.config.scan_layers:
      graph, stacked = nnx.split(self.blocks)
      layers = [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(config.layers)]
      plain.blocks = nnx.List([nnx.merge(graph, layer) for layer in layers])
    return plain

  def prefill(
    self, condition_features: Features_BxTxD, query_features: Features_BxTxD, codes: Codes_BxL
  ) -> tuple[Logits_BxV, KVCache]:
    """Logits [B, V] at the last position fed, and the cache to go on from it with `decode_step`."""
    x_BxSxD, cache = self._read(condition_features, query_features, codes)
    room = ((0, 0), (0, 0), (0, self.config.fed - x_BxSxD.shape[1]), (0, 0))
    keys, values = jax.tree.map(lambda x: jnp.pad(x, room), (cache.keys, cache.values))
    return self._logits(x_BxSxD[:, -1]), KVCache(keys, values, cache.offsets)

  def decode_step(self, codes: jax.Array, position: jax.Array, cache: KVCache) -> tuple[Logits_BxV, KVCache]:
    """Reads one code per take.

    Args:
      codes: int32 [B].
      position: int32 scalar, where in the sequence they are: 2T + their index among the codes; below `config.fed`.
      cache: of all positions before.

    Returns:
      Logits [B, V] of the next code, and the cache with this position.
    """
    x = self.tokens(codes)[:, None] + jax.lax.dynamic_slice_in_dim(cache.offsets, position, 1, axis=1)
    layers = []
    for block, keys, values in zip(self.blocks, cache.keys, cache.values, strict=True):
      x, keys, values = block.step(x, keys, values, position)
      layers.append((keys, values))
    return self._logits(x[:, 0]), KVCache(*zip(*layers, strict=True), cache.offsets)

  def _hidden(self, condition_features, query_features, codes) -> jax.Array:
    """Output [B, S, D] of the last block."""
    x_BxSxD, _ = self._embed(condition_features, query_features, codes)

    def layer(x: jax.Array, block: tuple) -> tuple[jax.Array, None]:
      # Split along the batch at every layer: weights come to the data, not the other way round.
      return split_batch(nnx.merge(*block)(x)[0]), None

    layer = _REMAT[self.config.remat](layer)
    if self.config.scan_layers:
      graph, stacked = nnx.split(self.blocks)
      return jax.lax.scan(lambda x, state: layer(x, (graph, state)), x_BxSxD, stacked)[0]
    for block in self.blocks:
      x_BxSxD, _ = layer(x_BxSxD, nnx.split(block))
    return x_BxSxD

  def _read(self, condition_features, query_features, codes) -> tuple[jax.Array, KVCache]:
    """Output [B, S, D] of the last block, and the cache of these S positions."""
    x_BxSxD, offsets = self._embed(condition_features, query_features, codes)
    layers = []
    for block in self.blocks:
      x_BxSxD, keys, values = block(x_BxSxD)
      layers.append((keys, values))
    return x_BxSxD, KVCache(*zip(*layers, strict=True), offsets)

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
    return self.head(self.norm(x)).astype(jnp.float32)
