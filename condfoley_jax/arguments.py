"""The flags of the `condfoley` command, and its help. What is done with them: `cli.py`."""

import argparse
import os
import textwrap
from collections.abc import Callable, Sequence

import condfoley_jax
from condfoley_jax import argument_types as types
from data_pipelines.errors import printable

# Columns of a screen, and where what an option does begins.
_WIDTH, _COLUMN = 80, 26
# Options whose value may begin with a dash, as in `--keep-original-audio -18dB`.
_DASHED = ("--keep-original-audio",)


class Parser(argparse.ArgumentParser):
  """Says what is wrong in one line; the usage is in --help, which is as wide everywhere.

  Args:
    examples: commands that --help shows.
  """

  def __init__(self, *args, examples: Sequence[str] = (), **kwargs):
    self.examples = examples
    epilog = "examples:\n" + textwrap.indent("\n".join(examples), "  ") if examples else None
    super().__init__(*args, epilog=epilog, formatter_class=_Help, allow_abbrev=False, **kwargs)

  def error(self, message: str):
    self.exit(2, f"{self.prog}: error: {printable(message)}; see {self.prog} --help\n")


class _Help(argparse.RawDescriptionHelpFormatter):
  def __init__(self, prog: str):
    super().__init__(prog, max_help_position=_COLUMN, width=_WIDTH)
    self._action_max_length = _COLUMN  # What Python makes of names in a list differs between its versions.


def joined(argv: Sequence[str]) -> list[str]:
  """Arguments with values that begin with a dash made part of their options, as argparse reads them."""
  found: list[str] = []
  for word in argv:
    if found and found[-1] in _DASHED and "--" not in found:
      found[-1] = f"{found[-1]}={word}"
    else:
      found.append(word)
  return found


def parser(run: dict[str, Callable[[argparse.Namespace, Sequence[str]], None]]) -> Parser:
  """The whole command.

  Args:
    run: what carries out a command, by its name; of the steps of `study` by `study STEP`.
  """
  whole = Parser(
    prog="condfoley",
    description="Soundtracks for silent videos, from an example.",
    examples=(
      "condfoley generate query.mp4 --example sounds_like_this.mp4 --out out/x",
      "condfoley generate --help",
    ),
  )
  whole.add_argument("--version", action="version", version=f"condfoley {condfoley_jax.__version__}")
  commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
  for name, (told, add, examples) in _COMMANDS.items():
    one = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.", examples=examples)
    if name != "study":
      one.set_defaults(run=run[name], refuse=one.error)
    add(one)
  _add_study(commands.choices["study"], run)
  return whole


def _add_generate(parser: Parser) -> None:
  parser.usage = (
    "condfoley generate QUERY --example CLIP [options] --out DIR\n"
    "       condfoley generate --batch JOBS [options] --out DIR"
  )
  parser.add_argument("query", type=types.path, nargs="?", metavar="QUERY", help="the video that needs sound")
  add = parser.add_argument
  told = "video or sound that sounds right; as CLIP@0-4 for 0 to 4 s of the query, and others after it"
  add("--example", type=types.example, action="append", metavar="CLIP", help=told)
  told = "where it starts, s (default: where it is loudest)"
  add("--example-start", type=types.not_negative, action="append", metavar="S", help=told)
  add("--batch", type=types.path, metavar="JOBS", help="CSV or .jsonl with query, example, ... of many")
  add("--shard", type=types.shard, metavar="K/N", help="of --batch only every Nth row, the Kth first")
  add("--candidates", type=types.positive, default=1, metavar="N", help="takes to make (default: 1)")
  add("--seed", type=types.natural, default=0, metavar="S", help="of the first take (default: 0)")
  add("--temperature", type=types.strength, default=1.0, metavar="T", help="0 is greedy (default: 1)")
  add("--top-k", type=types.natural, metavar="K", help="likeliest codes kept, 0 all (default: the weights')")
  add("--top-p", type=types.share, default=1.0, metavar="P", help="probability kept (default: 1)")
  add("--min-p", type=types.fraction, default=0.0, metavar="P", help="codes below this share of the likeliest go")
  add("--guidance", type=types.strength, metavar="G", help="above 1 follows inputs more (default: the weights')")
  add("--tau", type=types.not_negative, metavar="S", help="what counts as in time, s")
  told = "the query's own sound under the takes, as -18dB"
  add("--keep-original-audio", type=types.decibels, metavar="DB", help=told)
  add("--weights", type=types.path, metavar="DIR", help="weights folder (default: the shipped ones)")
  add("--force", action="store_true", help="replace an earlier result in DIR")
  add("--dry-run", action="store_true", help="only say whether all inputs can be used")
  add("--out", type=types.path, required=True, metavar="DIR", help="folder for the results")


