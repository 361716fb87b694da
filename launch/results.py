"""What the runs of a sweep have come to: a row for each, as CSV, a table in Markdown and a plot."""

import collections
import csv
import io
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats

from condfoley_jax.training import run_config
from condfoley_jax.training.checkpoints import read_best
from configs.sweeps import Run, Train

PLACE = ("run", "seed", "config_hash", "commit", "status")
# Of many metrics those that the table and the plot show.
_SHOWN = (
  "validation/loss",
  "material_accuracy",
  "action_accuracy",
  "onset_count_accuracy",
  "onset_f1_100ms",
  "onset_f1_50ms",
  "onset_ap",
  "sync_in_time",
)
_PANEL_IN = (4.0, 0.22)
_ACROSS = 4
# In front of the names of validation scores in a training's metrics.
_VALIDATION = "validation/"
# Behind the names of an evaluation's metrics: the ends of their 95 % intervals, over videos.
_LOW, _HIGH = "_low", "_high"
_WHAT_INTERVALS_ARE = (
  "95 % intervals: ± over seeds (Student's t), where there are two or more; of one seed, in parentheses, over the "
  "videos that were evaluated."
)

Row = dict[str, object]


class Estimate(NamedTuple):
  """What a metric of a run is thought to be.

  Attributes:
    value: the mean over seeds.
    low: of its 95 % interval, over seeds if there are several, else over videos; NaN where nothing says.
    high: likewise.
    seeds: of how many.
  """

  value: float
  low: float
  high: float
  seeds: int


def rows_of(run: Run, folder: Path | None, place: Mapping[str, object]) -> list[Row]:
  """The rows of one run: of a training the validation scores of its weights, of an evaluation one row per system.

  Args:
    folder: of the run; None where it is not done.
    place: values of `PLACE`, less the run's name.
  """
  name = run.name.rsplit("/", 1)[-1]
  if folder is None:
    return [{"run": name, **place}]
  if isinstance(run, Train):
    return [{"run": name, **place, **_scores(folder)}]
  systems = _systems(folder)
  return [{"run": system, **place, **metrics} for system, metrics in systems.items()]


def joined(rows: Iterable[Row]) -> list[Row]:
  """Rows of a training and of the evaluation of its weights as one: what either says; the training's place counts."""
  found: dict[tuple, Row] = {}
  for row in rows:
    key = row["run"], row["seed"]
    found[key] = row | found.get(key, {})
  return list(found.values())


def as_csv(rows: Sequence[Row]) -> str:
  """`PLACE`, then every metric that a row has, by name."""
  metrics = sorted({name for row in rows for name in row} - set(PLACE))
  text = io.StringIO(newline="")
  writer = csv.DictWriter(text, (*PLACE, *metrics))
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()


def as_table(rows: Sequence[Row], sweep: str) -> str:
  """Means over seeds, with their 95 % intervals."""
  shown = [name for name in _SHOWN if any(name in row for row in rows)]
  lines = [f"# {sweep}", "", "| run | seeds | status | " + " | ".join(f"`{name}`" for name in shown) + " |"]
  lines.append("|---" * (len(shown) + 3) + "|")
  for name, group in _by_run(rows).items():
    statuses = ", ".join(sorted({str(row["status"]) for row in group}))
    cells = [_cell(estimate(group, metric)) for metric in shown]
    lines.append(f"| {name} | {len(group)} | {statuses} | " + " | ".join(cells) + " |")
  return "\n".join([*lines, "", *textwrap.wrap(_WHAT_INTERVALS_ARE, 120), ""])


