"""Runs every benchmark and writes `OUT/<name>.json`: a list of rows that compare ours with a named alternative.

Row: {"case", "ours", "other", "against", "unit", "ratio", "goal", "device"}; `ratio` is how many times better ours is.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import demand, pairs, sampler, training

BENCHMARKS = {"sampler": sampler.rows, "pairs": pairs.rows, "demand": demand.rows, "training": training.rows}


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", type=Path, default=Path("out/bench"))
  out = parser.parse_args().out
  out.mkdir(parents=True, exist_ok=True)
  for name, measure in BENCHMARKS.items():
    rows = measure()
    (out / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
      print("{case}: {ours:.3g} {unit}, {against} {other:.3g}; {ratio:.1f} x".format(**row))
  return 0


if __name__ == "__main__":
  sys.exit(main())
