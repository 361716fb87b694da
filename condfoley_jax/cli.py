"""The `condfoley` command: flags are in `arguments.py`, the work in `condfoley_jax.commands`, imported when called."""

import argparse
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Sequence

from condfoley_jax import arguments
from condfoley_jax.commands import accelerator, caches
from data_pipelines import interrupt
from data_pipelines.errors import InputError, is_failing, printable

_STANDARD_OUTPUT = "standard output"


def main(argv: Sequence[str] | None = None) -> int:
  """Runs one command and returns its exit code.

  0: done; 2: wrong use or unusable input; 1: a disk or network failed, which another try may mend; 128 + N: ended by
  signal N. One line on stderr for whatever is not 0.
  """
  words = arguments.joined(sys.argv[1:] if argv is None else argv)
  args, rest = arguments.parser(_RUN).parse_known_args(words)
  if rest and args.command != "train":
    dashed = "; put -- before files whose names begin with a dash" if rest[0].startswith("-") else ""
    args.refuse(f"unknown argument {rest[0]}{dashed}")
  place = vars(args).get("out") or vars(args).get("workdir")
  code = ended(args.command, functools.partial(args.run, args, rest), place)
  return code if argv is not None else leave(code)


def ended(command: str, work: Callable[[], object], place: object) -> int:
  """The exit code of a command's work, as `main` gives it.

  Args:
    command: its name.
    work: what it does.
    place: where its results go; None if there is no such place.
  """
  accelerator.expect_no_tpu()
  try:
    with interrupt.handled(), caches.chosen():
      work()
      _flush()
  except InputError as error:
    return _fail(command, str(error), 1 if is_failing(error) else 2)
  except OSError as error:
    # An open file on a disk that fills up does not know its name.
    place = error.filename or place or _STANDARD_OUTPUT
    if is_failing(error):
      return _fail(command, f"{place}: {error.strerror}; run this again", 1)
    return _fail(command, f"{place}: {error.strerror or error}; choose another place", 2)
  except MemoryError:
    return _fail(command, "memory is full; run this where there is more", 1)
  except interrupt.Interrupted as error:
    return _fail(command, f"interrupted by {error}", error.exit_code)
  return 0


def leave(code: int) -> int:
  """An exit code, unless threads may be at work still: the process ends here then."""
  try:
    _flush()
  except OSError:
    # It was told. At its end Python would try again, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  if code and "jax" in sys.modules:
    os._exit(code)  # They crash or complain when an interpreter is taken apart around them.
  return code


def _flush() -> None:
  try:
    print(end="", flush=True)
  except OSError as error:
    raise OSError(error.errno, error.strerror, _STANDARD_OUTPUT) from error


def _fail(command: str, message: str, code: int) -> int:
  print(f"condfoley {command}: {printable(message)}", file=sys.stderr)
  return code


def _generate(args: argparse.Namespace, rest: Sequence[str]) -> None:
  if args.batch and (args.query or args.example or args.example_start):
    args.refuse("--batch goes without QUERY and --example: its table names them")
  if args.shard and (not args.batch or args.dry_run):
    args.refuse("--shard goes with --batch, and without --dry-run")
  if not args.batch and not (args.query and args.example):
    args.refuse("name a QUERY and its --example, or a table of them with --batch")
  examples, starts_s = args.example or [], args.example_start or [None] * len(args.example or [])
  if len(starts_s) != len(examples):
    args.refuse(f"{len(starts_s)} --example-start for {len(examples)} --example; give one for each, or none")
  from condfoley_jax.commands import batch, dry_run, generate
  from condfoley_jax.commands.settings import Settings

  settings = Settings(
    examples=tuple(dataclasses.replace(x, start_s=start) for x, start in zip(examples, starts_s, strict=True)),
    candidates=args.candidates,
    seed=args.seed,
    temperature=args.temperature,
    top_k=args.top_k,
    top_p=args.top_p,
    min_p=args.min_p,
    guidance=args.guidance,
    tau_s=args.tau,
    original_db=args.keep_original_audio,
  )
  more = {"weights_dir": args.weights, "force": args.force}
  if args.dry_run:
    dry_run.run(args.batch or args.query, args.out, settings, many=args.batch is not None, **more)
  elif args.batch:
    batch.run(args.batch, args.out, settings, shard=batch.Shard(*(args.shard or ())), **more)
  else:
    generate.run(args.query, args.out, settings, **more)


def _retake(args: argparse.Namespace, rest: Sequence[str]) -> None:
  if args.to_s <= args.from_s:
    args.refuse("--to comes after --from")
  from condfoley_jax.commands import retake

  retake.run(args.out, args.take, args.from_s, args.to_s, seed=args.seed, weights_dir=args.weights)


def _inspect(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import provenance

  provenance.run(args.files)


def _completion(args: argparse.Namespace, rest: Sequence[str]) -> None:
  import shtab

  print(shtab.complete(arguments.parser(_RUN), args.shell))


def _export(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import export

  export.run(args.out, seconds=args.seconds, candidates=args.candidates, weights_dir=args.weights)


def _prepare(args: argparse.Namespace, rest: Sequence[str]) -> None:
  if not args.verify and not args.dataset:
    args.refuse("name a data set, or a prepared folder with --verify")
  if args.verify and any((args.dataset, args.out, args.source, args.labels, args.shares, args.annotations)):
    args.refuse("--verify goes alone: it only reads the folder that it names")
  if not (args.verify or args.check or args.out):
    args.refuse("name a folder for the shards with --out")
  from condfoley_jax.commands import prepare

  if args.verify:
    prepare.verify_all(args.verify)
    return
  names = (field.name for field in dataclasses.fields(prepare.Settings))
  settings = prepare.Settings(**{name: getattr(args, name) for name in names})
  if args.check:
    prepare.check(settings)
  else:
    prepare.run(settings, args.out)


def _train(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import train

  train.run(args.config, args.workdir, overrides=rest, profile=args.profile)


def _convert(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import convert

  settings = convert.Settings(args.kind, args.vocoder, args.sync, args.trained_on, args.published, args.heads)
  convert.run(args.source, args.out, settings)


def _evaluate(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import evaluate

  chosen = {"candidates": args.candidates, "seed": args.seed, "taus_s": args.tau}
  chosen["guidance"] = args.guidance
  if args.weights is not None:
    chosen["weights"] = args.weights
  if args.judges is not None:
    chosen["judges"] = args.judges
  if args.systems is not None:
    chosen["only"] = tuple(args.systems.split(","))
  evaluate.run(evaluate.Settings(args.data, **chosen), args.out)


def _study_make(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import study

  systems = args.systems.split(",") if args.systems is not None else None
  study.make(args.results, args.out, study.Settings(args.seed, systems, args.reference, args.clips))


def _study_analyse(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import study

  study.analyse(args.answers, args.out)


_RUN = {
  "generate": _generate,
  "retake": _retake,
  "inspect": _inspect,
  "prepare": _prepare,
  "train": _train,
  "evaluate": _evaluate,
  "study make": _study_make,
  "study analyse": _study_analyse,
  "convert": _convert,
  "export": _export,
  "completion": _completion,
}


if __name__ == "__main__":
  sys.exit(main())
