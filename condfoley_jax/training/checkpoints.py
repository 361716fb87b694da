"""Orbax checkpoints: training state, the data iterator's state and the key as one step, and scores beside them."""

import contextlib
import dataclasses
import json
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, LatestN, PreservationPolicy

from condfoley_jax.training.scores import Scores
from condfoley_jax.training.state import TrainState
from data_pipelines.errors import InputError
from data_pipelines.interrupt import Interrupted

_LAST = 2


def _is_news(record: logging.LogRecord) -> bool:
  """Not so where Orbax tells that it was interrupted while it waited: whoever interrupted it knows."""
  return not (record.exc_info and isinstance(record.exc_info[1], Interrupted))


logging.getLogger("absl").addFilter(_is_news)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
  """A read that fails leaves others under way that fail too, in the block or after it: one is told of, not all."""
  logger = logging.getLogger("asyncio")
  logger.disabled = True
  try:
    yield
  except Exception:
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    raise
  logger.disabled = False  # Not after a failure.


@dataclasses.dataclass(frozen=True)
class Best:
  """By which validation score a step is the best: by the lowest, or by the highest."""

  score: str
  highest: bool

  def __call__(self, scores: Mapping[str, float]) -> float:
    """What is to be as high as can be; -inf where the score is missing, or is no number."""
    value = scores.get(self.score, math.nan)
    return -math.inf if math.isnan(value) else value if self.highest else -value


def read_best(text: str, scores: Sequence[str]) -> Best | None:
  """`SCORE:min` or `SCORE:max`, SCORE being one of `scores`; None if it is empty.

  Raises:
    InputError: it is neither, or there is no such score.
  """
  name, _, wanted = text.partition(":")
  if text and wanted not in ("min", "max"):
    raise InputError(f"--config.keep_best: `{text}` is not SCORE:min or SCORE:max; there are {', '.join(scores)}")
  if text and name not in scores:
    raise InputError(f"--config.keep_best: no score of {text}; there are {', '.join(scores)}")
  return Best(name, wanted == "max") if text else None


class Restored(NamedTuple):
  """A saved step: its state, the data iterator's state, and the key."""

  state: TrainState
  iterator_state: Any
  key: jax.Array


@dataclasses.dataclass
class _Only(PreservationPolicy):
  """Keeps the step that a function picks, if it picks one."""

  pick: Callable[[Sequence[int]], int | None]

  def should_preserve(self, checkpoints, *, context) -> list[bool]:
    picked = self.pick([found.step for found in checkpoints])
    return [found.step == picked for found in checkpoints]


class Checkpoints:
  """Steps under `directory`: the last two and the best; saving goes on in the background.

  Args:
    directory: made if it is not there.
    best: None keeps no step for its score.

  Attributes:
    scores: of its steps.

  Raises:
    InputError: the directory cannot be written, here or by any method; the checkpoints in it stay as they were. A
      checkpoint is damaged.
  """

  def __init__(self, directory: Path, *, best: Best | None = None):
    self._directory = Path(directory).resolve()
    self._best = best
    self.scores = Scores(self._directory)
    policy = AnyPreservationPolicy([LatestN(_LAST), _Only(self._best_of)])
    with self._told():
      options = ocp.CheckpointManagerOptions(preservation_policy=policy, create=True)
      self._manager = ocp.CheckpointManager(self._directory, options=options)
    # Of steps that were scored and not saved when the run was killed nothing is known any more.
    self.scores.keep(self._manager.all_steps())

  def latest(self) -> int | None:
    """The last complete step, or None."""
    return self._manager.latest_step()

  def best(self) -> int | None:
    """The step with the best score; None where none is kept for it, or none was scored."""
    return self._best_of(self._manager.all_steps())

  def _best_of(self, steps: Iterable[int]) -> int | None:
    scored = [step for step in steps if step in self.scores]
    if not (self._best and scored):
      return None
    return max(scored, key=lambda step: (self._best(self.scores[step]), step))

  def save(self, step: int, state: TrainState, iterator_state: Any, key: jax.Array) -> None:
    """Starts saving; returns once the arrays are copied off the device. Its scores, if it has some, are noted before:
    what is the best is kept, and what no longer is, is deleted."""
    data = {"iterator": _text(iterator_state), "key": jax.random.key_data(key).tolist()}
    args = ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data))
    with self._told():
      self._manager.save(step, args=args)

  def restore(self, step: int, like: TrainState) -> Restored:
    """What was saved of a step, with the shapes and shardings of `like`, whatever mesh it was saved on."""
    args = ocp.args.Composite(state=ocp.args.StandardRestore(like), data=ocp.args.JsonRestore())
    try:
      with self._told(), _reading():
        found = self._manager.restore(step, args=args)
      data = found["data"]
      key = jax.random.wrap_key_data(jax.numpy.asarray(data["key"], "uint32"))
      return Restored(found["state"], json.loads(data["iterator"]), key)
    except InputError:
      raise
    except (ValueError, TypeError, KeyError, OSError) as error:
      folder = self._directory / str(step)
      raise InputError(f"{folder}: damaged, or of another config; move it away to go on from the one before") from error

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
