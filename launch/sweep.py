"""Runs a sweep of configs/sweeps.py: trainings and evaluations, here or on slices of TPUs.

    python -m launch.sweep --sweep NAME --out DIR
    python -m launch.sweep --sweep NAME --out out/NAME --backend tpu_vm --topology v5e:4x4 -- --zone Z --bucket B

Each run has the folder DIR/NAME. What is done is not done again: the same command goes on where a killed or failed one
ended. A folder in which another config, on other runs or by another commit, has begun is refused. DIR/results.csv,
table.md and results.png tell of all runs. Words after -- go to the launcher of a backend that is not here; before
anything is rented every training is rehearsed for the slice, and what it costs is said.
"""

import argparse
import hashlib
import json
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from condfoley_jax.commands import train
from configs import sweeps
from configs.sweeps import SHIPPED, SWEEPS, Evaluate, Run, Train
from data_pipelines import claim, interrupt
from data_pipelines.errors import InputError
from launch import build, command, costs, machines, results
from launch.schedule import Schedule, Task

BACKENDS = ("local", "tpu_vm", "gke")
# Holds of what a run is, and whether it is done.
_STATUS = "status.json"
# Between seeds of evaluations: take i has a seed as much higher.
_SEEDS = 10_000
# Videos of the world that runs of a few steps are made with.
_FEW = {"train": 12, "val": 8, "test": 4}


