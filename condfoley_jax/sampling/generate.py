"""Frames and an example in, takes out: encode, prefill, decode, mel, waveform.

A query longer than a clip is covered by windows (`sampling/windows.py`); each continues from the codes before it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import MIN_RMS, RMS, crop_mel, log_mel, rescale_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import EventHead, VideoEncoder, prepare_frames
from condfoley_jax.models.vqgan import VQGAN, codes_to_sequence, sequence_to_codes
from condfoley_jax.sampling.decode_loop import decode
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.prefill import prefill
from condfoley_jax.sampling.windows import Window, columns_of, delay, plan
from condfoley_jax.weights.folder import Weights

# What the example's loudest samples are brought to before it is encoded, where its peak is what counts.
_EXAMPLE_PEAK = 0.5

# What a weights folder must hold to generate, and what it may hold besides.
COMPONENTS = ("vqgan", "vocoder", "video_encoder", "transformer")
OPTIONAL = ("event_head",)


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
    self._conventions: Conventions = weights.conventions
    self._parts = weights.components

  def example_clips(self, frames: int) -> int:
    """Clips that the example of a query of `frames` frames is long: 1, or in the published way as many as the query.

    Its features and codes are then those of the whole, though only the first clip of them may be seen.
    """
    if self._conventions.windows == "sliding":
      return 1
    return columns_of(frames, self.spec, self._conventions) // self.spec.code_columns

  def __call__(self, frames: np.ndarray, example: Example, sampling: Sampling, seeds: list[int]) -> Takes:
    """Makes one take per seed.

    Args:
      frames: uint8 [T, S, S, 3], the query at the spec's rate.
      example: the clip that sounds right, `example_clips(T)` clips long.
      sampling: temperature, top-k, top-p.
      seeds: of the takes; a take depends on its own seed only.

    Returns:
      Takes as long as the query, T * samples_per_frame samples each.
    """
    gain = self._gain(example.audio)
    codes = self._read(np.clip(example.audio * gain, -1, 1).astype(np.float32))
    grids, seen = self._sample_all(frames, example.frames, codes, sampling, seeds)
    samples = len(frames) * self.spec.samples_per_frame
    audio = np.stack([self._waveform(grid, samples) for grid in grids]) / gain
    return Takes(_limit(audio), grids, seen)

  def through_codes(self, audio: np.ndarray) -> np.ndarray:
    """A clip's audio float32 [N] as codes and vocoder give it back: the best that any choice of codes can sound."""
    gain = self._gain(audio)
    grid = np.asarray(self._read(np.clip(audio * gain, -1, 1).astype(np.float32)))[0]
    return self._waveform(grid, len(audio)) / gain

  def through_mel(self, audio: np.ndarray) -> np.ndarray:
    """A clip's audio float32 [N] as the vocoder gives it back from its mel."""
    gain = self._gain(audio)
    clip = np.clip(audio * gain, -1, 1).astype(np.float32)
    made = revocode(self._parts["vocoder"], clip[None], self.spec, self._conventions)
    return self._placed(np.asarray(made[0]), len(audio)) / gain

  def _gain(self, audio: np.ndarray) -> float:
    """What the example is multiplied by before it is read, and the takes divided by."""
    match self._conventions.level:
      case "peak":
        return _EXAMPLE_PEAK / _loudness(audio)
      case "rms":
        return RMS / max(float(np.sqrt(np.mean(audio.astype(np.float64) ** 2))), MIN_RMS)
      case _:
        return 1.0

  def _read(self, audio: np.ndarray) -> jax.Array:
    """Codes [1, R, K * clips] of the example."""
    clips = max(1, len(audio) // self.spec.samples)
    if self._conventions.crop == "first":
      audio = audio[: clips * self.spec.samples]
    return read(self._parts["vqgan"], audio[None], self.spec, self._conventions.crop, clips)

  def _sample_all(self, frames, example_frames, example_codes, sampling, seeds):
    """Codes of all windows, int32 [takes, R, K], and the onset probability per frame."""
    spec = self.spec
    windows = plan(len(frames), spec, self._conventions)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    condition = self._features(example_frames)
    query, seen = self._watch(frames, windows)
    grid = np.zeros((len(seeds), spec.code_rows, 0), np.int32)
    for number, (window, features) in enumerate(zip(windows, query, strict=True)):
      first, column = window.condition_frame, window.condition
      codes = codes_to_sequence(example_codes[:, :, column : column + spec.code_columns])
      seen_and_heard = condition[:, first : first + spec.frames], features, codes
      repeated = jax.tree.map(lambda x: jnp.repeat(x, len(seeds), axis=0), seen_and_heard)
      history = codes_to_sequence(grid[:, :, window.start :])
      window_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
      made = sample_window(
        self._parts["transformer"], *repeated, history, window_keys, sampling, window.new * spec.code_rows
      )
      grid = np.concatenate([grid, np.asarray(sequence_to_codes(made, spec.code_rows))], axis=2)
    return grid[:, :, : columns_of(len(frames), spec, self._conventions)], seen

  def _watch(self, frames: np.ndarray, windows: list[Window]) -> tuple[list[jax.Array], np.ndarray]:
    """Features [1, T, D] of what each window sees, and the onset probability of every query frame."""
    clip = self.spec.frames
    if self._conventions.windows == "sliding":
      features = [self._features(_clip_at(frames, window.frame, clip)) for window in windows]
      return features, self._spot(frames, [(w.frame, f) for w, f in zip(windows, features, strict=True)])
    # The published code encodes the query as a whole, so that batch statistics are those of the whole.
    whole = self._features(_clip_at(frames, 0, self.example_clips(len(frames)) * clip))
    return [whole[:, w.frame : w.frame + clip] for w in windows], self._spot(frames, [(0, whole)])

  def _features(self, frames: np.ndarray) -> jax.Array:
    return see(self._parts["video_encoder"], frames[None], self._conventions.bn_mode)

  def _spot(self, frames: np.ndarray, parts: list[tuple[int, jax.Array]]) -> np.ndarray:
    """Onset probability float32 [T] from features by their first frame; from motion where no head was trained."""
    if "event_head" not in self._parts:
      return motion(frames)
    seen = np.zeros(len(frames), np.float32)
    for start, features in parts:
      onsets = np.asarray(spot(self._parts["event_head"], features)[0])
      seen[start : start + len(onsets)] = onsets[: len(seen) - start]
    return seen

  def _waveform(self, grid: np.ndarray, samples: int) -> np.ndarray:
    """Audio [samples] of one take's grid [R, K], decoded in a whole number of clips so that few shapes are compiled."""
    columns = -(-grid.shape[1] // self.spec.code_columns) * self.spec.code_columns
    padded = np.pad(grid, ((0, 0), (0, columns - grid.shape[1])), mode="edge")
    parts, scale = self._parts, self._conventions.vocoder_mel
    return self._placed(
      np.asarray(render(parts["vqgan"], parts["vocoder"], padded[None], self.spec, scale)[0]), samples
    )

  def _placed(self, audio: np.ndarray, samples: int) -> np.ndarray:
    """Audio [samples] of what the vocoder made of codes or mel, which may begin later than the clip."""
    late = np.pad(audio, (delay(self.spec, self._conventions), 0))[:samples]
    return np.pad(late, (0, samples - len(late)))


# Models are arguments, not constants, of what is compiled: one program serves every set of weights of the same sizes.


@functools.partial(jax.jit, static_argnames="bn_mode")
def see(encoder: VideoEncoder, frames: jax.Array, bn_mode: str) -> jax.Array:
  """uint8 frames [1, T, S, S, 3] -> features [1, T, D]."""
  return encoder(prepare_frames(frames), use_running_average=bn_mode == "running")


@jax.jit
def spot(head: EventHead, features: jax.Array) -> jax.Array:
  """Features [1, T, D] -> probability of an onset [1, T]."""
  return jax.nn.sigmoid(head(features).onset)


@functools.partial(jax.jit, static_argnames=("spec", "crop", "clips"))
def read(vqgan: VQGAN, audio: jax.Array, spec: ClipSpec, crop: str, clips: int) -> jax.Array:
  """float32 audio [1, N] of that many clips -> codes [1, R, K * clips]."""
  return vqgan.encode(crop_mel(log_mel(audio, spec), spec, crop, clips))


@functools.partial(jax.jit, static_argnames="count")
def sample_window(
  transformer: Transformer,
  condition: jax.Array,
  query: jax.Array,
  codes: jax.Array,
  history: jax.Array,
  keys: jax.Array,
  sampling: Sampling,
  count: int,
) -> jax.Array:
  """The `count` target codes [B, count] after the known ones `history` [B, known]."""
  logits, cache = prefill(transformer, condition, query, jnp.concatenate([codes, history], 1))
  return decode(transformer, logits, cache, keys, sampling, known=history.shape[1], count=count)


@functools.partial(jax.jit, static_argnames=("spec", "vocoder_mel"))
def render(vqgan: VQGAN, vocoder: nnx.Module, grid: jax.Array, spec: ClipSpec, vocoder_mel: str) -> jax.Array:
  """Codes [1, R, K] -> audio [1, N]."""
  return _sounded(vocoder, vqgan.decode(grid), spec, vocoder_mel)


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def revocode(vocoder: nnx.Module, audio: jax.Array, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Audio of a clip [1, N] -> mel -> audio [1, N']."""
  mel = crop_mel(log_mel(audio, spec), spec, conventions.crop)
  return _sounded(vocoder, mel, spec, conventions.vocoder_mel)


def _sounded(vocoder: nnx.Module, mel: jax.Array, spec: ClipSpec, vocoder_mel: str) -> jax.Array:
  if vocoder_mel != "as_decoded":
    mel = rescale_mel(jnp.clip(mel, -1, 1), spec, vocoder_mel)
  return vocoder(mel)


def motion(frames: np.ndarray) -> np.ndarray:
  """Change of the picture from frame to frame, float32 [T] in [0, 1], the largest being 1: a stand-in for onsets."""
  change = np.abs(np.diff(frames.astype(np.float32), axis=0, prepend=frames[:1].astype(np.float32))).mean(
    axis=(1, 2, 3)
  )
  return change / max(float(change.max()), 1.0)


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
