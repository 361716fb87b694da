"""Frames and examples in, ranked takes out: one program, with nothing on the host in between.

A job is a query and an example; J jobs are made together, B takes of each. Encoders and prefill run once a job, the
sampler once a window for all takes, codec and vocoder a few takes at a time.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from condfoley_jax.audio.mel import MIN_RMS, RMS, crop_mel, log_mel, rescale_mel
from condfoley_jax.audio.mel_consistency import closer_to_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.video_encoder import EventHead, VideoEncoder, prepare_frames
from condfoley_jax.models.vqgan import codes_to_sequence, sequence_to_codes
from condfoley_jax.sampling import rerank, windows
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.detail import with_detail
from condfoley_jax.sampling.in_parts import map_in_parts
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.windows import Window

# What `limit` turns down to.
_PEAK = 0.99
# What the example's loudest samples are brought to before it is encoded, where its peak is what counts.
_EXAMPLE_PEAK = 0.5
# Sound that is decoded and vocoded at a time: what comes between codes and sound is large.
_AT_ONCE_S = 32.0
# Stands among the numbers of windows, which are folded into a take's key, for what is none.
_NO_WINDOW = 2**32 - 1

Parts = Mapping[str, nnx.Module]


class Jobs(NamedTuple):
  """What J jobs are made from; lengths of one bucket, so that one program serves them all.

  Attributes:
    frames: uint8 [J, F, S, S, 3], the queries, F being whole clips; after a query's end its last frame is held.
    lengths: int32 [J], frames of each that are its own.
    example_frames: uint8 [J, T * clips, S, S, 3].
    example_audio: float32 [J, N] in [-1, 1].
    seeds: uint32 [J, B], one per take.
    example_seen: bool [J], which examples have pictures; None where all have. What stands for pictures that are not
      there is the transformer's (`stand_ins`).
    sparse_frames, sparse_lengths: uint8 [J, F', S', S', 3] and int32 [J], the queries as SparseSync sees them
      (`rerank.score_sparse`), where that ranks the takes; None elsewhere.
  """

  frames: jax.Array
  lengths: jax.Array
  example_frames: jax.Array
  example_audio: jax.Array
  seeds: jax.Array
  example_seen: jax.Array | None = None
  sparse_frames: jax.Array | None = None
  sparse_lengths: jax.Array | None = None


class Made(NamedTuple):
  """B takes of J jobs.

  Attributes:
    audio: float32 [J, B, F * samples per frame], as loud as it comes (`limit`); silent after a query's end.
    grids: int32 [J, B, R, K], for the whole bucket.
    seen: float32 [J, F], probability of an onset in each frame of the query.
    syncs: offset, s, and confidence of each segment of a clip's length, [J, B, G] each; None without a sync network.
  """

  audio: jax.Array
  grids: jax.Array
  seen: jax.Array
  syncs: rerank.Sync | None


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def make_takes(parts: Parts, jobs: Jobs, sampling: Sampling, *, spec: ClipSpec, conventions: Conventions) -> Made:
  """Makes all takes of all jobs.

  Models are arguments, not constants of what is compiled: one program serves every set of weights of the same sizes.

  Args:
    parts: components by name; an event head tells onsets and a sync network, ours or SparseSync (`sync`), scores takes,
      where they are there.
    jobs, sampling: see there.
    spec, conventions: of the weights.
  """
  audio, gains = levelled(jobs.example_audio, conventions)
  example = mel_of(audio, spec, conventions)
  codes = parts["vqgan"].encode(example)
  grids, seen = _sample_all(parts, jobs, codes, sampling, spec, conventions)
  columns = jnp.asarray(windows.columns_up_to(jobs.frames.shape[1], spec, conventions))[jobs.lengths]
  audio = sounded(parts, grids, columns, jobs, example, codes, spec, conventions)
  samples = jobs.frames.shape[1] * spec.samples_per_frame
  audio = placed(audio, samples, spec, conventions).reshape(*jobs.seeds.shape, samples)
  own = jnp.arange(samples) < jobs.lengths[:, None, None] * spec.samples_per_frame
  audio = jnp.where(own, audio / gains[..., None], 0)
  syncs = None
  if "sync_net" in parts:
    syncs = rerank.score_segments(parts["sync_net"], jobs.frames, jobs.lengths, audio, spec)
  elif "sync" in parts:
    syncs = rerank.score_sparse(parts["sync"], jobs.sparse_frames, jobs.sparse_lengths, audio, spec.sample_rate)
  return Made(audio, grids, seen, syncs)


@functools.partial(jax.jit, static_argnames=("spec", "conventions", "mesh", "split"))
def make_takes_on(
  parts: Parts,
  jobs: Jobs,
  sampling: Sampling,
  *,
  spec: ClipSpec,
  conventions: Conventions,
  mesh: Mesh,
  split: Literal["jobs", "takes"],
) -> Made:
  """`make_takes` on the devices of a mesh: jobs, or the takes of each, split along `data`, along which nothing is sent.

  Args:
    parts: placed on the mesh (`placement.place`); the compiler splits what is in parts along its other axes.
    jobs: as many of what is split as divide by the mesh's `data`.
    sampling, spec, conventions: as for `make_takes`.
    mesh: axes data, fsdp (1) and tensor.
    split: what.
  """
  whole, first, second = P(), P("data"), P(None, "data")
  if split == "jobs":
    given, made = first, first
  else:
    shared = [None if x is None else whole for x in jobs]
    given, made = Jobs(*shared)._replace(seeds=second), Made(second, second, whole, second)
  make = functools.partial(make_takes, spec=spec, conventions=conventions)
  # Where no model is in parts there is nothing to be left to the compiler.
  by_hand = frozenset(mesh.axis_names if mesh.size == mesh.shape["data"] else ("data",))
  return jax.shard_map(
    make, mesh=mesh, in_specs=(whole, given, whole), out_specs=made, axis_names=by_hand, check_vma=False
  )(parts, jobs, sampling)


def levelled(audio: jax.Array, conventions: Conventions) -> tuple[jax.Array, jax.Array]:
  """float32 audio [J, N] at the level that the codec reads, and the gain [J, 1] to it, which is undone in the takes."""
  match conventions.level:
    case "peak":
      # Of the loudest samples: not a lone click, nor so far below it that the gain explodes.
      level = jnp.abs(audio)
      peak = level.max(axis=1, keepdims=True)
      loud = jnp.maximum(jnp.quantile(level, 0.9999, axis=1, keepdims=True), peak / 10)
      gains = _EXAMPLE_PEAK / jnp.maximum(loud, 1e-4)
    case "rms":
      gains = RMS / jnp.maximum(jnp.sqrt(jnp.mean(audio**2, axis=1, keepdims=True)), MIN_RMS)
    case _:
      gains = jnp.ones((len(audio), 1))
  return jnp.clip(audio * gains, -1, 1), gains


def mel_of(audio: jax.Array, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """float32 audio [J, N] of whole clips, or of less than one -> the mel that is encoded, [J, F, M * clips]."""
  clips = max(1, audio.shape[1] // spec.samples)
  if conventions.crop == "first":
    audio = audio[:, : clips * spec.samples]
  return crop_mel(log_mel(audio, spec), spec, conventions.crop, clips)


def see(encoder: VideoEncoder, frames: jax.Array, conventions: Conventions) -> jax.Array:
  """uint8 frames [J, T, S, S, 3] -> features [J, T, D]."""
  if conventions.bn_mode == "running":
    return encoder(prepare_frames(frames), use_running_average=True)
  # The statistics of a batch are those of one query, as where each is made alone.
  one = lambda encoder, frames: encoder(prepare_frames(frames[None]), use_running_average=False)[0]
  return jax.vmap(one, in_axes=(None, 0))(encoder, frames)


def vocode(vocoder: nnx.Module, mel: jax.Array, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Mel [B, F, M] -> audio [B, N]."""
  clipped = jnp.clip(mel, -1, 1)
  read = mel if conventions.vocoder_mel == "as_decoded" else rescale_mel(clipped, spec, conventions.vocoder_mel)
  return closer_to_mel(vocoder(read), clipped, spec, conventions.mel_passes)


def motion(frames: jax.Array) -> jax.Array:
  """Change of the picture of uint8 frames [J, F, S, S, 3] from frame to frame, float32 [J, F] in [0, 1], the largest
  being 1: a stand-in for onsets where no head was trained."""
  frames = frames.astype(jnp.float32)
  change = jnp.abs(jnp.diff(frames, axis=1, prepend=frames[:, :1])).mean(axis=(2, 3, 4))
  return change / jnp.maximum(change.max(axis=1, keepdims=True), 1.0)


def _sample_all(parts: Parts, jobs: Jobs, example_codes, sampling, spec, conventions):
  """Codes of all windows, int32 [J, B, R, K], and the onset probability per frame, float32 [J, F]."""
  bucket = jobs.frames.shape[1]
  plan = windows.plan(bucket, spec, conventions)
  needed = jnp.asarray(windows.needed(bucket, spec, conventions))[jobs.lengths]
  shape = (*jobs.seeds.shape, spec.code_rows, plan[-1].start + spec.code_columns)
  watched = Watched(parts, jobs.frames, plan[-1].frame, spec, conventions)
  runs = [Run(run[0].known, run[0].new, jax.tree.map(jnp.asarray, windows.table(run))) for run in windows.runs(plan)]
  grid = jnp.zeros(shape, jnp.int32)
  grid, onsets = sample_windows(parts, jobs, example_codes, watched, runs, 0, needed, grid, sampling, spec, conventions)
  return grid[..., : windows.columns_of(bucket, spec, conventions)], onsets[:, :bucket]


class Run(NamedTuple):
  """Windows in a row that know and sample as many columns: known, new; `table` is a `Window` of int32 [n]."""

  known: int
  new: int
  table: Window


def sample_windows(
  parts: Parts,
  jobs: Jobs,
  example_codes: jax.Array,
  watched: "Watched",
  runs: Sequence[Run],
  first: int | jax.Array,
  needed: jax.Array,
  grid: jax.Array,
  sampling: Sampling,
  spec: ClipSpec,
  conventions: Conventions,
) -> tuple[jax.Array, jax.Array]:
  """`grid` with what the windows of `runs` sample, and the onsets seen.

  Args:
    parts, jobs, sampling, spec, conventions: as for `make_takes`.
    example_codes: int32 [J, R, K'].
    watched: what the windows see.
    runs: in order.
    first: number of the first of these windows among those of the whole query.
    needed: int32 [J], windows that each query has.
    grid: int32 [J, B, R, K].
  """
  keys = _keys(jobs)
  condition = see(parts["video_encoder"], jobs.example_frames, conventions)
  if jobs.example_seen is not None:
    stand_in = parts["transformer"].stand_ins.condition_features[...].astype(condition.dtype)
    condition = jnp.where(jobs.example_seen[:, None, None], condition, stand_in)

  def step(number: jax.Array, window: Window, state, known: int, new: int):
    grid, onsets = state
    features, onsets = watched(window.frame, onsets, number < needed)
    cut = lambda x, start, size, axis: jax.lax.dynamic_slice_in_dim(x, start, size, axis)
    made = sample_codes(
      parts["transformer"],
      cut(condition, window.condition_frame, spec.frames, 1),
      features,
      codes_to_sequence(cut(example_codes, window.condition, spec.code_columns, 2)),
      codes_to_sequence(cut(grid, window.start, known, 3)),
      _folded(keys, number),
      sampling,
      new * spec.code_rows,
    )
    columns = sequence_to_codes(made, spec.code_rows)
    return jax.lax.dynamic_update_slice_in_dim(grid, columns, window.start + known, 3), onsets

  state, done = (grid, watched.onsets), 0
  for run in runs:
    count = len(run.table.start)
    turn = lambda i, state, done=done, run=run: step(
      first + done + i, jax.tree.map(lambda x: x[i], run.table), state, run.known, run.new
    )
    # The first window is always needed, and only a loop costs no more than its turns.
    turns = jnp.clip(needed.max() - first - done, 0, count)
    state = turn(0, state) if done == 0 and count == 1 else jax.lax.fori_loop(0, turns, turn, state)
    done += count
  return state


class Watched:
  """Features of what each window sees, and the onset probability of every query frame.

  Windows that slide, the last from frame `last` on, are clips of their own. The published code encodes the query as a
  whole, so that batch statistics are those of the whole.
  """

  def __init__(self, parts: Parts, frames: jax.Array, last: int, spec: ClipSpec, conventions: Conventions):
    self._parts, self._spec, self._conventions = parts, spec, conventions
    self._sliding = conventions.windows == "sliding"
    if not self._sliding:
      self._whole = see(parts["video_encoder"], frames, conventions)
      self.onsets = self._spot(self._whole) if "event_head" in parts else motion(frames)
      return
    # The last window may end after the last clip.
    over = max(last + spec.frames - frames.shape[1], 0)
    self._frames = jnp.pad(frames, ((0, 0), (0, over), (0, 0), (0, 0), (0, 0)), mode="edge")
    self.onsets = jnp.zeros(self._frames.shape[:2]) if "event_head" in parts else motion(frames)

  def __call__(self, frame: jax.Array, onsets: jax.Array, needed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Features [J, T, D] from `frame` on, and the onsets with what they tell of the jobs that need them, bool [J]."""
    if not self._sliding:
      return jax.lax.dynamic_slice_in_dim(self._whole, frame, self._spec.frames, 1), onsets
    seen = jax.lax.dynamic_slice_in_dim(self._frames, frame, self._spec.frames, 1)
    features = see(self._parts["video_encoder"], seen, self._conventions)
    if "event_head" in self._parts:
      told = jax.lax.dynamic_update_slice_in_dim(onsets, self._spot(features), frame, 1)
      onsets = jnp.where(needed[:, None], told, onsets)
    return features, onsets

  def _spot(self, features: jax.Array) -> jax.Array:
    head: EventHead = self._parts["event_head"]
    return jax.nn.sigmoid(head(features).onset)


def _keys(jobs: Jobs) -> jax.Array:
  """Of the takes, [J, B]."""
  return jax.vmap(jax.vmap(jax.random.key))(jobs.seeds)


def _folded(keys: jax.Array, number: jax.Array) -> jax.Array:
  return jax.vmap(jax.random.fold_in, (0, None))(keys.ravel(), number).reshape(keys.shape)


def sounded(
  parts: Parts,
  grids: jax.Array,
  columns: jax.Array,
  jobs: Jobs,
  example: jax.Array,
  example_codes: jax.Array,
  spec: ClipSpec,
  conventions: Conventions,
  first: int | jax.Array = 0,
) -> jax.Array:
  """Audio float32 [J * B, N] of all takes, at the level of the examples.

  Args:
    parts, jobs, spec, conventions: as for `make_takes`.
    grids: codes int32 [J, B, R, K], from column `first` of the whole query on; sound is made of whole clips.
    columns: int32 [J], how many of those are each query's own.
    example, example_codes: mels [J, F, E] and codes [J, R, K'].
  """
  # After a query's end its last codes go on, as the codec expects no silence there.
  clips = -(-grids.shape[3] // spec.code_columns)
  place = jnp.minimum(jnp.arange(clips * spec.code_columns), columns[:, None] - 1)
  grids = jnp.take_along_axis(grids, place[:, None, None], axis=3)
  takes, keys = grids.shape[1], _folded(_keys(jobs), jnp.uint32(_NO_WINDOW)).ravel()
  grids = grids.reshape(-1, *grids.shape[2:])
  at_once = max(1, int(_AT_ONCE_S / (clips * spec.seconds)))
  decoded = map_in_parts(parts["vqgan"].decode, example_codes, at_once) if conventions.detail_frames else None

  def one(take: jax.Array) -> jax.Array:
    mel = parts["vqgan"].decode(grids[take])
    if decoded is not None:
      job, frame = take // takes, first * spec.mel_per_column
      mel = with_detail(keys[take], mel, example[job], decoded[job], conventions.detail_frames, frame)
    return vocode(parts["vocoder"], mel, spec, conventions)

  return map_in_parts(one, jnp.arange(len(grids)), at_once)


def placed(audio: jax.Array, samples: int, spec: ClipSpec, conventions: Conventions) -> jax.Array:
  """Audio [B, samples] of what the vocoder made of codes or mel, which may begin later than the clip."""
  late = jnp.pad(audio, ((0, 0), (windows.delay(spec, conventions), 0)))[:, :samples]
  return jnp.pad(late, ((0, 0), (0, samples - late.shape[1])))


def limit(audio: jax.Array) -> jax.Array:
  """Audio [..., N], each take turned down where it would clip, so that it depends on no other."""
  peak = jnp.abs(audio).max(axis=-1, keepdims=True)
  return audio / jnp.maximum(peak / _PEAK, 1.0)
