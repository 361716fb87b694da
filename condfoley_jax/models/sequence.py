"""What the transformer reads: its sizes, the grid of its positions, and what stands for each of them."""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys

INIT = nnx.initializers.normal(0.02)
# What the model reads besides the target's codes.
INPUTS = ("condition_codes", "condition_features", "query_features")
REMAT = ("none", "dots", "full")


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
      quantised vector of the VQGAN's codebook (the paper's text), `both` adds the two, and to the logits what the
      codebook gives: codes that sound alike are alike from the start.
    codebook_width: width of that vector; not read where audio_token is `learned`.
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
  audio_token: Literal["learned", "codebook", "both"] = "learned"
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
    if self.audio_token not in ("learned", "codebook", "both"):
      raise ValueError(f"audio_token must be learned, codebook or both, not {self.audio_token}")
    if self.positions not in ("learned", "grid"):
      raise ValueError(f"positions must be learned or grid, not {self.positions}")
    if unknown := set(self.absent) - set(INPUTS):
      raise ValueError(f"absent names some of {', '.join(INPUTS)}, not {unknown.pop()}")
    if self.absent and not self.stand_ins:
      raise ValueError("what is absent has a stand-in: absent needs stand_ins")
    if self.remat not in REMAT:
      raise ValueError(f"remat is one of {', '.join(REMAT)}, not {self.remat}")

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


class CodebookTokens(nnx.Module):
  """Embeds a code by projecting its vector of the VQGAN's codebook."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: Keys):
    self.codebook = Frozen(jnp.zeros((config.vocab, config.codebook_width), jnp.float32))
    self.projection = nnx.Linear(config.codebook_width, config.width, kernel_init=INIT, dtype=dtype, rngs=rngs)

  def __call__(self, codes: jax.Array) -> jax.Array:
    """codes [...] -> [..., D]."""
    return self.projection(jnp.take(self.codebook[...], codes, axis=0))


class BothTokens(CodebookTokens):
  """Embeds a code by its vector of the codebook and by a table of its own."""

  def __init__(self, config: TransformerConfig, *, dtype, rngs: Keys):
    super().__init__(config, dtype=dtype, rngs=rngs)
    self.own = nnx.Embed(config.vocab, config.width, embedding_init=INIT, dtype=dtype, rngs=rngs)
    self.unprojection = nnx.Linear(config.width, config.codebook_width, kernel_init=INIT, dtype=dtype, rngs=rngs)

  def __call__(self, codes: jax.Array) -> jax.Array:
    """codes [...] -> [..., D]."""
    return self.own(codes) + super().__call__(codes)

  def alike(self, x: jax.Array) -> jax.Array:
    """What outputs [..., D] of the last block add to the logits, float32 [..., V]: products with the codebook's
    vectors."""
    codebook = self.codebook[...].astype(x.dtype)
    return jnp.matmul(self.unprojection(x), codebook.T, preferred_element_type=jnp.float32)


class StandIns(nnx.Module):
  """A learned vector in place of each input that is not given: of a token, and of the features of a frame."""

  def __init__(self, config: TransformerConfig, *, rngs: Keys):
    self.condition_codes = nnx.Param(INIT(rngs.params(), (config.width,)))
    self.condition_features = nnx.Param(INIT(rngs.params(), (config.feature_width,)))
    self.query_features = nnx.Param(INIT(rngs.params(), (config.feature_width,)))


class LearnedPositions(nnx.Module):
  """One vector per position of the sequence."""

  def __init__(self, config: TransformerConfig, *, rngs: Keys):
    del rngs
    self.table = nnx.Param(jnp.zeros((config.length, config.width), jnp.float32))

  def __call__(self) -> jax.Array:
    """Embeddings [fed, D]."""
    return self.table[:-1]


class GridPositions(nnx.Module):
  """Sum of a segment, a time and a row vector: a code and the frame it sounds with share segment and time."""

  def __init__(self, config: TransformerConfig, *, rngs: Keys):
    self.config = config
    self.segment = nnx.Param(INIT(rngs.params(), (2, config.width)))
    self.time = nnx.Param(INIT(rngs.params(), (config.frames, config.width)))
    self.row = nnx.Param(INIT(rngs.params(), (config.code_rows + 1, config.width)))

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
