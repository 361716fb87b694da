"""`condfoley generate --dry-run`: reads all inputs and says what cannot be used; makes nothing."""

import sys
from pathlib import Path

import numpy as np

from condfoley_jax.commands import batch, generate, jobs, output
from condfoley_jax.commands.bar import Bar
from condfoley_jax.commands.batch_summary import WHOLE, Summary
from condfoley_jax.commands.generation import timed
from condfoley_jax.commands.jobs import Row
from condfoley_jax.commands.maker import Maker, Request
from condfoley_jax.commands.settings import Settings
from data_pipelines import interrupt
from data_pipelines.errors import InputError, is_failing, printable

# Pictures of a long query that are in memory.
_AT_ONCE = 256


def run(
  source: Path, out: Path, settings: Settings, *, many: bool, weights_dir: Path | None = None, force: bool = False
) -> None:
  """Says on stderr what of one query, or of `many` in a table, cannot be made, a line each.

  Args:
    source: the query or the table.
    out, settings, weights_dir, force: as `generate.run` and `batch.run` would be given.
    many: `source` is a table.

  Raises:
    InputError: something cannot be used.
  """
  rows = jobs.read(source, settings, taken=batch.TAKEN) if many else [Row("", source, settings)]
  output.require_place(out)
  if many:
    Summary(out, rows, WHOLE).require_ours()
  with timed("load weights", {}):
    maker = Maker(weights_dir, settings)
  failed, failing, seconds, made = [], None, 0.0, 0
  with Bar("read") as bar:
    for number, row in enumerate(rows):
      interrupt.check()
      try:
        # Rows of a table that are made already are not made again.
        if many and output.earlier(out / row.name, row.query, maker.settled(row.settings), maker.weights.id):
          made += 1
          continue
        output.check(out / row.name, (row.query, *row.settings.files), force=force)
        request = maker.read(row.query, row.settings)
        _read_through(request)
        seconds += request.samples / maker.spec.sample_rate
        generate.tell_damage(request.inputs, request.damaged_s)
      except (InputError, OSError) as error:
        failed.append(batch.message_of(error, row))
        if is_failing(error):
          failing = error
      finally:
        bar.show(number + 1, len(rows))
  if not many and failed:
    raise InputError(failed[0]) from failing
  for told in failed:
    print(f"condfoley generate: {printable(told)}", file=sys.stderr)
  if failed:
    raise InputError(f"{source}: {len(failed)} of {len(rows)} rows cannot be made; mend or remove them") from failing
  takes = settings.candidates * (len(rows) - made)
  told = f"{takes} take{'s' * (takes != 1)}, {seconds * settings.candidates:.1f} s of sound"
  print(f"{printable(source)}: can be made: {told}" + (f"; {made} rows are made already" if made else ""))


def _read_through(request: Request) -> None:
  """Reads the pictures of a long query, which else are read while it is made."""
  if isinstance(request.frames, np.ndarray):
    return
  for first in range(0, len(request.frames), _AT_ONCE):
    interrupt.check()
    request.frames.forget(first)
    request.frames.read(first, min(_AT_ONCE, len(request.frames) - first))
