"""Rehearses the runs that the project names, and writes the table of them: python -m launch.rehearsals --out FILE.md"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = """# Rehearsals

Training steps compiled for TPU slices by libtpu, without a TPU: `python -m launch.rehearsals --out docs/rehearsals.md`.
Bytes, operations and times are of one device in one step; GB are 10^9 bytes. A roofline is the longest of three times,
each at the chip's limit, were all else hidden behind it; a step takes longer than that. Each row is what

    python -m launch.rehearse --config CONFIG --topology SLICE CHANGES

prints with the changes named below the table.

"""
_COLUMNS = (
  ("config", lambda row: row["config"].removeprefix("configs/").replace(".py", "")),
  ("slice", lambda row: row["topology"]),
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
)


class Run(NamedTuple):
  """config: `configs/X.py:PRESET`; topology: of the slice; changes: `--config.key=value`."""

  config: str
  topology: str
  changes: tuple[str, ...] = ()


# Frames and sound are read once, before.
_LARGE = ("--config.data.cache=out/cache",)
RUNS = (
  *(
    Run(f"configs/{stage}.py:paper", topology)
    for stage in ("vqgan", "transformer")
    for topology in ("v5e:2x4", "v5e:4x4")
  ),
  *(Run("configs/transformer.py:large", topology, _LARGE) for topology in ("v5e:16x16", "v4:4x4x8")),
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
      rows.append(_rehearse(run))
    except subprocess.CalledProcessError as error:
      print(f"rehearsals: `{' '.join(error.cmd[1:])}` failed; nothing is written", file=sys.stderr)
      return 2
  out.write_text(table(rows, RUNS))
  return 0


def _rehearse(run: Run) -> dict[str, Any]:
  """In a process of its own: a compiler keeps its memory."""
  command = [sys.executable, "-m", "launch.rehearse", "--config", run.config, "--topology", run.topology, *run.changes]
  result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(result.stdout)


def table(rows: list[Mapping[str, Any]], runs: tuple[Run, ...]) -> str:
  """Markdown of rehearsals and of the changes that they were made with."""
  lines = ["| " + " | ".join(name for name, _ in _COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
  lines += ["| " + " | ".join(cell(row) for _, cell in _COLUMNS) + " |" for row in rows]
  changed = [f"- {run.config} on {run.topology}: `{' '.join(run.changes)}`" for run in runs if run.changes]
  return _HEAD + "\n".join([*lines, "", *changed]) + "\n"


def _giga(size: int | None) -> str:
  return _of(size, 1e9)


def _of(number: float | None, unit: float) -> str:
  return "" if number is None else f"{number / unit:.3g}"


def _times(seconds: Mapping[str, float] | None) -> str:
  return "" if seconds is None else " / ".join(f"{1000 * s:.3g}" for s in seconds.values())


if __name__ == "__main__":
  sys.exit(main())
