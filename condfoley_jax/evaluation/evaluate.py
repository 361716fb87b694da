"""Test set and systems in, records and metrics out; a run that was stopped goes on where it was."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

import condfoley_jax
from condfoley_jax.evaluation import scoring, summary
from condfoley_jax.evaluation.judges import Judges
from condfoley_jax.evaluation.records import Records
from condfoley_jax.evaluation.systems import BASELINES, CEILINGS, Group, Sounds
from condfoley_jax.evaluation.test_set import Item, TestSet
from data_pipelines import interrupt


class Kept(Protocol):
  """Sounds that are kept to be heard: of some items, by system."""

  def keep(self, item: Item, sounds: Sounds) -> None:
    """Is given the sounds of each item when they are made."""

  def lacks(self, name: str, system: str) -> bool:
    """Whether the sound of an item is to be made again."""


def run(
  tests: TestSet,
  judges: Judges,
  groups: Sequence[Group],
  out: Path,
  *,
  sounds: Kept,
  progress: Callable[[int, int], None],
) -> dict:
  """Scores every system on every item.

  Args:
    tests, judges: see there.
    groups: of systems.
    out: folder for `records/`.
    sounds: those that are kept.
    progress: called with (items done, items).

  Returns:
    "systems", "ceilings", "comparisons" and "classifier" of metrics.json.

  Raises:
    InputError: records in `out` are of another evaluation.
  """
  # The version says that a seed gives the same take, on one kind of device: accelerators have narrower weights.
  code = {"version": condfoley_jax.__version__, "backend": jax.default_backend(), "scores": scoring.VERSION}
  identity = {"data": tests.identity, "judges": judges.id, **code}
  truth = Records(out / "records" / "truth.jsonl", identity)
  kept = {
    system: Records(out / "records" / f"{system}.jsonl", identity | {"made with": group.identity[system]})
    for group in groups
    for system in group.systems
  }
  book = _Book(judges, truth, kept, sounds)
  # One item is scored, which takes a core, while the sounds of the next are made.
  with ThreadPoolExecutor(1) as pool:
    scored: Future | None = None
    for index, name in enumerate(tests.names):
      interrupt.check()
      if missing := book.missing(name):
        # Of a group some may be there: a run was killed between two of them, or did not want the others.
        left = [group._replace(systems=tuple(s for s in group.systems if s in missing)) for group in groups]
        item = tests[index]
        made = [_made(group, index, item) for group in left if group.systems]
        if scored:
          scored.result()
        scored = pool.submit(book.enter, item, made)
      progress(index, len(tests))
    if scored:
      scored.result()
  progress(len(tests), len(tests))
  in_order = lambda records: [records[name] for name in tests.names]
  return _summary(in_order(truth), {system: in_order(records) for system, records in kept.items()})


class _Book:
  """Where the scores of items go."""

  def __init__(self, judges: Judges, truth: Records, kept: Mapping[str, Records], sounds: Kept):
    self._judges, self._truth, self._kept, self._sounds = judges, truth, kept, sounds

  def missing(self, name: str) -> set[str]:
    """Systems of which an item lacks the score or the sound, and "truth" where its own record is not there."""
    lacking = {s for s, records in self._kept.items() if name not in records or self._sounds.lacks(name, s)}
    return lacking | ({"truth"} if name not in self._truth else set())

  def enter(self, item: Item, made: Sequence[Sounds]) -> None:
    """Scores the sounds of groups, one that several systems chose once, and then what is true of the item."""
    seen, scores = self._judges.watch(item.query), {}
    for sounds in made:
      self._sounds.keep(item, sounds)
      for system, audio in sounds.items():
        if item.name in self._kept[system]:
          continue
        key = audio.tobytes()
        if key not in scores:
          scores[key] = scoring.score(item, audio, self._judges, seen)
        self._kept[system].add({"item": item.name, **scores[key]})
    if item.name not in self._truth:
      self._truth.add(scoring.truth(item, self._judges, seen))


def _made(group: Group, index: int, item: Item) -> Sounds:
  """Sounds of the group's systems.

  Raises:
    ValueError: one has the wrong length, or is not finite: a fault of ours, which no metric is to hide.
  """
  made, size = group.make(index, item), len(item.sounds.target.audio_N)
  for system in group.systems:
    if made[system].shape != (size,) or not np.isfinite(made[system]).all():
      shape = made[system].shape
      raise ValueError(f"{system} made {shape} samples of {size}, or some that are not finite, for {item.name}")
  return {system: made[system] for system in group.systems}


def _summary(truth: Sequence[scoring.Record], scores: Mapping[str, Sequence[scoring.Record]]) -> dict:
  metrics = summary.summarise(truth, scores, BASELINES)
  return {
    "systems": {name: found for name, found in metrics.items() if name not in CEILINGS},
    "ceilings": {name: found for name, found in metrics.items() if name in CEILINGS},
    "comparisons": summary.compare(truth, scores),
    "preferences": summary.preferences(truth, scores),
    "classifier": summary.judged(truth),
  }
