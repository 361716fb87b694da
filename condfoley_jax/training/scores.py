"""Validation scores of a run's steps, in a file beside its checkpoints: what says which of them is the best."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
from etils import epath

from data_pipelines import lock
from data_pipelines.errors import InputError

FILE_NAME = "scores.json"


class Scores:
  """Scores by step. Every process knows them, the first one writes them.

  They are kept apart from the checkpoints, which are never written twice: a step may be scored long after it was saved.

  Args:
    directory: of the checkpoints.

  Raises:
    InputError: the file in it is damaged, or checkpoints hold their scores themselves, as once they did.
  """

  def __init__(self, directory: Path):
    self._path = directory / FILE_NAME
    self._by_step: dict[int, dict[str, float]] = {}
    if not self._path.exists():
      if any(directory.glob("[0-9]*/metrics")):
        raise InputError(f"{directory}: scores are kept as an older version did; name another --workdir")
      return
    try:
      found = json.loads(self._path.read_text(encoding="utf-8"))
      self._by_step = {int(step): dict(scores) for step, scores in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
      raise InputError(f"{self._path}: damaged; remove it, and no step before is taken for the best") from error

  def __contains__(self, step: int) -> bool:
    return step in self._by_step

  def __getitem__(self, step: int) -> dict[str, float]:
    return self._by_step[step]

  def note(self, step: int, scores: Mapping[str, float]) -> None:
    """Adds those of a step."""
    self._by_step[step] = dict(scores)
    self._write()

  def keep(self, steps: Iterable[int]) -> None:
    """Forgets all other steps."""
    kept = {step: self._by_step[step] for step in steps if step in self._by_step}
    if kept != self._by_step:
      self._by_step = kept
      self._write()

  def _write(self) -> None:
    if jax.process_index() == 0:
      with lock.aside(epath.Path(self._path)) as aside:
        aside.write_text(json.dumps(self._by_step, indent=1) + "\n")