def _add_retake(parser: Parser) -> None:
  parser.add_argument("out", type=types.path, metavar="OUT", help="folder of a result of generate")
  add = parser.add_argument
  add("--take", type=types.positive, required=True, metavar="N", help="the take to change")
  add("--from", type=types.not_negative, required=True, metavar="S", dest="from_s", help="where it is made anew, s")
  add("--to", type=types.not_negative, required=True, metavar="S", dest="to_s", help="where that ends, s")
  add("--seed", type=types.natural, metavar="S", help="of the new part (default: one not used yet)")
  add("--weights", type=types.path, metavar="DIR", help="weights folder (default: the shipped ones)")


def _add_inspect(parser: Parser) -> None:
  parser.add_argument("files", type=types.path, nargs="+", metavar="FILE", help="mp4, wav, ...")


def _add_completion(parser: Parser) -> None:
  parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def _add_export(parser: Parser) -> None:
  add = parser.add_argument
  add("--seconds", type=types.above_zero, default=10.0, metavar="S", help="longest query (default: 10)")
  add("--candidates", type=types.positive, default=10, metavar="N", help="takes (default: 10)")
  add("--weights", type=types.path, metavar="DIR", help="weights folder (default: the shipped ones)")
  add("--out", type=types.path, required=True, metavar="FILE", help="the file")


def _add_prepare(parser: Parser) -> None:
  parser.usage = "condfoley prepare DATASET [options] --out DIR\n       condfoley prepare --verify DIR"
  add = parser.add_argument
  kinds = ("drumstick", "folder", "greatest_hits", "countix_av")
  add("dataset", nargs="?", choices=kinds, metavar="DATASET", help=f"{', '.join(kinds[:3])} or {kinds[3]}")
  add("--source", type=types.path, metavar="DIR", help="folder of the videos (not for drumstick)")
  add("--annotations", type=types.path, metavar="DIR", help="of the published lists (default: source)")
  add("--labels", type=types.path, metavar="CSV", help="events of the videos (for folder)")
  add("--split", default="train", help="train, val, test; published_train, ...")
  told = "of a folder's videos, as train=0.8,val=0.2 (default: all are of that split)"
  add("--shares", type=types.split_shares, metavar="S=P[,S=P]", help=told)
  add("--seed", type=types.natural, default=0, metavar="S", help="of the procedural world, drumstick")
  add("--videos", type=types.positive, default=16, metavar="N", help="videos of it to render (default: 16)")
  add("--model", choices=("mini", "paper", "large"), default="mini", help="whose clips they are for (default: mini)")
  add("--workers", type=types.positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)")
  add("--beam", metavar="OPTIONS", help="let Beam make it, as --beam=--runner=DirectRunner")
  add("--out", type=types.place, metavar="DIR", help="folder for shards and dataset.json, or gs://")
  other = parser.add_mutually_exclusive_group()
  other.add_argument("--check", action="store_true", help="only say what of a data set is there")
  other.add_argument("--verify", type=types.place, metavar="DIR", help="only say what of a prepared folder is damaged")


def _add_train(parser: Parser) -> None:
  parser.usage = "condfoley train --config FILE:PRESET --workdir DIR [--config.KEY=VALUE]"
  add = parser.add_argument
  add("--config", required=True, metavar="FILE:PRESET", help="what to train; --config.KEY=VALUE changes it")
  add("--workdir", type=types.path, required=True, metavar="DIR", help="checkpoints, metrics and weights")
  add("--profile", action="store_true", help="trace a few steps, for TensorBoard or Perfetto")


def _add_convert(parser: Parser) -> None:
  kinds = ("vqgan", "transformer", "melgan", "vggishish", "sparsesync", "r2plus1d", "lpaps")
  parser.usage = "condfoley convert --kind KIND SOURCE OUT [options]"
  add = parser.add_argument
  add("source", type=types.path, metavar="SOURCE", help="a .ckpt, .pt or .pth file")
  add("out", type=types.path, metavar="OUT", help="folder for config.json and model.safetensors")
  told = f"{', '.join(kinds)}; transformer makes a folder to generate with"
  add("--kind", choices=kinds, required=True, metavar="KIND", help=told)
  add("--vocoder", type=types.path, metavar="FILE", help="the MelGAN checkpoint, with --kind transformer")
  add("--sync", type=types.path, metavar="FILE", help="a SparseSync checkpoint to rank by, likewise")
  sets, default = ("greatest_hits", "countix_av"), "greatest_hits"
  add("--trained-on", choices=sets, default=default, metavar="SET", help=f"{default} (default) or {sets[1]}")
  add("--published", action="store_true", help="generate as the authors' code does, bugs included")
  add("--heads", type=types.positive, default=16, metavar="N", help="of the transformer (default: 16)")


