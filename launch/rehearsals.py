"""Rehearses the runs that the project names, and writes the table of them: python -m launch.rehearsals --out FILE.md"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from condfoley_jax.commands import train
from launch import costs, topology

_HEAD = """# Rehearsals

Training steps compiled for TPU slices by libtpu, without a TPU: `python -m launch.rehearsals --out docs/rehearsals.md`.
Bytes, operations and times are of one device in one step; GB are 10^9 bytes. A roofline is the longest of three times,
each at the chip's limit, were all else hidden behind it; a step takes longer than that. Each row is what

    python -m launch.rehearse --config CONFIG --topology SLICE [--slices N] CHANGES

prints with the changes named below the table. Of several slices the last time is that between them. Chip-hours and
their price, on demand by `launch/prices.csv`, are of all steps of the config, a step taken for {per_roofline} times its
roofline: no run of these has been timed, and reading data is not in it.

"""
_COLUMNS = (
  ("config", lambda row: row["config"].removeprefix("configs/").replace(".py", "")),
  ("slice", lambda row: row["topology"] if row["slices"] == 1 else f"{row['slices']} x {row['topology']}"),
  ("mesh (data x fsdp x tensor)", lambda row: " x ".join(str(n) for n in row["mesh"].values())),
  ("batch", lambda row: str(row["batch_size"])),
  ("HBM of limit, GB", lambda row: f"{_giga(row['hbm_bytes']['needed'])} of {_giga(row['hbm_bytes']['limit'])}"),
  ("fits", lambda row: "yes" if row["fits"] else "no"),
  ("TFLOP", lambda row: _of(row["flops"], 1e12)),
  ("HBM traffic, GB", lambda row: _of(row["bytes_accessed"], 1e9)),
  ("sent, GB", lambda row: _of(row["collectives"] and sum(c["bytes"] for c in row["collectives"].values()), 1e9)),
  ("compute / HBM / network, ms", lambda row: _times(row["seconds"])),
  ("bound", lambda row: row["bound"] or ""),
  ("examples/s", lambda row: _of(row["examples_per_s"], 1)),
  ("steps", lambda row: str(row["steps"])),
  ("chip-hours", lambda row: _of(row["chip_hours"], 1)),
  ("USD", lambda row: _of(row["usd"], 1)),
)


class Run(NamedTuple):
  """config: `configs/X.py:PRESET`; topology: of a slice; changes: `--config.key=value`; slices: how many."""

  config: str
  topology: str
  changes: tuple[str, ...] = ()
  slices: int = 1


# Frames and sound are read once, before.
_LARGE = ("--config.data.cache=out/cache",)
RUNS = (
  *(
    Run(f"configs/{stage}.py:paper", topology)
    for stage in ("vqgan", "transformer")
    for topology in ("v5e:2x4", "v5e:4x4")
  ),
  *(Run("configs/transformer.py:large", topology, _LARGE) for topology in ("v5e:16x16", "v4:4x4x8")),
  # A copy on each slice: only gradients go between them.
  Run("configs/transformer.py:large", "v5e:16x16", (*_LARGE, "--config.mesh.data=2"), 2),
)


def main(argv: Sequence[str] | None = None) -> int:
  """0: done; 2: the file cannot be written, or a rehearsal failed, which has told why: one line on stderr."""
  parser = argparse.ArgumentParser(prog="rehearsals", description=__doc__)
  parser.add_argument("--out", type=Path, required=True, metavar="FILE.md")
  out = parser.parse_args(argv).out
  if not out.parent.is_dir():
    print(f"rehearsals: {out.parent}: no such folder; make it first", file=sys.stderr)
    return 2
  if out.is_dir():
    print(f"rehearsals: {out}: a folder; name a file", file=sys.stderr)
    return 2
  rows = []
  for run in RUNS:
    print(f"{run.config} on {run.topology}", file=sys.stderr, flush=True)
    try:
      rows.append(priced(_rehearse(run), run))
    except subprocess.CalledProcessError as error:
      print(f"rehearsals: `{' '.join(error.cmd[1:])}` failed; nothing is written", file=sys.stderr)
      return 2
  out.write_text(table(rows, RUNS))
  return 0


def _rehearse(run: Run) -> dict[str, Any]:
  """In a process of its own: a compiler keeps its memory."""
  several = ["--slices", str(run.slices)] if run.slices > 1 else []
  slices = ["--topology", run.topology, *several]
  command = [sys.executable, "-m", "launch.rehearse", "--config", run.config, *slices, *run.changes]
  result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(result.stdout)


def priced(row: Mapping[str, Any], run: Run) -> dict[str, Any]:
  """A rehearsal with its config's "steps", and the "chip_hours" and "usd" of all of them; None where not known."""
  steps = train.read_config(run.config, run.changes).steps
  found = {**row, "steps": steps, "chip_hours": None, "usd": None}
  if row["roofline_s"] is not None:
    found["chip_hours"] = steps * row["roofline_s"] * costs.STEP_PER_ROOFLINE / 3600 * row["devices"]
    price = costs.read_prices(costs.PRICES).get((topology.parse(run.topology)[0].name, "on-demand"))
    found["usd"] = price and found["chip_hours"] * price
  return found


def table(rows: list[Mapping[str, Any]], runs: tuple[Run, ...]) -> str:
  """Markdown of rehearsals and of the changes that they were made with."""
  lines = ["| " + " | ".join(name for name, _ in _COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
  lines += ["| " + " | ".join(cell(row) for _, cell in _COLUMNS) + " |" for row in rows]
  where = lambda run: run.topology if run.slices == 1 else f"{run.slices} x {run.topology}"
  changed = [f"- {run.config} on {where(run)}: `{' '.join(run.changes)}`" for run in runs if run.changes]
  return _HEAD.format(per_roofline=costs.STEP_PER_ROOFLINE) + "\n".join([*lines, "", *changed]) + "\n"


def _giga(size: int | None) -> str:
  return _of(size, 1e9)


def _of(number: float | None, unit: float) -> str:
  return "" if number is None else f"{number / unit:.3g}"


def _times(seconds: Mapping[str, float] | None) -> str:
  return "" if seconds is None else " / ".join(f"{1000 * s:.3g}" for s in seconds.values())


if __name__ == "__main__":
  sys.exit(main())
