"""Fills a cache of what a stage's frozen models make of the pairs of the first epochs, augmentation included.

Every process fills its own shards on its own devices and goes on where a stopped one ended. After each shard it hears
whether the others got on too, so that none waits for one that failed. Runs may fill one cache at the same time: a
pair's content depends on the seed, its epoch and its place in it alone.
"""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.experimental import multihost_utils

from condfoley_jax import sharding
from condfoley_jax.stages.stage import Batch, Trained
from condfoley_jax.stages.transformer import TransformerStage
from data_pipelines import dataset
from data_pipelines.errors import InputError
from data_pipelines.pipeline import Pairs
from data_pipelines.side_shards import Plan, SideShards

# Frames of so many pairs fit any device we name.
_PAIRS_PER_DEVICE = 8
_REPORT_S = 10.0
_FROZEN = ("vqgan", "video_encoder")
# What makes sound of codes has no part in the codes that a sound has: a new decoder leaves a cache as it is.
_UNREAD = ("decoder", "post_quant_conv")
# Of the conventions; the others are about sampling.
_CONVENTIONS = ("bn_mode", "level")
# Bytes of what processes tell one another.
_MESSAGE = 1024
_CRASHED = "another process of this run failed"
Result = TypeVar("Result")


class OtherFailed(Exception):
  """Another process of the run failed, of nothing that was given to it: a second start may mend it."""


@dataclasses.dataclass(frozen=True)
class Share:
  """Part of the shards that a process fills: the `index`-th of `count`."""

  index: int = 0
  count: int = 1


def filled(
  stage: TransformerStage, model: nnx.Module, pairs: Pairs, *, share: Share, report: Callable[[str], None]
) -> SideShards:
  """The cache that `stage.config.data` asks for; makes the shards that are not there.

  Args:
    stage: whose inputs they are.
    model: the stage's; its frozen parts are used.
    pairs: that training reads.
    share: of this process; shards `index`, `index + count`, ... are made here.
    report: told how far it is.

  Raises:
    InputError: the folder holds another cache, a record cannot be read or a shard written, here or in another process.
  """
  frozen = Trained(**{name: getattr(model, name) for name in _FROZEN})
  plan = _together(share, lambda: _begun(stage, frozen, pairs, first=share.index == 0))
  own = range(share.index, plan.shards, share.count)
  missing = [shard for shard in own if not plan.has(shard)]
  tell = _Progress(sum(len(plan.places(shard)) for shard in missing), report)
  maker = functools.cache(lambda: _Maker(stage, frozen))
  for first in range(0, plan.shards, share.count):
    shard = first + share.index
    _together(share, lambda shard=shard: _fill(plan, shard, maker, pairs, tell) if shard in missing else None)
  return _together(share, lambda: SideShards(plan))


def _begun(stage: TransformerStage, frozen: nnx.Module, pairs: Pairs, *, first: bool) -> Plan:
  plan = _plan(stage, frozen, pairs)
  if first:
    plan.begin()
  return plan


def _fill(plan: Plan, shard: int, maker: Callable[[], "_Maker"], pairs: Pairs, tell: "_Progress") -> None:
  places = plan.places(shard)
  if plan.has(shard):  # By now: another run fills the same cache.
    tell.skip(len(places))
  else:
    plan.write(shard, tell(maker()(pairs, places)))


def _together(share: Share, work: Callable[[], Result]) -> Result:
  """What `work` gives here, once it is done in every process.

  Raises:
    InputError: an input cannot be used in another one.
    OtherFailed: another one failed otherwise.
  """
  result, failure = None, None
  try:
    result = work()
  except Exception as e:
    failure = e
  messages = _told_by_all(_message(failure)) if share.count > 1 else []
  if failure:
    raise failure
  if told := next(filter(None, messages), None):
    raise OtherFailed(told) if told.startswith(_CRASHED) else InputError(told)
  return result


def _message(failure: Exception | None) -> str:
  if failure is None or isinstance(failure, InputError):
    return str(failure or "")
  return f"{_CRASHED} ({dataset.short(failure)}); see what it says"


def _told_by_all(message: str) -> list[str]:
  """The message of every process."""
  raw = np.frombuffer(message.encode()[:_MESSAGE].ljust(_MESSAGE), np.uint8)
  return [bytes(row).decode(errors="replace").strip() for row in np.asarray(multihost_utils.process_allgather(raw))]


class _Maker:
  """Inputs of pairs, computed on this process's devices, over which the pairs are split."""

  def __init__(self, stage: TransformerStage, frozen: nnx.Module):
    mesh = sharding.make_mesh(devices=jax.local_devices())
    self._split, self._batch_size = sharding.batch_sharding(mesh), _PAIRS_PER_DEVICE * mesh.size
    graph, state = nnx.split(frozen)
    # From here, as no process may move what lies on the devices of others.
    self._state = jax.device_put(jax.device_get(state), sharding.replicated(mesh))
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
  config, data = stage.config, stage.config["data"]
  example = jax.tree.map(lambda x: x[None], pairs(0, 0))
  shapes = nnx.eval_shape(lambda model: stage.inputs(model, example, jax.random.key(0)), frozen)
  read = -(-config["steps"] * config["batch_size"] // len(pairs))
  return Plan(
    directory=epath.Path(data["cache"]),
    examples=len(pairs),
    epochs=min(data["cache_epochs"], read),
    arrays={name: (str(x.dtype), x.shape[1:]) for name, x in shapes.items()},
    made_with=_made_with(stage, frozen),
  )


def _made_with(stage: TransformerStage, frozen: nnx.Module) -> dict[str, Any]:
  """All that a pair's inputs depend on."""
  config, data = stage.config, stage.config["data"]
  return {
    **{name: config[name] for name in ("seed", "dtype", "clip", "sound", "picture")},
    "conventions": {name: config["conventions"][name] for name in _CONVENTIONS},
    **{f"data.{name}": data[name] for name in ("mode", "overlap", "at_event")},
    "data.train": dataset.sha256(epath.Path(data["train"]) / dataset.FILE_NAME)[:16],
    **{name: _described(getattr(frozen, name)) for name in _FROZEN},
  }


def _described(module: nnx.Module) -> dict[str, Any]:
  """A frozen module's config, and a hash of all of it that is read."""
  digest = hashlib.sha256()
  read = {name: value for name, value in nnx.to_pure_dict(nnx.state(module)).items() if name not in _UNREAD}
  for path, value in jax.tree_util.tree_leaves_with_path(read):
    array = np.asarray(value)
    digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
  return {"config": dataclasses.asdict(module.config), "weights": digest.hexdigest()[:16]}


class _Progress:
  """Passes pairs on and tells how many have passed."""

  def __init__(self, total: int, report: Callable[[str], None]):
    self._total, self._report, self._done = total, report, 0
    self._start = self._told = time.monotonic()

  def skip(self, count: int) -> None:
    """So many will not pass."""
    self._total -= count

  def __call__(self, rows: Iterator[Mapping[str, np.ndarray]]) -> Iterator[Mapping[str, np.ndarray]]:
    for row in rows:
      yield row
      self._done += 1
      now = time.monotonic()
      if now - self._told >= _REPORT_S or self._done == self._total:
        left = (self._total - self._done) * (now - self._start) / self._done / 60
        self._report(f"cache {self._done}/{self._total} pairs" + (f"  {left:.0f} min left" if left else ""))
        self._told = now
