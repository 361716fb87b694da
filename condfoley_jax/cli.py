"""The `condfoley` command: flags only. The work is in `condfoley_jax.commands`, imported when a command is called."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import condfoley_jax
from condfoley_jax.commands import accelerator, caches
from data_pipelines import interrupt
from data_pipelines.errors import InputError, printable


def main(argv: Sequence[str] | None = None) -> int:
  """Runs one command and returns its exit code.

  0: done; 2: wrong use or unusable input; 128 + N: ended by signal N. One line on stderr for whatever is not 0.
  """
  args, rest = _parser().parse_known_args(argv)
  if rest and args.command != "train":
    args.refuse(f"unknown argument {rest[0]}")
  accelerator.expect_no_tpu()
  code = _run(args, rest)
  if code and argv is None and "jax" in sys.modules:
    sys.stdout.flush()
    os._exit(code)  # Threads that are still at work crash or complain when an interpreter is taken apart around them.
  return code


def _run(args: argparse.Namespace, rest: Sequence[str]) -> int:
  try:
    with interrupt.handled(), caches.chosen():
      args.run(args, rest)
  except InputError as error:
    return _fail(args.command, str(error), 2)
  except OSError as error:
    # An open file on a disk that fills up does not know its name.
    place = error.filename or vars(args).get("out") or args.workdir
    return _fail(args.command, f"{place}: {error.strerror or error}; choose another place", 2)
  except interrupt.Interrupted as error:
    return _fail(args.command, f"interrupted by {error}", error.exit_code)
  return 0


def _fail(command: str, message: str, code: int) -> int:
  print(f"condfoley {command}: {printable(message)}", file=sys.stderr)
  return code


class _Parser(argparse.ArgumentParser):
  """Says what is wrong in one line; the usage is in --help."""

  def error(self, message: str):
    self.exit(2, f"{self.prog}: error: {printable(message)}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(prog="condfoley", description="Soundtracks for silent videos, from an example.")
  parser.add_argument("--version", action="version", version=f"condfoley {condfoley_jax.__version__}")
  commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
  _add_generate(commands.add_parser("generate", help="make a soundtrack, or N ranked takes, for a video"))
  _add_export(commands.add_parser("export", help="the sampler as one file that JAX alone runs"))
  _add_prepare(commands.add_parser("prepare", help="turn videos into TFRecord shards"))
  _add_train(commands.add_parser("train", help="train one stage"))
  _add_convert(commands.add_parser("convert", help="turn a published PyTorch checkpoint into weights for generate"))
  _add_evaluate(commands.add_parser("evaluate", help="every metric of weights on a test split"))
  _add_study(commands.add_parser("study", help="let people compare results: make the page, count the answers"))
  return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_generate, refuse=parser.error)
  parser.add_argument(
    "query", type=_path, nargs="?", metavar="QUERY", help="the video that needs sound; any sound it has is ignored"
  )
  parser.add_argument("--example", type=_path, metavar="CLIP", help="a video that sounds right")
  parser.add_argument(
    "--batch", type=_path, metavar="JOBS.csv", help="many at once: a table with columns query, example (and more)"
  )
  parser.add_argument(
    "--example-start",
    type=_not_negative,
    metavar="S",
    help="where the example starts, s (default: where it is loudest)",
  )
  parser.add_argument("--candidates", type=_positive, default=1, metavar="N", help="takes to make (default: 1)")
  parser.add_argument("--seed", type=_natural, default=0, help="of the first take (default: 0)")
  parser.add_argument("--temperature", type=_strength, default=1.0, help="0 is greedy (default: 1)")
  parser.add_argument(
    "--top-k", type=_natural, metavar="K", help="likeliest codes kept; 0 keeps all (default: what the weights say)"
  )
  parser.add_argument("--top-p", type=_share, default=1.0, metavar="P", help="probability kept (default: 1)")
  parser.add_argument(
    "--min-p", type=_fraction, default=0.0, metavar="P", help="codes less likely than this share of the likeliest go"
  )
  parser.add_argument(
    "--guidance",
    type=_strength,
    metavar="G",
    help="above 1 follows query and example more than training did, in twice the time (default: what the weights say)",
  )
  parser.add_argument("--tau", type=_not_negative, metavar="S", help="what counts as in time, s")
  parser.add_argument("--weights", type=_path, metavar="DIR", help="weights folder (default: the ones shipped)")
  parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for the results")


def _add_export(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_export, refuse=parser.error)
  parser.add_argument("--seconds", type=_above_zero, default=10.0, metavar="S", help="longest query (default: 10)")
  parser.add_argument("--candidates", type=_positive, default=10, metavar="N", help="takes (default: 10)")
  parser.add_argument("--weights", type=_path, metavar="DIR", help="weights folder (default: the ones shipped)")
  parser.add_argument("--out", type=_path, required=True, metavar="FILE", help="the file")


def _add_prepare(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_prepare, refuse=parser.error)
  parser.add_argument(
    "dataset",
    nargs="?",
    choices=("drumstick", "folder", "greatest_hits", "countix_av"),
    help="drumstick: the procedural world; folder: any videos",
  )
  parser.add_argument("--source", type=_path, metavar="DIR", help="folder of the videos (not for drumstick)")
  parser.add_argument(
    "--annotations", type=_path, metavar="DIR", help="folder of the published lists (default: source)"
  )
  parser.add_argument("--labels", type=_path, metavar="CSV", help="events of the videos (for folder)")
  parser.add_argument("--split", default="train", help="train, val, test; published_train ... of the public data sets")
  parser.add_argument("--seed", type=_natural, default=0, help="of the procedural world")
  parser.add_argument("--videos", type=_positive, default=16, metavar="N", help="videos to render")
  parser.add_argument("--model", choices=("mini", "paper"), default="mini", help="whose picture size is stored")
  parser.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="processes")
  parser.add_argument(
    "--beam", metavar="OPTIONS", help="let Apache Beam make the shards, e.g. --beam=--runner=DirectRunner"
  )
  parser.add_argument("--out", type=_path, metavar="DIR", help="folder for shards and dataset.json")
  other = parser.add_mutually_exclusive_group()
  other.add_argument("--check", action="store_true", help="only say what of a public data set is there")
  other.add_argument("--verify", type=_path, metavar="DIR", help="only read a prepared folder and say what is damaged")


def _add_train(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_train, refuse=parser.error)
  parser.add_argument(
    "--config", required=True, metavar="configs/X.py:PRESET", help="what to train; --config.KEY=VALUE"
  )
  parser.add_argument("--workdir", type=_path, required=True, metavar="DIR", help="checkpoints, metrics and weights")
  parser.add_argument("--profile", action="store_true", help="trace a few steps, to open in TensorBoard or Perfetto")


def _add_convert(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_convert, refuse=parser.error)
  kinds = ("vqgan", "transformer", "melgan", "vggishish", "sparsesync", "r2plus1d", "lpaps")
  parser.add_argument("source", type=_path, metavar="SOURCE", help="a .ckpt, .pt or .pth file")
  parser.add_argument("out", type=_path, metavar="OUT", help="folder for config.json and model.safetensors")
  parser.add_argument("--kind", choices=kinds, required=True, help="transformer makes a folder to generate with")
  parser.add_argument("--vocoder", type=_path, metavar="FILE", help="the MelGAN checkpoint, with --kind transformer")
  parser.add_argument("--sync", type=_path, metavar="FILE", help="a SparseSync checkpoint to rank takes by, likewise")
  parser.add_argument(
    "--trained-on",
    choices=("greatest_hits", "countix_av"),
    default="greatest_hits",
    help="what its audio was prepared like (default: greatest_hits)",
  )
  parser.add_argument("--published", action="store_true", help="generate as the authors' code does, bugs included")
  parser.add_argument(
    "--heads", type=_positive, default=16, metavar="N", help="of the transformer; no tensor tells (default: 16)"
  )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
  parser.set_defaults(run=_evaluate, refuse=parser.error)
  parser.add_argument("--data", type=_path, required=True, metavar="DIR", help="prepared test split")
  parser.add_argument(
    "--weights", type=_paths, metavar="DIR[,DIR...]", help="weights folders (default: the ones shipped)"
  )
  parser.add_argument("--systems", metavar="A,B", help="only these (default: all)")
  parser.add_argument("--candidates", type=_positive, default=10, metavar="N", help="takes ranked (default: 10)")
  parser.add_argument("--seed", type=_natural, default=0, help="of the first take (default: 0)")
  parser.add_argument("--tau", type=_not_negative, metavar="S", help="what counts as in time, s")
  parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for metrics.json, report.html")


def _add_study(parser: argparse.ArgumentParser) -> None:
  steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
  make = steps.add_parser("make", help="a page that shows pairs of results and saves answers")
  make.set_defaults(run=_study_make, refuse=make.error)
  make.add_argument("results", type=_path, metavar="RESULTS", help="folder: SYSTEM/CLIP.mp4 ..., examples/CLIP.mp4")
  make.add_argument("--seed", type=_natural, default=0, help="of clips, order and sides (default: 0)")
  make.add_argument("--systems", metavar="A,B", help="folders to compare (default: all but oracle and silence)")
  make.add_argument("--reference", metavar="A", help="what all others are compared to (default: base, else all pairs)")
  counted = "clips that are counted (default: 28; with fewer than 14 a participant sees some more than once)"
  make.add_argument("--clips", type=_positive, default=28, metavar="N", help=counted)
  make.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for study.html")
  analyse = steps.add_parser("analyse", help="the table of preferences from the answers")
  analyse.set_defaults(run=_study_analyse, refuse=analyse.error)
  analyse.add_argument("answers", type=_path, nargs="+", metavar="ANSWERS", help="files that the page saved")
  analyse.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for table.md and results.json")


def _generate(args: argparse.Namespace, rest: Sequence[str]) -> None:
  if args.batch and (args.query or args.example or args.example_start is not None):
    args.refuse("--batch goes without QUERY and --example: its table names them")
  if not args.batch and not (args.query and args.example):
    args.refuse("name a QUERY and its --example, or a table of them with --batch")
  from condfoley_jax.commands import batch, generate
  from condfoley_jax.commands.generation import Settings

  settings = Settings(
    example=args.example,
    example_start_s=args.example_start,
    candidates=args.candidates,
    seed=args.seed,
    temperature=args.temperature,
    top_k=args.top_k,
    top_p=args.top_p,
    min_p=args.min_p,
    guidance=args.guidance,
    tau_s=args.tau,
  )
  if args.batch:
    batch.run(args.batch, args.out, settings, weights_dir=args.weights)
  else:
    generate.run(args.query, args.out, settings, weights_dir=args.weights)


def _export(args: argparse.Namespace, rest: Sequence[str]) -> None:
  from condfoley_jax.commands import export

  export.run(args.out, seconds=args.seconds, candidates=args.candidates, weights_dir=args.weights)


def _prepare(args: argparse.Namespace, rest: Sequence[str]) -> None:
  if not args.verify and not args.dataset:
    args.refuse("name a data set, or a prepared folder with --verify")
  if args.verify and any((args.dataset, args.out, args.source, args.labels, args.annotations)):
    args.refuse("--verify goes alone: it only reads the folder that it names")
  if not (args.verify or args.check or args.out):
    args.refuse("name a folder for the shards with --out")
  from condfoley_jax.commands import prepare

  if args.verify:
    prepare.verify_all(args.verify)
    return
  names = ("dataset", "source", "annotations", "labels", "split", "seed", "videos", "model", "workers", "beam")
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

  chosen = {"candidates": args.candidates, "seed": args.seed, "tau_s": args.tau}
  if args.weights is not None:
    chosen["weights"] = args.weights
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


def _path(text: str) -> Path:
  if not text:
    raise argparse.ArgumentTypeError("empty; name a file or folder")
  return Path(text)


def _paths(text: str) -> tuple[Path, ...]:
  return tuple(_path(part) for part in text.split(","))


def _positive(text: str) -> int:
  return _in_range(int, text, "in 1..2^32-1", lambda value: 1 <= value < 2**32)


def _natural(text: str) -> int:
  return _in_range(int, text, "in 0..2^32-1", lambda value: 0 <= value < 2**32)


def _not_negative(text: str) -> float:
  return _in_range(float, text, "0 or more", lambda value: 0 <= value < float("inf"))


def _strength(text: str) -> float:
  return _in_range(float, text, "in [0, 100]", lambda value: 0 <= value <= 100)


def _above_zero(text: str) -> float:
  return _in_range(float, text, "in (0, 3600]", lambda value: 0 < value <= 3600)


def _share(text: str) -> float:
  return _in_range(float, text, "in (0, 1]", lambda value: 0 < value <= 1)


def _fraction(text: str) -> float:
  return _in_range(float, text, "in [0, 1]", lambda value: 0 <= value <= 1)


def _in_range(kind, text: str, wanted: str, fits):
  try:
    value = kind(text)
  except ValueError:
    value = None
  if value is None or not fits(value):
    raise argparse.ArgumentTypeError(f"{text} is not a {'whole ' if kind is int else ''}number that is {wanted}")
  return value


if __name__ == "__main__":
  sys.exit(main())
