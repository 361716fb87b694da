"""SparseSync: how far apart picture and sound are (Iashin et al., BMVC 2022, "Sparse in Space and Time").

The published system ranks its takes by it (paper sec. 3.3). A few learned selectors read a clip's feature map by
cross-attention, those of picture and sound are joined, and one token tells the offset.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.sync_spectrogram import SECONDS
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.resnet import ResNet, ResNetConfig
from condfoley_jax.models.s3d import S3D, S3DConfig
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.shapes import Frames_BxTxHxWx3

_INIT = nnx.initializers.normal(0.02)

# The network was trained on 5 s of video at this rate.
FPS = 25
FRAMES = FPS * SECONDS
MAX_OFFSET_S = 2.0

_S3D = S3DConfig()
_RESNET18 = ResNetConfig()


@dataclasses.dataclass(frozen=True)
class SparseSyncConfig:
  """Sizes of the network; the defaults are the published ones.

  Attributes:
    video, audio: feature extractors; the width of the audio's is D.
    width: D of the transformers.
    layers, heads: of each of the three transformers.
    selectors: tokens into which each of picture and sound is condensed.
    video_grid: time, height and width of the largest video feature map.
    audio_grid: frequency and time of the largest audio feature map.
    classes: offsets told apart.
  """

  video: S3DConfig = _S3D
  audio: ResNetConfig = _RESNET18
  width: int = 512
  layers: int = 3
  heads: int = 8
  selectors: int = 16
  video_grid: tuple[int, int, int] = (16, 7, 7)
  audio_grid: tuple[int, int] = (9, 20)
  classes: int = 21

  def __post_init__(self):
    if self.width % self.heads:
      raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
    if self.audio.feature_width != self.width:
      raise ValueError(f"audio features {self.audio.feature_width} wide do not fit a width of {self.width}")

  @property
  def offsets_s(self) -> np.ndarray:
    """Offset that each class stands for, float32 [classes], s: positive where the sound comes too early."""
    return np.linspace(-MAX_OFFSET_S, MAX_OFFSET_S, self.classes, dtype=np.float32)


def prepare_video(frames: Frames_BxTxHxWx3) -> jax.Array:
  """Frames as the network reads them.

  Args:
    frames: uint8 RGB [B, T, H, W, 3] at 25 fps, T <= 125; the published 224 x 224 px are the centre of a video whose
      shorter side is 256 px.

  Returns:
    float32 [B, 125, H, W, 3] with ImageNet's mean 0 and deviation 1; black after the last frame.

  Raises:
    ValueError: the video is longer than 5 s.
  """
  missing = FRAMES - frames.shape[1]
  if missing < 0:
    raise ValueError(f"{frames.shape[1]} frames are more than the {FRAMES} that can be compared")
  return prepare_frames(jnp.pad(frames, ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0))))


class Attention(nnx.Module):
  """Multi-head attention of x to a context, which may be x."""

  def __init__(self, config: SparseSyncConfig, *, dtype, rngs: Keys):
    linear = functools.partial(nnx.Linear, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.heads = config.heads
    self.query = linear(config.width, config.width)
    self.key_value = linear(config.width, 2 * config.width)
    self.out = linear(config.width, config.width)

  def __call__(self, x_BxSxD: jax.Array, context_BxPxD: jax.Array) -> jax.Array:
    """Output [B, S, D]."""
    split = lambda y: y.reshape(*y.shape[:2], self.heads, -1)
    query, (key, value) = self.query(x_BxSxD), jnp.split(self.key_value(context_BxPxD), 2, axis=-1)
    return self.out(jax.nn.dot_product_attention(split(query), split(key), split(value)).reshape(x_BxSxD.shape))


class Block(nnx.Module):
  """Pre-LN block: self-attention, attention to a context where `crossed`, a 4x wide perceptron with exact GELU."""

  def __init__(self, config: SparseSyncConfig, *, crossed: bool, dtype, rngs: Keys):
    linear = functools.partial(nnx.Linear, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.crossed = crossed
    self.attention_norm = _layer_norm(config.width, dtype, rngs)
    self.attention = Attention(config, dtype=dtype, rngs=rngs)
    if crossed:
      self.cross_norm = _layer_norm(config.width, dtype, rngs)
      self.cross = Attention(config, dtype=dtype, rngs=rngs)
    self.mlp_norm = _layer_norm(config.width, dtype, rngs)
    self.mlp_in = linear(config.width, 4 * config.width)
    self.mlp_out = linear(4 * config.width, config.width)

  def __call__(self, x_BxSxD: jax.Array, context_BxPxD: jax.Array | None = None) -> jax.Array:
    """Output [B, S, D]."""
    y = self.attention_norm(x_BxSxD)
    x = x_BxSxD + self.attention(y, y)
    if self.crossed:
      x += self.cross(self.cross_norm(x), context_BxPxD)
    return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=False))


class Positions(nnx.Module):
  """One learned vector per place along each axis of a feature map; those of all axes side by side make D."""

  def __init__(self, lengths: tuple[int, ...], width: int, order: tuple[int, ...], *, rngs: Keys):
    self.lengths = lengths
    self.order = order
    share, rest = divmod(width, len(order))
    # What does not divide goes to the first axis in the order: time, of a video.
    widths = (share + rest, *[share] * (len(order) - 1))
    self.tables = nnx.List(
      nnx.Param(_INIT(rngs.params(), (lengths[axis], size))) for axis, size in zip(order, widths, strict=True)
    )

  def __call__(self, grid: tuple[int, ...]) -> jax.Array:
    """Embeddings [*grid, D].

    Raises:
      ValueError: the feature map is larger than the tables.
    """
    if any(size > most for size, most in zip(grid, self.lengths, strict=True)):
      raise ValueError(f"a feature map of {grid} is larger than {self.lengths}")
    parts = []
    for axis, table in zip(self.order, self.tables, strict=True):
      along = [-1 if i == axis else 1 for i in range(len(grid))]
      rows = table[...][: grid[axis]]
      parts.append(jnp.broadcast_to(rows.reshape(*along, rows.shape[1]), (*grid, rows.shape[1])))
    return jnp.concatenate(parts, axis=-1)


class Selector(nnx.Module):
  """Condenses a feature map into a few tokens."""

  def __init__(self, config: SparseSyncConfig, lengths: tuple[int, ...], order: tuple[int, ...], *, dtype, rngs: Keys):
    self.norm_in = _layer_norm(config.width, dtype, rngs)
    self.positions = Positions(lengths, config.width, order, rngs=rngs)
    self.selectors = nnx.Param(_INIT(rngs.params(), (config.selectors, config.width)))
    self.blocks = nnx.List(Block(config, crossed=True, dtype=dtype, rngs=rngs) for _ in range(config.layers))
    self.norm_out = _layer_norm(config.width, dtype, rngs)

  def __call__(self, features: jax.Array) -> jax.Array:
    """features [B, ..., D] -> [B, selectors, D].

    Raises:
      ValueError: the feature map is larger than the config's.
    """
    context = self.norm_in(features)
    context += self.positions(features.shape[1:-1]).astype(context.dtype)
    context = context.reshape(len(context), -1, context.shape[-1])
    x = jnp.broadcast_to(self.selectors[...].astype(context.dtype), (len(context), *self.selectors.shape))
    for block in self.blocks:
      x = block(x, context)
    return self.norm_out(x)


class SparseSync(nnx.Module):
  """Logits of the offset between picture and sound."""

  def __init__(self, config: SparseSyncConfig, *, dtype=jnp.float32, rngs: Keys):
    linear = functools.partial(nnx.Linear, kernel_init=_INIT, dtype=dtype, rngs=rngs)
    self.config = config
    self.video_features = S3D(config.video, dtype=dtype, rngs=rngs)
    self.bridge = linear(config.video.feature_width, config.width)
    self.audio_features = ResNet(config.audio, dtype=dtype, rngs=rngs)
    self.video_selector = Selector(config, config.video_grid, (0, 2, 1), dtype=dtype, rngs=rngs)
    self.audio_selector = Selector(config, config.audio_grid, (0, 1), dtype=dtype, rngs=rngs)
    # The token that tells the offset, and the one between picture and sound.
    self.tokens = nnx.Param(_INIT(rngs.params(), (2, config.width)))
    self.blocks = nnx.List(Block(config, crossed=False, dtype=dtype, rngs=rngs) for _ in range(config.layers))
    self.norm = _layer_norm(config.width, dtype, rngs)
    self.head = linear(config.width, config.classes, use_bias=False)

  def __call__(self, frames: jax.Array, spectrogram: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of the offsets `config.offsets_s`.

    Args:
      frames: float [B, T, H, W, 3] from `prepare_video`; or [1, ...], one video for all sounds.
      spectrogram: float32 [B, 257, 626] from `sync_spectrogram`.

    Raises:
      ValueError: frames or spectrogram are larger than those of the config's grids.
    """
    return self.compare(self.see(frames), self.hear(spectrogram))

  def see(self, frames: jax.Array) -> jax.Array:
    """Tokens [B, selectors, D] of frames: what is costly, and the same for all takes of one query."""
    features = self.bridge(self.video_features(frames))
    return self.video_selector(jax.nn.gelu(features, approximate=False))

  def hear(self, spectrogram: jax.Array) -> jax.Array:
    """Tokens [B, selectors, D] of a spectrogram."""
    return self.audio_selector(self.audio_features(spectrogram))

  def compare(self, seen: jax.Array, heard: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of tokens [B, selectors, D] each; `seen` may be [1, selectors, D], for all sounds."""
    seen = jnp.broadcast_to(seen, heard.shape)
    offset, between = (
      jnp.broadcast_to(token.astype(heard.dtype), (len(heard), 1, token.shape[-1])) for token in self.tokens[...]
    )
    x = jnp.concatenate([offset, seen, between, heard], axis=1)
    for block in self.blocks:
      x = block(x)
    return self.head(self.norm(x)[:, 0]).astype(jnp.float32)


def _layer_norm(width: int, dtype, rngs: Keys) -> nnx.LayerNorm:
  return nnx.LayerNorm(width, epsilon=1e-5, dtype=dtype, rngs=rngs)
