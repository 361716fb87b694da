"""Ranking of takes by audio-visual agreement (paper sec. 3.3).

The rule is the paper's: keep takes whose |offset| is within tau of the smallest, then the most confident first. Offset
and confidence are those of a synchronisation network, in segments of a clip's length. Weights that have none are ranked
by the onsets that the video encoder's event head sees and those of the take; `condfoley generate` says so.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.resample import resample
from condfoley_jax.audio.sync_spectrogram import SAMPLE_RATE, SAMPLES, SECONDS, sync_spectrogram
from condfoley_jax.clip import ClipSpec
from condfoley_jax.models.sync import FRAMES, SparseSync, prepare_video
from condfoley_jax.models.sync_net import SyncNet
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.sampling.in_parts import map_in_parts

# How far apart offsets may be and still count as alike, s, by what tells them: as published a step of the published
# network's grid; for ours what gave the best onsets on 44 pairs of the world, of another seed than the tests'; for
# onsets likewise on 130 pairs of its validation split.
TAU_S = {"sync": 0.2, "sync_net": 0.0, "onsets": 0.1}
MAX_LAG_S = 0.4
# Offsets are steps of a grid and means of such steps: what is less than this apart, s, is so by rounding.
_ROUNDING_S = 1e-5
# A part of such a step that is no fraction of whole numbers, as offsets are.
_NO_OFFSET = 0.381966
# Takes that the published network hears at a time.
_HEARD_AT_ONCE = 16


class Sync(NamedTuple):
  """offset_s: how much later the sound is than the picture, s; confidence: in it, -1 to 1. Numbers, or arrays alike."""

  offset_s: float
  confidence: float


def sync_of(seen: np.ndarray, heard: np.ndarray, fps: int) -> Sync:
  """Best alignment of two onset curves of the same length at `fps` (float [T]), the smallest offset on ties."""
  # Two samples at least are compared at every lag.
  furthest = max(min(round(MAX_LAG_S * fps), len(seen) - 2), 0)
  lags = sorted(range(-furthest, furthest + 1), key=abs)
  scores = [_correlation(*_overlap(seen, heard, lag)) for lag in lags]
  best = int(np.argmax(scores))
  return Sync(lags[best] / fps, float(scores[best]))


def score_segments(network: SyncNet, frames: jax.Array, lengths: jax.Array, audio: jax.Array, spec: ClipSpec) -> Sync:
  """Offset and confidence of every take in every segment (`segments`) of its query.

  Confidence is the probability of the offset or, where the network tells mismatch, that of no mismatch.

  Args:
    network: trained on such clips.
    frames: uint8 [J, F, S, S, 3], F whole clips.
    lengths: int32 [J], frames of each query.
    audio: float32 [J, B, N] of its takes.
    spec: of the clips.

  Returns:
    Sync of float32 [J, B, G], G being F in clips; those of segments beyond a query's end are not to be used.
  """
  jobs, takes, _ = audio.shape
  per_frame, clip = spec.samples_per_frame, spec.frames

  def segment(number: jax.Array) -> Sync:
    start = jnp.clip(number * clip, 0, jnp.maximum(lengths - clip, 0))
    cut = lambda x, start, size: jax.lax.dynamic_slice_in_dim(x, start, size, 0)
    shown = jax.vmap(lambda x, start: cut(x, start, clip))(frames, start)
    sound = jax.vmap(lambda x, start: cut(x.T, start * per_frame, clip * per_frame).T)(audio, start)
    seen = network.see(prepare_frames(shown), use_running_average=True)
    heard = network.hear(log_mel(sound.reshape(jobs * takes, -1), network.config.grid(spec)))
    embedded = seen[:, None], heard.reshape(jobs, takes, *heard.shape[1:])
    logits, mismatch = jax.vmap(network.compare)(*embedded), jax.vmap(network.mismatch)(*embedded)
    offsets = jnp.asarray(network.config.offsets_s(spec.fps))[logits.argmax(-1)]
    if not network.config.mismatch:
      return Sync(offsets, jax.nn.softmax(logits).max(-1))
    # How likely it is the picture's at all says more of a take than how surely it is at one offset, not the next.
    every = jax.nn.softmax(jnp.concatenate([logits, mismatch], -1))
    return Sync(offsets, every[..., : logits.shape[-1]].sum(-1))

  found = jax.lax.map(segment, jnp.arange(frames.shape[1] // clip))
  return Sync(*(jnp.moveaxis(x, 0, -1) for x in found))


def score_sparse(network: SparseSync, frames: jax.Array, lengths: jax.Array, audio: jax.Array, rate: int) -> Sync:
  """As `score_segments`, by the published network, in segments of its 5 s; shorter ones end black and silent.

  Args:
    network: SparseSync.
    frames: uint8 [J, F, S, S, 3] at its rate (`sync.FPS`), from `decode_frames(resize="centre")`, cropped.
    lengths: int32 [J], frames of each query.
    audio: float32 [J, B, N] at `rate` Hz, silent after each query's end.

  Returns:
    Sync of float32 [J, B, G], G being F in segments, rounded up.
  """
  jobs, takes, _ = audio.shape
  count = -(-frames.shape[1] // FRAMES)
  own = jnp.arange(frames.shape[1]) < lengths[:, None]
  frames = jnp.where(own[..., None, None, None], frames, 0)
  frames = jnp.pad(frames, ((0, 0), (0, count * FRAMES - frames.shape[1]), (0, 0), (0, 0), (0, 0)))
  sound = resample(audio.reshape(jobs * takes, -1), rate, SAMPLE_RATE)[:, : count * SAMPLES]
  sound = jnp.pad(sound, ((0, 0), (0, count * SAMPLES - sound.shape[1])))

  def segment(number: jax.Array) -> Sync:
    cut = lambda x, size: jax.lax.dynamic_slice_in_dim(x, number * size, size, 1)
    seen = network.see(prepare_video(cut(frames, FRAMES)))
    hear = lambda part: network.hear(sync_spectrogram(part))
    heard = map_in_parts(hear, cut(sound, SAMPLES), _HEARD_AT_ONCE)
    logits = jax.vmap(network.compare)(seen[:, None], heard.reshape(jobs, takes, *heard.shape[1:]))
    # Its offsets are how much too early the sound comes.
    return Sync(-jnp.asarray(network.config.offsets_s)[logits.argmax(-1)], jax.nn.softmax(logits).max(-1))

  found = jax.lax.map(segment, jnp.arange(count))
  return Sync(*(jnp.moveaxis(x, 0, -1) for x in found))


def segments(length: int, spec: ClipSpec) -> list[tuple[int, int]]:
  """Frames in which segments of a query of `length` frames begin and end: clips in a row, the last ending with it."""
  starts = [min(start, max(length - spec.frames, 0)) for start in range(0, length, spec.frames)]
  return [(start, min(start + spec.frames, length)) for start in starts]


def sparse_segments(length: int, spec: ClipSpec) -> list[tuple[int, int]]:
  """The same for `score_sparse`: 5 s each, the last one shorter."""
  size = SECONDS * spec.fps
  return [(start, min(start + size, length)) for start in range(0, length, size)]


@jax.jit
def over_segments(sync: Sync, count: int | jax.Array | None = None) -> Sync:
  """Of takes as a whole, [...], from those of their segments, [..., G]: the mean |offset| and the mean confidence.

  Of one segment it is that segment's, sign included. `count` are the segments that are the query's own; None for all.
  """
  segments = sync.offset_s.shape[-1]
  count = segments if count is None else count
  mean = lambda x: jnp.where(jnp.arange(segments) < count, x, 0).sum(-1) / count
  return Sync(jnp.where(count == 1, sync.offset_s[..., 0], mean(jnp.abs(sync.offset_s))), mean(sync.confidence))


@jax.jit
def rank(offsets_s: jax.Array, confidences: jax.Array, tau_s: float | jax.Array) -> jax.Array:
  """Order of takes, best first, int32 [B].

  Args:
    offsets_s, confidences: float [B].
    tau_s: takes this close to the smallest |offset| count as in time.
  """
  far = jnp.abs(offsets_s)
  late = far > far.min() + tau_s + _ROUNDING_S
  # In steps with bounds where no offset lies, so that what differs by rounding is alike.
  steps = jnp.floor(far / _ROUNDING_S + _NO_OFFSET)
  # Takes in time by confidence; the others after them, by |offset| first.
  return jnp.lexsort((-confidences, jnp.where(late, steps, 0), late))


def _overlap(seen: np.ndarray, heard: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
  if lag >= 0:
    return seen[: len(seen) - lag], heard[lag:]
  return seen[-lag:], heard[:lag]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
  if len(a) < 2:
    return 0.0
  a, b = a - a.mean(), b - b.mean()
  norm = np.sqrt((a @ a) * (b @ b))
  return float(a @ b / norm) if norm > 1e-9 else 0.0
