"""Runs every benchmark, or those named, and writes `OUT/<name>.json`: rows that compare ours with an alternative.

Row: {"case", "ours", "other", "against", "unit", "ratio", "goal", "device"}; `ratio` is how many times better ours is.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import demand, long_query, pairs, sampler, training

BENCHMARKS = {
  "sampler": sampler.rows,
  "pairs": pairs.rows,
  "demand": demand.rows,
  "training": training.rows,
  "long_query": long_query.rows,
}


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", type=Path, default=Path("out/bench"))
  parser.add_argument("names", nargs="*", default=list(BENCHMARKS), help=", ".join(BENCHMARKS))
  args = parser.parse_args()
  if unknown := set(args.names) - set(BENCHMARKS):
    parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(BENCHMARKS)}")
  args.out.mkdir(parents=True, exist_ok=True)
  for name in args.names:
    rows = BENCHMARKS[name]()
    (args.out / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
      print("{case}: {ours:.3g} {unit}, {against} {other:.3g}; {ratio:.1f} x".format(**row))
  return 0


if __name__ == "__main__":
  sys.exit(main())
