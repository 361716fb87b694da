"""Compiles a training step or the sampler for a TPU slice, on a machine without one, and says what it would cost there.

    python -m launch.rehearse --config configs/X.py:PRESET --topology v5e:16x16 [--config.KEY=VALUE ...]
                              [--slices N] [--sampler N | --search]

Prints one JSON object; what is in it: `launch.rehearsal`.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from data_pipelines import interrupt
from data_pipelines.errors import InputError, printable
from launch import topology


def main(argv: Sequence[str] | None = None) -> int:
  """0: done; 2: wrong use, no such slice or config, or a mesh that does not fit: one line on stderr."""
  args, overrides = _parser().parse_known_args(argv)
  topology.prepare()
  try:
    with interrupt.handled(), topology.quiet_output():
      found = _rehearse(args, overrides)
  except InputError as error:
    print(f"rehearse: {printable(error)}", file=sys.stderr)
    return 2
  except interrupt.Interrupted as error:
    print(f"rehearse: interrupted by {error}", file=sys.stderr)
    return error.exit_code
  print(json.dumps(found, indent=1))
  return 0


def _rehearse(args: argparse.Namespace, overrides: Sequence[str]) -> dict:
  # Here, because they import JAX.
  from launch import rehearsal, search

  if args.search and args.slices > 1:
    raise InputError("--search: is of one slice; leave out --slices")
  if args.search:
    return search.run(args.config, overrides, args.topology)
  return rehearsal.run(args.config, overrides, args.topology, slices=args.slices, takes=args.sampler)


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(prog="rehearse", description="Compiles a training step for a TPU slice without one.")
  parser.add_argument("--config", required=True, metavar="configs/X.py:PRESET", help="as for train; --config.KEY=VALUE")
  parser.add_argument("--topology", required=True, metavar="CHIP:SIZES", help="for example v5e:16x16 or v4:4x4x8")
  parser.add_argument("--slices", type=_positive, default=1, metavar="N", help="so many of them (default: 1)")
  what = parser.add_mutually_exclusive_group()
  what.add_argument("--sampler", type=_positive, metavar="N", help="not the training step: sampling N takes of a clip")
  what.add_argument("--search", action="store_true", help="tries meshes, batch sizes and what is computed again")
  return parser


class _Parser(argparse.ArgumentParser):
  def error(self, message: str):
    self.exit(2, f"rehearse: {printable(message)}; see --help\n")


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f"{text} is not a whole number that is 1 or more")
  return int(text)


if __name__ == "__main__":
  sys.exit(main())