def main(argv: Sequence[str] | None = None) -> int:
  """0: all is done; 1: some runs failed; 2: wrong use, or a run that does not fit its slice: one line on stderr."""
  args = _parser().parse_args(argv)
  return command.run("sweep", lambda say: _run(args, say), if_interrupted="; the same command goes on")


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog="sweep", description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--sweep", choices=sorted(SWEEPS), required=True)
  add("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
  add("--backend", choices=BACKENDS, default="local", help="where they run (default: local)")
  add("--seeds", type=int, default=1, metavar="N", help="seeds of each run (default: 1)")
  add("--parallel", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
  add("--retries", type=int, default=1, metavar="N", help="of a run that fails (default: 1)")
  add("--limit-steps", type=int, metavar="N", help="of each run, on a few videos, to see that all of them run")
  add("--any-commit", action="store_true", help="what another commit has done or begun counts too")
  add("--topology", metavar="CHIP:SIZES", help="of the slices of a backend that is not here")
  add("--prices", type=Path, default=costs.PRICES, metavar="CSV", help="US dollars per chip and hour")
  add("--dry-run", action="store_true", help="only rehearse, and print commands")
  add("launcher", nargs="*", metavar="WORDS", help="for launch.tpu_vm or launch.gke, after --")
  return parser


def _run(args: argparse.Namespace, say: command.Say) -> int:
  plan = Plan(args)
  if args.backend != "local":
    print(plan.costs(), flush=True)
  if args.dry_run:
    print("\n".join(shlex.join(task.words) for task in plan.tasks))
    return 0
  with claim.claimed(args.out):
    plan.require_folders()
    done = {task.name for task in plan.tasks if plan.is_done(task.name)}
    schedule = Schedule(
      plan.tasks,
      parallel=args.parallel,
      retries=args.retries,
      logs=args.out / "logs",
      # A training loses nothing that counts; a launcher has machines to give back.
      if_killed=signal.SIGKILL if args.backend == "local" else signal.SIGTERM,
      before=plan.begin,
      say=say,
    )

    def ended(name: str) -> None:
      if name in done:
        plan.note(name)
      plan.report(done, schedule.failed)

    schedule.run(done, ended)
    plan.report(done, schedule.failed)
  if schedule.failed:
    say(f"{', '.join(schedule.failed)}: failed; the same command tries again")
  return 1 if schedule.failed else 0


class Plan:
  """The runs of a sweep, and what of them is done.

  Attributes:
    tasks: commands of the runs, and before them, for a few steps, of the data.

  Raises:
    InputError: there is no such config, or a flag does not go with another.
  """

  def __init__(self, args: argparse.Namespace):
    self._args, self._out = args, args.out
    _check(args)
    self._commit = _commit()
    self.runs = {run.name: run for run in sweeps.of(args.sweep, args.seeds)}
    self._words = {run.name: self._words_of(run, self._out) for run in self.runs.values()}
    self._hashes: dict[str, str] = {}
    for run in self.runs.values():
      self._hashes[run.name] = self._hash(run)
    data = self._data_tasks() if args.limit_steps else []
    reads = tuple(task.name for task in data)
    self.tasks = [*data, *(Task(run.name, self._command(run), reads + run.reads) for run in self.runs.values())]

  def is_done(self, name: str) -> bool:
    """Whether a task was done as it is now, by this commit or, where that is allowed, by another."""
    if name not in self.runs:
      return (self._out / name / "dataset.json").exists()
    status = self._status(name)
    return status.get("done") is True and not self._other(name, status)

  def require_folders(self) -> None:
    """Refuses runs that were begun as they are not now: to go on with them would be to mix two.

    Raises:
      InputError: there is one.
    """
    for name in self.runs:
      folder, status = self._out / name, self._status(name)
      # Hidden files are those of a run that was killed before it began.
      if not status and folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder}: nothing says what was begun there; name another --out, or move it away")
      if status and (other := self._other(name, status)):
        raise InputError(f"{folder}: {other}; name another --out, or move it away")

  def begin(self, name: str) -> None:
    """Notes what a task is that is started now.

    Raises:
      InputError: the code is another than the one that the sweep began with.
    """
    if (now := _commit()) != self._commit:
      raise InputError(f"{build.ROOT}: {now[:20]} now, {self._commit[:20]} when the sweep began; start it again")
    if name in self.runs and not self._status(name):
      self._write_status(name, self._commit, done=False)

  def note(self, name: str) -> None:
    """Notes that a run is done."""
    if name in self.runs:
      self._write_status(name, self._commit_of(name), done=True)

  def _write_status(self, name: str, commit: str, *, done: bool) -> None:
    told = {"config_hash": self._hashes[name], "commit": commit, "done": done}
    interrupt.write_together(self._out / name, {_STATUS: json.dumps(told) + "\n"})

  def _status(self, name: str) -> dict[str, Any]:
    """What is noted of a run; empty where nothing is."""
    try:
      found = json.loads((self._out / name / _STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
      return {}
    return found if isinstance(found, dict) else {}

  def _other(self, name: str, status: Mapping[str, Any]) -> str:
    """In what a run that was begun is another than this one; empty where it is the same."""
    if status.get("config_hash") != self._hashes[name]:
      return "was begun with another config, or on other runs"
    if status.get("commit") != self._commit and not self._args.any_commit:
      return f"was begun by commit {str(status.get('commit'))[:12]}, which --any-commit would take for this one"
    return ""

  def report(self, done: set[str], failed: Mapping[str, int]) -> None:
    """Writes the files that tell of all runs."""
    rows = []
    for run in self.runs.values():
      status = "done" if run.name in done else "failed" if run.name in failed else "left"
      place = {"seed": run.seed, "config_hash": self._hashes[run.name][:12], "status": status}
      place["commit"] = self._commit_of(run.name) if status == "done" else self._commit
      rows += results.rows_of(run, self._out / run.name if status == "done" else None, place)
    rows = results.joined(rows)
    table, plot = results.as_table(rows, self._args.sweep), results.as_plot(rows, self._args.sweep)
    self._out.mkdir(parents=True, exist_ok=True)
    interrupt.write_together(self._out, {"results.csv": results.as_csv(rows), "table.md": table})
    aside = self._out / ".results.png.partial"
    aside.write_bytes(plot)
    aside.replace(self._out / "results.png")

  def costs(self) -> str:
    """What the trainings take on the slice, and cost.

    Raises:
      InputError: one does not fit, or cannot be rehearsed.
    """
    topology, launcher = self._args.topology, self._args.launcher
    capacity, slices = _option(launcher, "--capacity", "on-demand"), int(_option(launcher, "--slices", "1"))
    price = costs.read_prices(self._args.prices).get((machines.of(topology).chip, capacity))
    found = []
    for run in self.runs.values():
      if isinstance(run, Train):
        steps = train.read_config(*_config_of(self._words[run.name])).steps
        flags = [word for word in self._words[run.name][1:] if not word.startswith("--config.pretrained.")]
        found.append(costs.cost(run.name, _without_workdir(flags), steps, topology, slices, price))
    if wide := [one.name for one in found if not one.fits]:
      raise InputError(f"{', '.join(wide)}: does not fit {topology}; name a larger --topology")
    evaluations = sum(isinstance(run, Evaluate) for run in self.runs.values())
    return costs.table(found, topology, slices, capacity, evaluations)

  def _commit_of(self, name: str) -> str:
    """The commit that began a run."""
    return str(self._status(name).get("commit", self._commit))

  def _hash(self, run: Run) -> str:
    """Of a run's resolved config, and of those of the runs that it reads."""
    # The same wherever the sweep's folder lies.
    words = self._words_of(run, Path("SWEEP"))
    told = str(train.read_config(*_config_of(words))) if isinstance(run, Train) else str(words)
    parts = [told, *(self._hashes[name] for name in run.reads), str(self._args.limit_steps)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()

  def _words_of(self, run: Run, out: Path) -> list[str]:
    """Words of `condfoley`, for a sweep in that folder."""
    folder = lambda name: SHIPPED if name == SHIPPED else str(out / name / "weights")
    data = out / "data" if self._args.limit_steps else Path("out/data")
    if isinstance(run, Evaluate):
      weights = ",".join(folder(name) for name in run.weights)
      few = {"candidates": "2"} if self._args.limit_steps and "systems" not in run.options else {}
      seed = {"seed": str(_SEEDS * run.seed)} if run.seed else {}
      options = [f"--{name}={value}" for name, value in (dict(run.options) | few | seed).items()]
      return [
        "evaluate",
        "--data",
        str(data / "test"),
        "--weights",
        weights,
        *options,
        "--out",
        str(out / run.name),
      ]
    words = ["train", "--config", run.config, "--workdir", str(out / run.name)]
    words += [f"--config.pretrained.{key}={folder(name)}" for key, name in run.pretrained.items()]
    words += [f"--config.{key}={value}" for key, value in run.changes.items()]
    if run.cache:
      words.append(f"--config.data.cache={out / 'caches' / run.cache}")
    if self._args.limit_steps:
      words += [f"--config.data.{key}={data / split}" for key, split in (("train", "train"), ("validation", "val"))]
      words += [f"--config.steps={self._args.limit_steps}", "--config.evaluate_batches=1"]
      words += ["--config.data.cache_epochs=1"] if run.cache else []
    return words

  def _command(self, run: Run) -> list[str]:
    words = self._words[run.name]
    if self._args.backend == "local":
      return [sys.executable, "-m", "condfoley_jax.cli", *words]
    # An evaluation takes one host.
    topology = self._args.topology if isinstance(run, Train) else machines.one_host(self._args.topology)
    alone = [] if isinstance(run, Train) else ["--slices", "1"]
    flags = ["--name", _job_name(self._args.sweep, run.name), "--topology", topology, *self._args.launcher, *alone]
    return [sys.executable, "-m", f"launch.{self._args.backend}", *flags, "--", *words]

  def _data_tasks(self) -> list[Task]:
    """The world's videos that runs of a few steps are made with."""
    found = []
    for split, count in _FEW.items():
      words = [
        "prepare",
        "drumstick",
        "--split",
        split,
        "--videos",
        str(count),
        "--out",
        str(self._out / "data" / split),
      ]
      found.append(Task(f"data/{split}", [sys.executable, "-m", "condfoley_jax.cli", *words], ()))
    return found


def _check(args: argparse.Namespace) -> None:
  remote = args.backend != "local"
  if remote and not args.topology:
    raise InputError(f"--backend {args.backend}: needs --topology, v5e:4x4 for example")
  if not remote and (args.topology or args.launcher):
    raise InputError("--topology and words after -- go with --backend tpu_vm or gke")
  if remote and args.limit_steps:
    raise InputError("--limit-steps: goes with --backend local, whose runs it tries")
  if remote and (args.out.is_absolute() or ".." in args.out.parts):
    raise InputError(f"{args.out}: in the bucket it is a folder such as out/sweep; give a relative path")
  for flag in ("seeds", "parallel"):
    if getattr(args, flag) < 1:
      raise InputError(f"--{flag} {getattr(args, flag)}: must be 1 or more")


def _commit() -> str:
  """The commit that runs, or what is installed where that is no checkout."""
  try:
    return build.commit(allow_dirty=True)
  except InputError:
    import condfoley_jax

    return f"version {condfoley_jax.__version__}"


def _config_of(words: Sequence[str]) -> tuple[str, list[str]]:
  """(config, overrides) of a `condfoley train`."""
  _, _, config, _, _, *overrides = words
  return config, list(overrides)


def _job_name(sweep: str, run: str) -> str:
  """Of at most 40 letters; where there are more, the last are some that tell it from others."""
  name = f"{sweep}-{run}".replace("_", "-").replace("/", "-")
  return name if len(name) <= 40 else f"{name[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _without_workdir(flags: Sequence[str]) -> list[str]:
  at = list(flags).index("--workdir")
  return [*flags[:at], *flags[at + 2 :]]


def _option(launcher: Sequence[str], flag: str, default: str) -> str:
  """Value of a launcher's flag."""
  for word, following in zip(launcher, [*launcher[1:], ""], strict=True):
    if word == flag:
      return following
    if word.startswith(f"{flag}="):
      return word.partition("=")[2]
  return default


if __name__ == "__main__":
  sys.exit(main())
