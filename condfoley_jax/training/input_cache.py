"""Fills a cache of what a stage's frozen models make of the pairs of the first epochs, augmentation included.

Every process fills its own shards on its own devices, without a word to the others, and goes on where a stopped one
ended. A pair's content depends on the seed, its epoch and its place in it alone.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.experimental import multihost_utils

from condfoley_jax.stages.stage import Batch, Trained
from condfoley_jax.stages.transformer import TransformerStage
from condfoley_jax.training import sharding
from data_pipelines import dataset
from data_pipelines.pipeline import Pairs, Share
from data_pipelines.side_shards import Plan, SideShards

# Frames of so many pairs fit any device we name.
_PAIRS_PER_DEVICE = 8
_REPORT_S = 10.0
_FROZEN = ("vqgan", "video_encoder")


def filled(
  stage: TransformerStage, model: nnx.Module, pairs: Pairs, *, share: Share, report: Callable[[str], None]
) -> SideShards:
  """The cache that `stage.config.data` asks for; makes the shards that are not there.

  Args:
    stage: whose inputs they are.
    model: the stage's; its frozen parts are used.
    pairs: that training reads.
    share: shards `index`, `index + count`, ... are made here.
    report: told how far it is.

  Raises:
    InputError: the folder holds another cache, or a record cannot be read.
  """
  frozen = Trained(**{name: getattr(model, name) for name in _FROZEN})
  plan = _plan(stage, frozen, pairs)
  plan.begin()
  missing = [i for i in range(share.index, plan.shards, share.count) if not plan.path(i).exists()]
  if missing:
    make, tell = _Maker(stage, frozen), _Progress(sum(len(plan.places(i)) for i in missing), report)
    for shard in missing:
      plan.write(shard, tell(make(pairs, plan.places(shard))))
  if share.count > 1:
    multihost_utils.sync_global_devices("cache filled")
  return SideShards(plan)


class _Maker:
  """Inputs of pairs, computed on this process's devices, over which the pairs are split."""

  def __init__(self, stage: TransformerStage, frozen: nnx.Module):
    mesh = sharding.make_mesh(jax.local_devices())
    self._split, self._batch_size = sharding.batch_sharding(mesh), _PAIRS_PER_DEVICE * mesh.size
    graph, state = nnx.split(frozen)
    self._state = jax.device_put(state, sharding.replicated(mesh))
    key = jax.random.key(stage.config["seed"])

    def inputs(state, batch: Batch, places_Bx2: jax.Array) -> Batch:
      keys = jax.vmap(lambda place: jax.random.fold_in(jax.random.fold_in(key, place[0]), place[1]))(places_Bx2)
      return stage.inputs_by_pair(nnx.merge(graph, state), batch, keys)

    self._inputs = jax.jit(inputs)

  def __call__(self, pairs: Pairs, places: Sequence[tuple[int, int]]) -> Iterator[dict[str, np.ndarray]]:
    """Yields the inputs of each pair."""
    left = np.asarray(places)
    for batch in pairs.in_order(places, self._batch_size):
      at, left = left[: self._batch_size], left[self._batch_size :]
      whole = jax.tree.map(self._padded, (batch, at))
      made = jax.device_get(self._inputs(self._state, *jax.device_put(whole, self._split)))
      for row in range(len(at)):
        yield {name: value[row] for name, value in made.items()}

  def _padded(self, rows: np.ndarray) -> np.ndarray:
    """Repeats the last row: a smaller batch would be compiled for itself."""
    return np.pad(rows, [(0, self._batch_size - len(rows))] + [(0, 0)] * (rows.ndim - 1), mode="edge")


def _plan(stage: TransformerStage, frozen: nnx.Module, pairs: Pairs) -> Plan:
  data = stage.config["data"]
  example = jax.tree.map(lambda x: x[None], pairs(0, 0))
  shapes = nnx.eval_shape(lambda model: stage.inputs(model, example, jax.random.key(0)), frozen)
  return Plan(
    directory=epath.Path(data["cache"]),
    examples=len(pairs),
    epochs=data["cache_epochs"],
    arrays={name: (str(x.dtype), x.shape[1:]) for name, x in shapes.items()},
    made_with=_made_with(stage, frozen),
  )


def _made_with(stage: TransformerStage, frozen: nnx.Module) -> dict[str, Any]:
  """All that a pair's inputs depend on."""
  config, data = stage.config, stage.config["data"]
  return {
    "data": dataset.sha256(epath.Path(data["train"]) / dataset.FILE_NAME),
    **{name: data[name] for name in ("mode", "overlap")},
    **{name: config[name] for name in ("seed", "dtype", "clip", "conventions", "sound", "picture")},
    **{name: _digest(getattr(frozen, name)) for name in _FROZEN},
  }


def _digest(module: nnx.Module) -> str:
  """Of all that a module holds."""
  digest = hashlib.sha256()
  for path, value in jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(module))):
    array = np.asarray(value)
    digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
  return digest.hexdigest()[:16]


class _Progress:
  """Passes pairs on and tells how many have passed."""

  def __init__(self, total: int, report: Callable[[str], None]):
    self._total, self._report, self._done = total, report, 0
    self._start = self._told = time.monotonic()

  def __call__(self, rows: Iterator[Mapping[str, np.ndarray]]) -> Iterator[Mapping[str, np.ndarray]]:
    for row in rows:
      yield row
      self._done += 1
      now = time.monotonic()
      if now - self._told >= _REPORT_S or self._done == self._total:
        left = (self._total - self._done) * (now - self._start) / self._done / 60
        self._report(f"cache {self._done}/{self._total} pairs" + (f"  {left:.0f} min left" if left else ""))
        self._told = now
