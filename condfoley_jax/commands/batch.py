"""`condfoley generate --batch`: the rows of a table of queries and examples, one result folder each.

Videos are read ahead and results written behind while the device samples. A row that cannot be made is told in
summary.csv and fails alone; rows that are there already, of the same settings and inputs, are not made again.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from condfoley_jax.commands import batch_summary, jobs, output
from condfoley_jax.commands.ahead import read_ahead
from condfoley_jax.commands.bar import Bar
from condfoley_jax.commands.batch_summary import WHOLE, Shard, Summary
from condfoley_jax.commands.generation import timed
from condfoley_jax.commands.jobs import Row
from condfoley_jax.commands.maker import Maker, Request
from condfoley_jax.commands.settings import Settings
from condfoley_jax.sampling.generate import Takes
from condfoley_jax.sampling.rerank import Sync, over_segments
from data_pipelines import claim, interrupt
from data_pipelines.errors import InputError, is_failing, printable

# Names that no row may have.
TAKEN = (batch_summary.FILE, batch_summary.SHARDS)
# Threads that read rows ahead, and the pictures of rows that are held to be made, bytes.
_READERS, _HELD = 2, 2**30


def run(
  table: Path,
  out: Path,
  settings: Settings,
  *,
  shard: Shard = WHOLE,
  weights_dir: Path | None = None,
  force: bool = False,
) -> None:
  """Makes every row of `table` into `out`/NAME and tells of all in `out`/summary.csv.

  Args:
    table: see `jobs.read`.
    out: where.
    settings: of all rows, but for what a row says.
    shard: of the rows; other runs may make the others at the same time.
    weights_dir: None for the shipped weights.
    force: earlier results, of other settings or inputs, are replaced.

  Raises:
    InputError: the table or the weights cannot be used, another run is at work in `out`, a summary.csv there is of no
      batch, or, when all is done, some rows could not be made.
    Interrupted: a signal came; rows that are done stay.
  """
  rows = jobs.read(table, settings, taken=TAKEN)
  output.require_place(out)
  summary, own = Summary(out, rows, shard), shard.of(rows)
  summary.require_ours()
  # Shares are made beside one another, but not beside the whole.
  beside = claim.claimed(out, shared=True) if shard.count > 1 else contextlib.nullcontext()
  with beside, claim.claimed(shard.place(out)):
    _require_alike(out, shard)
    batch = _Batch(own, out, settings, weights_dir, force, summary)
    batch.make()
  failed = [told for told in batch.told.values() if told["status"] == "failed"]
  if failed:
    told = f"{len(failed)} of {len(own)} rows could not be made; {out / TAKEN[0]} says why"
    raise InputError(f"{table}: {told}") from batch.failing


def message_of(error: InputError | OSError, row: Row) -> str:
  """What is told of a row that cannot be made."""
  if not isinstance(error, OSError):
    return str(error)
  remedy = "run this again" if is_failing(error) else "check the path"
  return f"{error.filename or row.query}: {error.strerror or error}; {remedy}"


def _require_alike(out: Path, shard: Shard) -> None:
  """Raises InputError where a run is at work on a share of another number of shares, which has rows of this one."""
  for place in set((out / batch_summary.SHARDS).glob("*-of-*")) - set(shard.siblings(out)):
    with claim.claimed(place):
      pass


class _Batch:
  """Rows being made."""

  def __init__(
    self,
    rows: Sequence[Row],
    out: Path,
    settings: Settings,
    weights_dir: Path | None,
    force: bool,
    summary: Summary,
  ):
    self._rows, self._out, self._settings, self._weights_dir = rows, out, settings, weights_dir
    self._force, self._summary = force, summary
    self.failing: InputError | OSError | None = None  # Of a row that another try may mend.
    with timed("load weights", {}):
      self._maker = Maker(weights_dir, settings)
    self.told: dict[str, dict | None] = {}
    with Bar("look for what is made") as bar:  # All inputs are read.
      for row in rows:
        interrupt.check()
        self.told[row.name] = self._earlier(row)
        bar.show(len(self.told), len(rows))

  def make(self) -> None:
    """Makes what is left; one group is written while the next is sampled."""
    before: Callable[[], None] = lambda: None
    for group in self._groups():
      with timed(f"{self._count()} sample", {}):
        finish = self._maker.begin([request for _, request in _padded(group)])
        before()
        made = self._finished(group, finish)
      before = functools.partial(self._write_all, group, made)
    before()
    self._summary.write(self.told)

  def _finished(self, group: Sequence[tuple[Row, Request]], finish: Callable[[], list[Takes]]) -> Sequence[Takes]:
    """The takes of a group; none where it is a row that is made alone, whose frames are read meanwhile, and fails."""
    try:
      return finish()
    except (InputError, OSError) as error:
      (row, request), *_ = group
      if not request.alone:
        raise  # No fault of one row.
      self._fail(row, error)
      return ()

  def _groups(self) -> Iterator[list[tuple[Row, Request]]]:
    """Rows to make together: of one bucket, read ahead; those that wait long for others go without them."""
    waiting: dict[int, list[tuple[Row, Request]]] = {}
    for row, request in self._read([row for row in self._rows if self.told[row.name] is None]):
      if request.alone:
        yield [(row, request)]
        continue
      bucket = self._maker.generator.bucket(len(request.frames))
      waiting.setdefault(bucket, []).append((row, request))
      if len(waiting[bucket]) >= self._at_once(bucket):
        yield waiting.pop(bucket)
      elif sum(request.nbytes for group in waiting.values() for _, request in group) > _HELD:
        yield waiting.pop(max(waiting, key=lambda bucket: sum(request.nbytes for _, request in waiting[bucket])))
    yield from waiting.values()

  def _at_once(self, bucket: int) -> int:
    """Rows of a bucket that are made together: a power of two, as `_padded` fills them up to one."""
    fitting = max(1, self._maker.generator.at_once(bucket) // self._settings.candidates)
    return 1 << (fitting.bit_length() - 1)

  def _read(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Request]]:
    """Rows that can be read, in order."""
    for row, future in read_ahead(rows, self._read_one, held=_HELD, readers=_READERS):
      try:
        yield row, future.result()
      except (InputError, OSError) as error:
        self._fail(row, error)

  def _read_one(self, row: Row) -> Request:
    output.check(self._out / row.name, (row.query, *row.settings.files), force=self._force)
    return self._maker.read(row.query, row.settings)

  def _write_all(self, group: Sequence[tuple[Row, Request]], made: Sequence[Takes]) -> None:
    for (row, request), takes in zip(group, made, strict=False):
      generation, place = self._maker.rank(request, takes, {}), self._out / row.name
      try:
        with claim.claimed(place):  # Another command may be at work on what was there, or be making the same.
          record = output.write(generation, place, force=self._force, weights_dir=self._weights_dir)
        self.told[row.name] = _told(record)
      except (InputError, OSError) as error:
        self._fail(row, error)
    self._summary.write(self.told)

  def _earlier(self, row: Row) -> dict | None:
    """What the summary tells of a row that is made; None if it is not, or reading it will tell why not."""
    settings = self._maker.settled(row.settings)
    try:
      record = output.earlier(self._out / row.name, row.query, settings, self._maker.weights.id)
    except (InputError, OSError):
      return None
    return record and _told(record)

  def _fail(self, row: Row, error: InputError | OSError) -> None:
    if is_failing(error):
      self.failing = error
    self.told[row.name] = {"status": "failed", "message": printable(message_of(error, row))}

  def _count(self) -> str:
    return f"{sum(told is not None for told in self.told.values())} of {len(self._rows)}:"


def _told(record: dict) -> dict:
  """What the summary tells of a row of which this is the generation.json."""
  best = record["takes"][0]
  offsets, confidences = ([s[k] for s in best["segments"]] for k in ("sync_offset_s", "sync_confidence"))
  sync = over_segments(Sync(np.array(offsets), np.array(confidences)))
  damaged = sum(map(len, record.get("damaged_s", {}).values()))
  told = {"message": f"{damaged} damaged packets were concealed"} if damaged else {}
  return {"status": "made", "seed": best["seed"], **told} | {k: round(float(v), 6) for k, v in sync._asdict().items()}


def _padded(group: Sequence[tuple[Row, Request]]) -> list[tuple[Row, Request]]:
  """A power of two of rows, so that few sizes are compiled."""
  size = 1 << (len(group) - 1).bit_length()
  return [*group, *[group[-1]] * (size - len(group))]
