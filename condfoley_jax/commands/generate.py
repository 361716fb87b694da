"""`condfoley generate`: a video and an example to ranked takes on disk, with a report to look at and listen to."""

import sys
from pathlib import Path

import numpy as np

from condfoley_jax.commands import output
from condfoley_jax.commands.generation import Generation
from condfoley_jax.commands.maker import make
from condfoley_jax.commands.settings import Settings
from data_pipelines import claim
from data_pipelines.errors import printable

# A soundtrack below this peak is as good as silent: 50 dB under full scale.
_QUIET_PEAK = 10 ** (-50 / 20)


def run(
  query: Path, out: Path, settings: Settings, *, weights_dir: Path | None = None, force: bool = False
) -> Generation:
  """Generates takes for `query` and writes soundtrack.mp4, takes/, generation.json and report.html to `out`.

  Args:
    query, out, settings: what to make and where.
    weights_dir: None for the shipped weights.
    force: an earlier result in `out` is replaced.

  Raises:
    InputError: an input cannot be used, or `out` cannot be written, or another run is at work there; nothing is
      written then.
    Interrupted: a signal came; nothing is written then either.
  """
  output.check(out, (query, *settings.files), force=force)
  with claim.claimed(out):
    generation = make(query, settings, weights_dir=weights_dir)
    output.write(generation, out, force=force, weights_dir=weights_dir)
  tell_damage(generation.inputs, generation.damaged_s)
  if np.abs(generation.takes[0].audio).max() < _QUIET_PEAK:
    quiet = f"{out / 'soundtrack.mp4'}: nearly silent; try another --seed or --example"
    print(f"condfoley generate: {printable(quiet)}", file=sys.stderr)
  return generation


def tell_damage(inputs: dict[str, dict], damaged_s: dict[str, list[float]]) -> None:
  """Says on stderr, a line a file, what of the inputs was concealed."""
  for name, times_s in damaged_s.items():
    if times_s:
      told = f"{len(times_s)} damaged packets from {min(times_s):.2f} to {max(times_s):.2f} s were concealed"
      print(f"condfoley generate: {printable(inputs[name]['path'])}: {told}", file=sys.stderr)