def as_plot(rows: Sequence[Row], sweep: str) -> bytes:
  """The same as a picture (PNG): a panel per metric, a line per run."""
  from matplotlib.figure import Figure

  shown = [name for name in _SHOWN if any(name in row for row in rows)]
  runs = _by_run(rows)
  width, height = _PANEL_IN
  across = max(1, min(_ACROSS, len(shown)))
  down = max(1, math.ceil(len(shown) / across))
  figure = Figure(figsize=(width * across, (1.2 + height * len(runs)) * down), layout="constrained")
  for panel, metric in enumerate(shown):
    axes = figure.add_subplot(down, across, panel + 1)
    for place, group in enumerate(runs.values()):
      if found := estimate(group, metric):
        # No bars: they would have to begin at 0, and losses differ in their second digit.
        axes.plot([found.low, found.high], [place, place], color="#333333")
        axes.plot(found.value, place, "o", color="#3b7ea1")
        values = _values(group, metric)
        axes.plot(values, [place] * len(values), "k.", markersize=3)
    axes.grid(axis="y", color="#dddddd")
    axes.set_ylim(-0.5, len(runs) - 0.5)
    axes.set_yticks(range(len(runs)), list(runs) if panel % across == 0 else [""] * len(runs))
    axes.invert_yaxis()
    axes.set_title(metric)
  figure.suptitle(sweep)
  content = io.BytesIO()
  figure.savefig(content, format="png", dpi=90)
  return content.getvalue()


def estimate(group: Sequence[Row], metric: str) -> Estimate | None:
  """Of the rows of a run, one per seed; None where no value is finite."""
  rows = [row for row in group if metric in row and math.isfinite(float(row[metric]))]
  values = _values(rows, metric)
  if not values:
    return None
  if len(values) == 1:
    low, high = (float(rows[0].get(metric + end, math.nan)) for end in (_LOW, _HIGH))
    return Estimate(values[0], low, high, 1)
  mean, error = float(np.mean(values)), np.std(values, ddof=1) / math.sqrt(len(values))
  half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * error)
  return Estimate(mean, mean - half, mean + half, len(values))


def _values(group: Sequence[Row], metric: str) -> list[float]:
  return [float(row[metric]) for row in group if metric in row]


def _cell(found: Estimate | None) -> str:
  if found is None:
    return "-"
  if found.seeds > 1:
    return f"{found.value:.3f} ± {found.high - found.value:.3f}"
  return f"{found.value:.3f}" + ("" if math.isnan(found.low) else f" ({found.low:.3f}, {found.high:.3f})")


def _by_run(rows: Sequence[Row]) -> dict[str, list[Row]]:
  found: dict[str, list[Row]] = collections.defaultdict(list)
  for row in rows:
    found[str(row["run"])].append(row)
  return found


def _scores(folder: Path) -> dict[str, float]:
  """The validation scores of the weights that a training has left: of its best step by `keep_best`, or of its last."""
  lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
  named = [{name: x for name, x in json.loads(line).items() if name.startswith(_VALIDATION)} for line in lines]
  # A score that is no number is null there.
  scored = [{name: x for name, x in one.items() if x is not None} for one in named if one]
  config = json.loads((folder / run_config.FILE_NAME).read_text(encoding="utf-8"))
  known = {name.removeprefix(_VALIDATION) for one in named for name in one}
  if not scored or not (best := read_best(config["keep_best"], sorted(known))):
    return scored[-1] if scored else {}
  # As checkpoints are kept: of steps that are as good the last.
  return max(reversed(scored), key=lambda one: best({name.removeprefix(_VALIDATION): x for name, x in one.items()}))


def _systems(folder: Path) -> dict[str, dict[str, float]]:
  """Metrics of each system, and the ends of their intervals."""
  told = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
  return {system: _metrics(metrics) for system, metrics in {**told["systems"], **told["ceilings"]}.items()}


def _metrics(found: Mapping[str, Mapping]) -> dict[str, float]:
  numbers = ({name: told["value"], **_interval(name, told["ci95"])} for name, told in found.items())
  return {name: number for few in numbers for name, number in few.items()}


def _interval(name: str, ends: Sequence[float]) -> dict[str, float]:
  return {name + _LOW: ends[0], name + _HIGH: ends[1]}
