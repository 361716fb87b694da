"""`make demo`: soundtracks for clips of the procedural world, with the shipped weights.

Renders a few videos of the test split, gives each query the sound of another video, and writes one page to look at and
listen to.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from condfoley_jax import cli
from data_pipelines.errors import printable

if TYPE_CHECKING:
  from condfoley_jax.commands.generation import Generation

# (query, example) by number of the rendered video; the second and third differ in the example alone.
PAIRS = ((0, 1), (2, 3), (2, 4))
VIDEOS = 5


def run(out: Path, *, candidates: int = 2) -> Path:
  """Writes `out`/NAME/ per pair and `out`/report.html, whose path it returns; raises as `generate.run`."""
  # Here, as in `cli`: caches are chosen before JAX is loaded.
  from condfoley_jax.commands import generate, page
  from condfoley_jax.commands.settings import Example, Settings
  from data_pipelines.builders.drumstick import render

  workers = min(2, os.cpu_count() or 1)
  videos = render.render_videos(out / "videos", split="test", seed=0, count=VIDEOS, workers=workers)
  names, made = [], []
  for query, example in PAIRS:
    names.append(f"{query}_sounding_like_{example}")
    settings = Settings(examples=(Example(videos[example]),), candidates=candidates)
    made.append(generate.run(videos[query], out / names[-1], settings, force=True))
  command = shlex.join(["python", "-m", "condfoley_jax.demo", f"--out={out}"])
  page.write(made, out, title="condfoley demo", command=command, seconds=lambda: _total(made), names=names)
  return out / "report.html"


def _total(made: Sequence["Generation"]) -> dict[str, float]:
  """Seconds per stage of all generations together."""
  return {stage: sum(g.seconds[stage] for g in made) for stage in made[0].seconds}


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
  out = parser.parse_args().out
  return cli.leave(cli.ended("demo", lambda: _make(out), out))


def _make(out: Path) -> None:
  print(f"open {printable(run(out))}", file=sys.stderr)


if __name__ == "__main__":
  sys.exit(main())