def _add_evaluate(parser: Parser) -> None:
  add = parser.add_argument
  add("--data", type=types.place, required=True, metavar="DIR", help="prepared test split")
  add("--weights", type=types.paths, metavar="DIR[,DIR]", help="weights folders (default: the shipped ones)")
  add("--judges", type=types.path, metavar="DIR", help="of classifier/ and sync/ (default: the shipped ones)")
  add("--systems", metavar="A,B", help="only these (default: all)")
  add("--candidates", type=types.counts, default=(10,), metavar="N[,N]", help="takes ranked (default: 10)")
  add("--seed", type=types.natural, default=0, metavar="S", help="of the first take (default: 0)")
  add("--tau", type=types.delays, default=(), metavar="S[,S]", help="what counts as in time, s")
  add("--guidance", type=types.strengths, default=(), metavar="G[,G]", help="first takes with these too")
  add("--out", type=types.path, required=True, metavar="DIR", help="folder for metrics.json, report.html")


def _add_study(parser: Parser, run: dict[str, Callable]) -> None:
  steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
  example = "condfoley study make results --out out/study"
  make = steps.add_parser("make", help="a page that shows pairs of results and saves answers", examples=(example,))
  make.set_defaults(run=run["study make"], refuse=make.error)
  add = make.add_argument
  add("results", type=types.path, metavar="RESULTS", help="folder: SYSTEM/CLIP.mp4 ..., examples/CLIP.mp4")
  add("--seed", type=types.natural, default=0, metavar="S", help="of clips, order and sides (default: 0)")
  add("--systems", metavar="A,B", help="to compare (default: all but oracle and silence)")
  add("--reference", metavar="A", help="what others are compared to (default: base, else all)")
  counted = "clips that are counted (default: 28); of fewer than 14 a participant sees some twice"
  add("--clips", type=types.positive, default=28, metavar="N", help=counted)
  add("--out", type=types.path, required=True, metavar="DIR", help="folder for study.html")
  example = "condfoley study analyse answers/*.json --out out/study"
  analyse = steps.add_parser("analyse", help="the table of preferences from the answers", examples=(example,))
  analyse.set_defaults(run=run["study analyse"], refuse=analyse.error)
  add = analyse.add_argument
  add("answers", type=types.path, nargs="+", metavar="ANSWERS", help="files that the page saved")
  add("--out", type=types.path, required=True, metavar="DIR", help="folder for table.md and results.json")


# What each does, what adds its flags, and examples of it.
_COMMANDS: dict[str, tuple[str, Callable[[Parser], None], Sequence[str]]] = {
  "generate": (
    "make a soundtrack, or N ranked takes, for a video",
    _add_generate,
    (
      "condfoley generate query.mp4 --example knock.mp4 --candidates 4 --out out/x",
      "condfoley generate query.mp4 --example a.mp4@0-4 --example b.wav@4- --out out",
      "condfoley generate --batch jobs.csv --candidates 100 --out out/many",
    ),
  ),
  "retake": (
    "make a stretch of a take anew and keep the rest",
    _add_retake,
    ("condfoley retake out/x --take 3 --from 2.0 --to 3.5",),
  ),
  "inspect": (
    "say whether the sound of files was generated, and by what",
    _add_inspect,
    ("condfoley inspect out/x/soundtrack.mp4 out/x/takes/01.wav",),
  ),
  "prepare": (
    "turn videos into TFRecord shards",
    _add_prepare,
    (
      "condfoley prepare drumstick --split test --videos 97 --out out/data/test",
      "condfoley prepare folder --source videos --split test --out out/data/own",
      "condfoley prepare --verify out/data/test",
    ),
  ),
  "train": (
    "train one stage",
    _add_train,
    ("condfoley train --config configs/vqgan.py:mini --workdir out/vqgan",),
  ),
  "evaluate": (
    "score weights on a test split by every metric",
    _add_evaluate,
    ("condfoley evaluate --data out/data/test --out out/evaluation",),
  ),
  "study": ("let people compare results: make the page, count the answers", lambda parser: None, ()),
  "convert": (
    "turn a published PyTorch checkpoint into weights for generate",
    _add_convert,
    ("condfoley convert --kind transformer last.ckpt w --vocoder best_netG.pt",),
  ),
  "export": (
    "write the sampler as one file that JAX alone runs",
    _add_export,
    ("condfoley export --seconds 10 --candidates 10 --out out/sampler.jax",),
  ),
  "completion": (
    "print what makes a shell complete these commands",
    _add_completion,
    ("condfoley completion bash > condfoley.bash && source condfoley.bash",),
  ),
}
