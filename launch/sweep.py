"""Runs a sweep of configs/sweeps.py on this machine, one run after the other.

python -m launch.sweep --sweep NAME --out DIR: each run trains in DIR/NAME by `condfoley train`. What is done is not
done again, as long as its config and those of the runs that it reads stay as they were: the same command goes on where
a killed or failed one ended.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from condfoley_jax.commands import train
from configs.sweeps import SWEEPS, Run
from data_pipelines.errors import InputError

# Holds the `identity` of what was trained.
_DONE = "done"


def main(argv: Sequence[str] | None = None) -> int:
  """0: all is trained; else the exit code of the run that failed, which has told why, or 2 where a config cannot be
  read: one line on stderr."""
  parser = argparse.ArgumentParser(prog="sweep", description=__doc__)
  parser.add_argument("--sweep", choices=sorted(SWEEPS), required=True)
  parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
  parser.add_argument("--limit-steps", type=int, metavar="N", help="of each run, to see that all of them run")
  args = parser.parse_args(argv)
  runs, done = SWEEPS[args.sweep](), {}
  for number, run in enumerate(runs, 1):
    words, folder = list(words_of(run, args.out, args.limit_steps)), args.out / run.name
    try:
      done[run.name] = identity(words, [done[name] for name in run.pretrained.values()])
    except InputError as error:
      print(f"sweep: {error}", file=sys.stderr)
      return 2
    if _is_done(folder, done[run.name]):
      continue
    print(f"{number} of {len(runs)}: {run.name}", file=sys.stderr, flush=True)
    # In a process of its own: compilers keep their memory.
    if code := subprocess.run([sys.executable, "-m", "condfoley_jax.cli", *words], check=False).returncode:
      print(f"sweep: {folder}: failed; the same command goes on with it", file=sys.stderr)
      return code
    (folder / _DONE).write_text(done[run.name], encoding="utf-8")
  return 0


def identity(words: Sequence[str], read: Sequence[str]) -> str:
  """Hash of the resolved config of a `condfoley train`, and of the identities of the runs that it reads.

  Raises:
    InputError: there is no such config.
  """
  _, _, config, _, _, *overrides = words
  return hashlib.sha256("\n".join([str(train.read_config(config, overrides)), *read]).encode()).hexdigest()


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
  if limit_steps and run.cache:
    yield "--config.data.cache_epochs=1"


def _is_done(folder: Path, wanted: str) -> bool:
  try:
    return (folder / _DONE).read_text(encoding="utf-8") == wanted
  except (OSError, ValueError):
    return False


if __name__ == "__main__":
  sys.exit(main())
