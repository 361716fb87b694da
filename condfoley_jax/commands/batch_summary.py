"""summary.csv of `condfoley generate --batch`: what became of each row, in the order of the table.

Of a batch that several runs make in shares, each writes of its own rows in `shards/K-of-N/summary.csv`, and all of them
join those files in the one of the whole, which is right when the last has ended.
"""

import csv
import errno
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from condfoley_jax.commands import jobs
from condfoley_jax.commands.jobs import Row
from data_pipelines import interrupt
from data_pipelines.errors import InputError, printable

FILE, SHARDS = "summary.csv", "shards"
# Of reading a file that is being replaced.
_TRIES = 3
_TOLD = ("name", "query", "example", "status", "seed", "offset_s", "confidence", "message")


class Shard(NamedTuple):
  """A share of a table's rows: number `index`, from 0, of `count`; every `count`th row."""

  index: int = 0
  count: int = 1

  def of(self, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows that are in it."""
    return rows[self.index :: self.count]

  def place(self, out: Path) -> Path:
    """Folder that a run of this share has to itself."""
    return out if self.count == 1 else out / SHARDS / f"{self.index + 1}-of-{self.count}"

  def siblings(self, out: Path) -> list[Path]:
    """Such folders of all shares of which this is one."""
    return [Shard(index, self.count).place(out) for index in range(self.count)]


WHOLE = Shard()


class Summary:
  """The files of a batch in `out`.

  Args:
    out: the batch's folder.
    rows: all of the table.
    shard: those of this run.
  """

  def __init__(self, out: Path, rows: Sequence[Row], shard: Shard):
    self._out, self._rows, self._shard = out, rows, shard

  def require_ours(self) -> None:
    """Raises InputError where a file that no batch wrote is in a summary's place."""
    for place in {self._out, self._shard.place(self._out)}:
      summary = place / FILE
      if os.path.lexists(summary) and _lines(summary) is None:
        raise InputError(f"{summary}: no batch wrote it and this one would replace it; choose another folder for --out")

  def write(self, told: Mapping[str, Mapping | None]) -> None:
    """Writes what is told of each row of this run, by name; None for one that is not made yet.

    Raises:
      InputError: as `require_ours`; another one may have come meanwhile.
    """
    self.require_ours()
    own = {row.name: _line(row, told[row.name]) for row in self._shard.of(self._rows)}
    place = self._shard.place(self._out)
    interrupt.write_together(place, {FILE: _text(list(own.values()))})
    written = None if place != self._out else own
    # Once more where another run wrote of its rows between the reading and the writing.
    while place != self._out and (found := self._joined()) != written:
      lines = [found.get(row.name) or _line(row, None) for row in self._rows]
      # Aside where no other run is: on another machine it could not see that this one is at work.
      aside = place / f".{FILE}.of-all"
      aside.write_text(_text(lines), encoding="utf-8")
      os.replace(aside, self._out / FILE)
      written = found

  def _joined(self) -> dict[str, dict]:
    """Lines of all runs' own summaries, by name."""
    found = {}
    for place in self._shard.siblings(self._out):
      found |= {line["name"]: line for line in _lines(place / FILE) or []}
    return found


def _line(row: Row, told: Mapping | None) -> dict:
  place = {"name": row.name, "query": printable(row.query), "example": printable(jobs.shown(row.settings.examples))}
  return place | dict(told or {"status": "left"})


def _text(lines: Sequence[Mapping]) -> str:
  text = io.StringIO(newline="")
  writer = csv.DictWriter(text, _TOLD)
  writer.writeheader()
  writer.writerows(lines)
  return text.getvalue()


def _lines(summary: Path) -> list[dict] | None:
  """Lines of a file that a batch wrote; None of another one."""
  try:
    text = _read(summary) if summary.is_file() else ""
  except (OSError, UnicodeDecodeError):
    return None
  if text.partition("\n")[0].strip() != ",".join(_TOLD):
    return None
  return list(csv.DictReader(io.StringIO(text, newline="")))


def _read(path: Path) -> str:
  """Of a file on a shared disk, which another run may replace while it is read."""
  for _ in range(_TRIES):
    try:
      return path.read_text(encoding="utf-8")
    except OSError as error:
      if error.errno != errno.ESTALE:
        raise
  return path.read_text(encoding="utf-8")
