"""Test set and systems in, records and metrics out; a run that was stopped goes on where it was."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from condfoley_jax.evaluation import scoring, summary
from condfoley_jax.evaluation.judges import Judges
from condfoley_jax.evaluation.records import Records
from condfoley_jax.evaluation.systems import BASELINES, CEILINGS, Group, Sounds
from condfoley_jax.evaluation.test_set import Item, TestSet
from data_pipelines import interrupt

Keep = Callable[[Item, Sounds], None]


def run(
  tests: TestSet,
  judges: Judges,
  groups: Sequence[Group],
  out: Path,
  *,
  keep: Keep,
  progress: Callable[[int, int], None],
) -> dict:
  """Scores every system on every item.

  Args:
    tests, judges: see there.
    groups: of systems.
    out: folder for `records/`.
    keep: is given the sounds of each item, by system, when they are made.
    progress: called with (items done, items).

  Returns:
    "systems", "ceilings", "comparisons" and "classifier" of metrics.json.

  Raises:
    InputError: records in `out` are of another evaluation.
  """
  common = {"data": tests.identity, "judges": judges.id}
  truth = Records(out / "records" / "truth.jsonl", common)
  kept = {g.name: Records(out / "records" / f"{g.name}.jsonl", common | {"made with": g.identity}) for g in groups}
  for index, name in enumerate(tests.names):
    interrupt.check()
    left = [group for group in groups if name not in kept[group.name]]
    if left or name not in truth:
      item = tests[index]
      seen = judges.watch(item.query)
      for group in left:
        made = group.make(index, item)
        sounds = _checked({system: made[system] for system in group.systems}, item)
        keep(item, sounds)
        scored = {system: scoring.score(item, audio, judges, seen) for system, audio in sounds.items()}
        kept[group.name].add({"item": name, **scored})
      if name not in truth:
        truth.add(scoring.truth(item, judges, seen))
    progress(index + 1, len(tests))
  scores = {system: [r[system] for r in kept[g.name]] for g in groups for system in g.systems}
  return _summary(list(truth), scores)


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
    "classifier": summary.judged(truth),
  }
