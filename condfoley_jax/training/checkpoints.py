"""Orbax checkpoints: training state, the data iterator's state, the key and the scores as one step."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from condfoley_jax.training.state import TrainState
from data_pipelines.errors import InputError

_LAST = 2


class Checkpoints:
  """Steps under `directory`: the last two and the best; saving goes on in the background.

  Args:
    directory: made if it is not there.
    best: `SCORE:min` or `SCORE:max` of the validation scores, or empty to keep none for its score.

  Raises:
    InputError: the directory cannot be written, here or by any method; the checkpoints in it stay as they were.
  """

  def __init__(self, directory: Path, *, best: str = ""):
    self._directory = Path(directory).resolve()
    self._score, _, self._wanted = best.partition(":")
    keep = [LatestN(_LAST)]
    if best:
      lower = self._wanted == "min"
      score = lambda scores: -scores[self._score] if lower else scores[self._score]
      keep.append(BestN(get_metric_fn=score, n=1, keep_checkpoints_without_metrics=False))
    options = ocp.CheckpointManagerOptions(preservation_policy=AnyPreservationPolicy(keep), create=True)
    with self._told():
      self._manager = ocp.CheckpointManager(self._directory, options=options)

  def latest(self) -> int | None:
    """The last complete step, or None."""
    return self._manager.latest_step()

  def best(self) -> int | None:
    """The step with the best score; None where none is kept for it."""
    scored = [(self._manager.metrics(step), step) for step in self._manager.all_steps()] if self._score else []
    scored = [(scores[self._score], step) for scores, step in scored if scores]
    choose = min if self._wanted == "min" else max
    return choose(scored, default=(0.0, None))[1]

  def save(self, step: int, state: TrainState, iterator_state: Any, key: jax.Array, scores: dict[str, float]) -> None:
    """Starts saving; returns once the arrays are copied off the device. `scores` are empty where none were made."""
    data = {"iterator": _text(iterator_state), "key": jax.random.key_data(key).tolist()}
    args = ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data))
    with self._told():
      self._manager.save(step, args=args, metrics=scores or None)

  def restore(self, step: int, like: TrainState) -> tuple[TrainState, Any, jax.Array]:
    """State with the shapes and shardings of `like`, whatever mesh it was saved on; data iterator's state; key."""
    args = ocp.args.Composite(state=ocp.args.StandardRestore(like), data=ocp.args.JsonRestore())
    with self._told():
      found = self._manager.restore(step, args=args)
    key = jax.random.wrap_key_data(jax.numpy.asarray(found["data"]["key"], "uint32"))
    return found["state"], json.loads(found["data"]["iterator"]), key

  def wait(self) -> None:
    """Returns when what is being saved is on the disk."""
    with self._told():
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits, and lets go of the directory."""
    with self._told():
      try:
        self._manager.wait_until_finished()
      finally:
        self._manager.close()

  @contextlib.contextmanager
  def _told(self) -> Iterator[None]:
    """Turns what a disk that is full or may not be written to raises into one line."""
    try:
      yield
    except (OSError, ValueError, RuntimeError) as error:
      reason = _reason(error)
      if reason is None:
        raise
      raise InputError(
        f"{self._directory}: {reason}; make room or rights and run again: it goes on from the last checkpoint"
      ) from error


def _reason(error: BaseException | None) -> str | None:
  """What the disk said, in an error or those that it came of; None if it was no disk."""
  while error is not None:
    if isinstance(error, OSError) and error.strerror:
      return error.strerror
    if found := re.search(
      r"No space left on device|Permission denied|Read-only file system|File too large", str(error)
    ):
      return found.group()
    error = error.__cause__ or error.__context__
  return None


def _text(state: Any) -> str:
  # Grain gives bytes from some iterators and a dict from others; both are JSON inside.
  return state.decode() if isinstance(state, bytes) else json.dumps(state)
