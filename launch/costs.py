"""What the trainings of a sweep would take on slices: rehearsed for them, and priced by a table that one can edit."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.errors import InputError
from launch import machines

PRICES = Path(__file__).with_name("prices.csv")
# A step is taken to last so many times its roofline: the roofline hides everything behind what takes longest, and reads
# nothing. What a first run shows is to be put in its place.
STEP_PER_ROOFLINE = 2.5
# Hours that chips are paid for besides, each run: until they are installed, have compiled, and are given back.
OVERHEAD_HOURS = 0.3
_COLUMNS = ("chip", "capacity", "usd_per_chip_hour")


class Cost(NamedTuple):
  """Of one training: whether it fits, hours, chips times hours, and US dollars; None where no price is known."""

  name: str
  fits: bool
  step_s: float | None
  hours: float | None
  chip_hours: float | None
  usd: float | None


def read_prices(path: Path) -> dict[tuple[str, str], float]:
  """US dollars for an hour of a chip, by chip and capacity.

  Raises:
    InputError: it is no such table.
  """
  try:
    with path.open(newline="", encoding="utf-8") as file:
      rows = list(csv.DictReader(file))
    return {(row["chip"], row["capacity"]): float(row["usd_per_chip_hour"]) for row in rows}
  except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
    raise InputError(f"{path}: no table of prices ({error}); give a CSV file with {', '.join(_COLUMNS)}") from error


def cost(
  name: str, words: Sequence[str], steps: int, topology: str, slices: int, usd_per_chip_hour: float | None
) -> Cost:
  """Rehearses a training.

  Args:
    name: of the run.
    words: `condfoley train`'s flags: --config and what changes it.
    steps: it takes.
    topology, slices: of each slice, and how many.
    usd_per_chip_hour: None where it is not known.

  Raises:
    InputError: it cannot be rehearsed.
  """
  found = _rehearsed(name, words, topology, slices)
  if not found["fits"]:
    return Cost(name, False, None, None, None, None)
  step_s = found["roofline_s"] * STEP_PER_ROOFLINE
  hours = steps * step_s / 3600 + OVERHEAD_HOURS
  chip_hours = hours * slices * machines.of(topology).chips
  return Cost(name, True, step_s, hours, chip_hours, usd_per_chip_hour and chip_hours * usd_per_chip_hour)


def _rehearsed(name: str, words: Sequence[str], topology: str, slices: int) -> Mapping:
  # In a process of its own, that has no devices yet.
  command = [sys.executable, "-m", "launch.rehearse", "--topology", topology, "--slices", str(slices), *words]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise InputError(f"{name}: {(done.stderr.strip().splitlines() or ['not rehearsed'])[-1]}")
  return json.loads(done.stdout)


def table(costs: Sequence[Cost], topology: str, slices: int, capacity: str, evaluations: int) -> str:
  """The costs, and their sum, for people; evaluations are not in it."""
  where = topology if slices == 1 else f"{slices} x {topology}"
  taken = f"a step taken for {STEP_PER_ROOFLINE} times its roofline, {OVERHEAD_HOURS} hours besides for each run"
  lines = [f"On {where}, {capacity}; {taken}; {evaluations} evaluations, on one host each, not in it:", ""]
  lines += ["| run | fits | step, ms | hours | chip-hours | USD |", "|---|---|---|---|---|---|"]
  for one in costs:
    step_ms = None if one.step_s is None else 1000 * one.step_s
    cells = (_number(step_ms), _number(one.hours), _number(one.chip_hours), _number(one.usd))
    lines.append(f"| {one.name} | {'yes' if one.fits else 'no'} | " + " | ".join(cells) + " |")
  total = lambda values: None if None in values else sum(values)
  hours, usd = total([one.chip_hours for one in costs]), total([one.usd for one in costs])
  return "\n".join([*lines, f"| all | | | | {_number(hours)} | {_number(usd)} |", ""])


def _number(value: float | None) -> str:
  return "-" if value is None else f"{value:.3g}"
