"""Runs a sweep of configs/sweeps.py on this machine, one run after the other.

python -m launch.sweep --sweep NAME --out DIR: each run trains in DIR/NAME by `condfoley train`. What is done is not
done again: the same command goes on where a killed or failed one ended.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from configs.sweeps import SWEEPS, Run

_DONE = "done.json"


def main(argv: Sequence[str] | None = None) -> int:
  """0: all is trained; else the exit code of the run that failed, which has told why: one line on stderr."""
  parser = argparse.ArgumentParser(prog="sweep", description=__doc__)
  parser.add_argument("--sweep", choices=sorted(SWEEPS), required=True)
  parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
  parser.add_argument("--limit-steps", type=int, metavar="N", help="of each run, to see that all of them run")
  args = parser.parse_args(argv)
  runs = SWEEPS[args.sweep]()
  for number, run in enumerate(runs, 1):
    words = list(words_of(run, args.out, args.limit_steps))
    if _is_done(args.out / run.name, words):
      continue
    print(f"{number} of {len(runs)}: {run.name}", file=sys.stderr, flush=True)
    # In a process of its own: compilers keep their memory.
    if code := subprocess.run([sys.executable, "-m", "condfoley_jax.cli", *words], check=False).returncode:
      print(f"sweep: {args.out / run.name}: failed; the same command goes on with it", file=sys.stderr)
      return code
    (args.out / run.name / _DONE).write_text(json.dumps(words) + "\n", encoding="utf-8")
  return 0


def words_of(run: Run, out: Path, limit_steps: int | None) -> Iterator[str]:
  """Words of the `condfoley train` of a run in `out`."""
  yield from ("train", "--config", run.config, "--workdir", str(out / run.name))
  for key, name in run.pretrained.items():
    yield f"--config.pretrained.{key}={out / name / 'weights'}"
  if run.cache:
    yield f"--config.data.cache={out / 'caches' / run.cache}"
  for key, value in run.changes.items():
    yield f"--config.{key}={value}"
  if limit_steps:
    yield f"--config.steps={limit_steps}"


def _is_done(folder: Path, words: list[str]) -> bool:
  try:
    return json.loads((folder / _DONE).read_text(encoding="utf-8")) == words
  except (OSError, ValueError):
    return False


if __name__ == "__main__":
  sys.exit(main())
