"""`condfoley export`: the whole sampler, weights included, as one file that JAX alone runs on a CPU, a GPU or a TPU."""

import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from condfoley_jax.commands import maker as making
from condfoley_jax.commands import output
from condfoley_jax.commands.maker import Maker
from condfoley_jax.commands.settings import Settings
from condfoley_jax.sampling import program, rerank
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.rerank import over_segments
from data_pipelines import interrupt
from data_pipelines.errors import InputError

PLATFORMS = ("cpu", "cuda", "tpu")
_FILE = "exported"  # Until it has its name.


def run(out: Path, *, seconds: float, candidates: int, weights_dir: Path | None = None) -> None:
  """Writes the file: what `jax.export.deserialize` reads, a function of

      frames uint8 [F, S, S, 3], length int32, example_frames uint8 [T, S, S, 3], example_audio float32 [N],
      seeds uint32 [B], temperature float32, top_k int32, top_p float32, min_p float32, tau_s float32

  to {"audio": float32 [B, samples], "order": int32 [B], best first, "offset_s", "confidence": float32 [B], "seen":
  float32 [F]}. F is the whole number of clips that `seconds` takes, and `length` the frames of it that are the query's,
  1 to F (what is beyond is taken for the nearest); frames after them are not looked at. Sound, the example's and the
  takes', is in [-1, 1]; temperature and tau_s are 0 or more, top_k too (0 keeps all codes), top_p and min_p in [0, 1].
  Guidance is as the weights say.
  Nothing is checked: other numbers give takes that mean nothing.

  Args:
    out: the file.
    seconds: longest query.
    candidates: takes B.
    weights_dir: None for the shipped weights.

  Raises:
    InputError: the weights cannot be used or have no synchronisation network, so many takes fit into no memory, or
      `out` is there already or cannot be written.
  """
  _require_free(out)
  maker = Maker(weights_dir, Settings())
  if "sync_net" not in maker.weights.components:
    raise InputError(f"{maker.directory}: has no sync_net to rank takes by; train one with configs/sync.py")
  spec = maker.spec
  making.require_room(out, seconds, candidates, spec)
  frames = maker.generator.bucket(max(1, round(seconds * spec.fps)))
  clips = maker.generator.example_clips(frames)
  side = spec.frame_size
  number = lambda dtype: jax.ShapeDtypeStruct((), dtype)
  arguments = (
    jax.ShapeDtypeStruct((frames, side, side, 3), jnp.uint8),
    number(jnp.int32),
    jax.ShapeDtypeStruct((clips * spec.frames, side, side, 3), jnp.uint8),
    jax.ShapeDtypeStruct((spec.example_samples + (clips - 1) * spec.samples,), jnp.float32),
    jax.ShapeDtypeStruct((candidates,), jnp.uint32),
    *(number(dtype) for dtype in (jnp.float32, jnp.int32, jnp.float32, jnp.float32, jnp.float32)),
  )
  exported = export.export(jax.jit(functools.partial(_serve, maker)), platforms=PLATFORMS)(*arguments)
  with output.refused(out), interrupt.partial_folder(out.parent) as aside:
    (aside / _FILE).write_bytes(exported.serialize())
    with interrupt.held():
      _require_free(out)  # One may have come meanwhile.
      os.replace(aside / _FILE, out)


def _require_free(out: Path) -> None:
  """Says that the file cannot be written, or that there is one."""
  # `exists` tells of names that no file system takes, `lexists` does not.
  if out.exists() or out.is_symlink():
    raise InputError(f"{out}: is there already; remove it or choose another file for --out")
  output.require_place(out.parent)


def _serve(maker: Maker, frames, length, example_frames, example_audio, seeds, temperature, top_k, top_p, min_p, tau_s):
  length = jnp.clip(length, 1, frames.shape[0])
  frames = frames[jnp.minimum(jnp.arange(frames.shape[0]), length - 1)]
  one = program.Jobs(*(jnp.asarray(x)[None] for x in (frames, length, example_frames, example_audio, seeds)))
  sampling = Sampling(temperature, top_k, top_p, min_p, maker.sampling.guidance)
  weights = maker.weights
  made = program.make_takes(weights.components, one, sampling, spec=maker.spec, conventions=weights.conventions)
  whole = over_segments(rerank.Sync(*(x[0] for x in made.syncs)), -(-length // maker.spec.frames))
  return {
    "audio": program.limit(made.audio[0]),
    "order": rerank.rank(*whole, tau_s),
    "offset_s": whole.offset_s,
    "confidence": whole.confidence,
    "seen": made.seen[0],
  }
