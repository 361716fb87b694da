"""Test set and systems in, records and metrics out; a run that was stopped goes on where it was."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

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
  identity = {"data": tests.identity, "judges": judges.id, "scores": scoring.VERSION}
  truth = Records(out / "records" / "truth.jsonl", identity)
  kept = {
    system: Records(out / "records" / f"{system}.jsonl", identity | {"made with": group.identity[system]})
    for group in groups
    for system in group.systems
  }
  for index, name in enumerate(tests.names):
    interrupt.check()
    # Of a group some may be there: a run was killed between two of them, or did not want the others.
    missing = {system for system in kept if name not in kept[system] or sounds.lacks(name, system)}
    left = [group._replace(systems=tuple(s for s in group.systems if s in missing)) for group in groups]
    left = [group for group in left if group.systems]
    if left or name not in truth:
      item = tests[index]
      seen = judges.watch(item.query)
      for group in left:
        made = group.make(index, item)
        wanted = _checked({system: made[system] for system in group.systems}, item)
        sounds.keep(item, wanted)
        for system, audio in wanted.items():
          if name not in kept[system]:
            kept[system].add({"item": name, **scoring.score(item, audio, judges, seen)})
      if name not in truth:
        truth.add(scoring.truth(item, judges, seen))
    progress(index + 1, len(tests))
  in_order = lambda records: [records[name] for name in tests.names]
  return _summary(in_order(truth), {system: in_order(records) for system, records in kept.items()})


def _checked(sounds: Sounds, item: Item) -> Sounds:
  """Raises ValueError if a system made no sound of the right length: a fault of ours, which no metric is to hide."""
  size = len(item.sounds.target.audio_N)
  for system, audio in sounds.items():
    if audio.shape != (size,) or not np.isfinite(audio).all():
      raise ValueError(f"{system} made {audio.shape} samples of {size}, or some that are not finite, for {item.name}")
  return sounds


def _summary(truth: Sequence[scoring.Record], scores: Mapping[str, Sequence[scoring.Record]]) -> dict:
  metrics = summary.summarise(truth, scores, BASELINES)
  return {
    "systems": {name: found for name, found in metrics.items() if name not in CEILINGS},
    "ceilings": {name: found for name, found in metrics.items() if name in CEILINGS},
    "comparisons": summary.compare(truth, scores),
    "preferences": summary.preferences(truth, scores),
    "classifier": summary.judged(truth),
  }
