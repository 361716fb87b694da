"""Frames and an example in, takes out: encode, prefill, decode, mel, waveform.

A query longer than a clip is covered by windows that move over frames and codes together by half a clip; each window
after the first continues from the codes of its first half.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import crop_mel, log_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import EventHead, VideoEncoder, prepare_frames
from condfoley_jax.models.vqgan import VQGAN, codes_to_sequence, sequence_to_codes
from condfoley_jax.sampling.decode_loop import decode
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.prefill import prefill
from condfoley_jax.weights.folder import Weights

# What the example's loudest samples are brought to before it is encoded; the inverse is applied to the takes.
_EXAMPLE_PEAK = 0.5


# What a weights folder must hold to generate.
COMPONENTS = ("vqgan", "vocoder", "video_encoder", "event_head", "transformer")


class Example(NamedTuple):
  """frames: uint8 [T, S, S, 3] and audio: float32 [N] of one clip."""

  frames: np.ndarray
  audio: np.ndarray


class Takes(NamedTuple):
  """audio: float32 [takes, N]; grids: int32 [takes, R, K]; seen: float32 [T], probability of an onset per frame."""

  audio: np.ndarray
  grids: np.ndarray
  seen: np.ndarray


class Generator:
  """The line from frames and an example to takes, with one set of weights."""

  def __init__(self, weights: Weights):
    self.spec: ClipSpec = weights.clip
    self._parts = weights.components

  def __call__(self, frames: np.ndarray, example: Example, sampling: Sampling, seeds: list[int]) -> Takes:
    """Makes one take per seed.

    Args:
      frames: uint8 [T, S, S, 3], the query at the spec's rate.
      example: the clip that sounds right.
      sampling: temperature, top-k, top-p.
      seeds: of the takes; a take depends on its own seed only.

    Returns:
      Takes as long as the query, T * samples_per_frame samples each.
    """
    gain = _EXAMPLE_PEAK / _loudness(example.audio)
    condition, _ = self._see(example.frames)
    codes = read(self._parts["vqgan"], jnp.clip(example.audio * gain, -1, 1)[None], self.spec)
    grids, seen = self._sample_all(frames, condition, codes, sampling, seeds)
    samples = len(frames) * self.spec.samples_per_frame
    audio = np.stack([self._waveform(grid, samples) for grid in grids]) / gain
    return Takes(_limit(audio), grids, seen)

  def _sample_all(self, frames, condition, codes, sampling, seeds):
    """Codes of all windows, int32 [takes, R, K], and the onset probability per frame."""
    spec, takes = self.spec, len(seeds)
    columns = math.ceil(len(frames) / (spec.fps * spec.column_seconds))
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    repeat = functools.partial(jnp.repeat, repeats=takes, axis=0)
    condition, codes = repeat(condition), repeat(codes)
    grid, seen = np.zeros((takes, spec.code_rows, 0), np.int32), np.zeros(len(frames), np.float32)
    for window, start in enumerate(window_starts(columns, spec.code_columns)):
      first_frame = round(start * spec.column_seconds * spec.fps)
      features, onsets = self._see(_clip_at(frames, first_frame, spec.frames))
      seen[first_frame : first_frame + spec.frames] = np.asarray(onsets[0])[: len(seen) - first_frame]
      history = codes_to_sequence(grid[:, :, start:])
      window_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, window)
      made = sample_window(
        self._parts["transformer"], condition, repeat(features), codes, history, window_keys, sampling
      )
      grid = np.concatenate([grid, np.asarray(sequence_to_codes(made, spec.code_rows))], axis=2)
    return grid[:, :, :columns], seen

  def _see(self, frames: np.ndarray) -> tuple[jax.Array, jax.Array]:
    return see(self._parts["video_encoder"], self._parts["event_head"], frames[None])

  def _waveform(self, grid: np.ndarray, samples: int) -> np.ndarray:
    """Audio [samples] of one take's grid [R, K], decoded in a whole number of clips so that few shapes are compiled."""
    columns = -(-grid.shape[1] // self.spec.code_columns) * self.spec.code_columns
    padded = np.pad(grid, ((0, 0), (0, columns - grid.shape[1])), mode="edge")
    audio = np.asarray(render(self._parts["vqgan"], self._parts["vocoder"], padded[None])[0])[:samples]
    return np.pad(audio, (0, samples - len(audio)))


# Models are arguments, not constants, of what is compiled: one program serves every set of weights of the same sizes.


@jax.jit
def see(encoder: VideoEncoder, head: EventHead, frames: jax.Array) -> tuple[jax.Array, jax.Array]:
  """uint8 frames [1, T, S, S, 3] -> features [1, T, D], probability of an onset [1, T]."""
  features = encoder(prepare_frames(frames), use_running_average=True)
  return features, jax.nn.sigmoid(head(features).onset)


@functools.partial(jax.jit, static_argnames="spec")
def read(vqgan: VQGAN, audio: jax.Array, spec: ClipSpec) -> jax.Array:
  """float32 audio [1, N] of a clip -> codes [1, L]."""
  return codes_to_sequence(vqgan.encode(crop_mel(log_mel(audio, spec), spec, "first")))


@jax.jit
def sample_window(
  transformer: Transformer,
  condition: jax.Array,
  query: jax.Array,
  codes: jax.Array,
  history: jax.Array,
  keys: jax.Array,
  sampling: Sampling,
) -> jax.Array:
  """Target codes [B, L - known] after the known ones `history` [B, known]."""
  logits, cache = prefill(transformer, condition, query, jnp.concatenate([codes, history], 1))
  return decode(transformer, logits, cache, keys, sampling, known=history.shape[1])


@jax.jit
def render(vqgan: VQGAN, vocoder: nnx.Module, grid: jax.Array) -> jax.Array:
  """Codes [1, R, K] -> audio [1, N]."""
  return vocoder(jnp.clip(vqgan.decode(grid), -1, 1))


def window_starts(columns: int, window: int) -> list[int]:
  """First columns of the windows that cover `columns`, each half a window after the one before."""
  later = range(window // 2, max(columns - window, 0) + window // 2, window // 2)
  return [0, *later]


def _clip_at(frames: np.ndarray, start: int, count: int) -> np.ndarray:
  """`count` frames from `start` on, the last frame held."""
  return frames[np.minimum(np.arange(start, start + count), len(frames) - 1)]


def _loudness(audio: np.ndarray) -> float:
  """Level of the loudest samples: not that of a lone click, nor so far below it that the gain explodes; above 0."""
  level = np.abs(audio)
  return max(float(np.quantile(level, 0.9999)), float(level.max()) / 10, 1e-4)


def _limit(audio: np.ndarray) -> np.ndarray:
  """Turned down as a whole where it would clip."""
  return (audio / max(float(np.abs(audio).max()) / 0.99, 1.0)).astype(np.float32)
