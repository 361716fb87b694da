"""`condfoley generate`: a video and an example to ranked takes on disk, with a report to look at and listen to."""

from pathlib import Path

from condfoley_jax.commands import output
from condfoley_jax.commands.generation import Generation, Settings, make


def run(query: Path, out: Path, settings: Settings, *, weights_dir: Path | None = None) -> Generation:
  """Generates takes for `query` and writes soundtrack.mp4, takes/, generation.json and report.html to `out`.

  Raises:
    InputError: an input cannot be used, and nothing is written then; or `out` cannot be written.
  """
  output.check(out, (query, settings.example))
  generation = make(query, settings, weights_dir=weights_dir)
  output.write(generation, out, weights_dir=weights_dir)
  return generation
