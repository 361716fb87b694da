"""The table of `condfoley generate --batch`: CSV with a header, or JSON lines."""

import csv
import dataclasses
import itertools
import json
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from condfoley_jax.commands.settings import Settings, parse_example
from data_pipelines.errors import InputError, is_utf8

COLUMNS = ("query", "example", "example_start", "seed", "name")
_SHOWN_LETTERS = 60
_LONGEST_NAME = 255  # Bytes; what file systems take.


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of the table: what to make, and the folder's name."""

  name: str
  query: Path
  settings: Settings


def read(table: Path, settings: Settings, *, taken: Sequence[str]) -> list[Row]:
  """The rows of a table.

  Args:
    table: CSV whose first line names its columns, or, where the name ends in `.jsonl`, a JSON object a line. `query`
      and `example` are paths from the table's folder on; in JSON `example` may be a list, as several --example are, and
      `example_start` too.
    settings: of all rows, but for what a row says.
    taken: names that no row may have.

  Raises:
    InputError: it is no such table.
  """
  lines = (_json if table.suffix.lower() == ".jsonl" else _csv)(table)
  rows = [_row(f"{table}: row {number}", table.parent, number, line, settings) for number, line in enumerate(lines, 1)]
  if not rows:
    raise InputError(f"{table}: has no rows")
  for number, row in enumerate(rows, 1):
    if row.name.casefold() in taken:
      raise _unnamable(f"{table}: row {number}", row.name)
  # Not every file system tells large letters from small ones.
  place = lambda name: unicodedata.normalize("NFC", name).casefold()
  for _, same in itertools.groupby(sorted((row.name for row in rows), key=place), place):
    if len(names := list(same)) > 1:
      raise InputError(f"{table}: two rows are called `{names[0]}`; rename one")
  return rows


def _csv(table: Path) -> list[dict]:
  try:
    with table.open(newline="", encoding="utf-8-sig") as file:
      found = csv.DictReader(file)
      columns, lines = found.fieldnames or [], list(found)
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    told = error.strerror if isinstance(error, OSError) else error
    raise InputError(f"{table}: cannot be read as a table ({told}); give a CSV file in UTF-8") from error
  if any("\0" in cell for line in lines for cell in map(str, line.values())):
    raise InputError(f"{table}: holds zero bytes; give a CSV file in UTF-8")
  if missing := [name for name in COLUMNS[:2] if name not in columns]:
    raise InputError(f"{table}: no column `{missing[0]}`; the first line names {', '.join(COLUMNS)}, with commas")
  if unknown := [name for name in columns if name not in COLUMNS]:
    raise InputError(f"{table}: column `{unknown[0]}` is none of {', '.join(COLUMNS)}")
  if len(set(columns)) < len(columns):
    raise InputError(f"{table}: the first line names a column twice")
  for number, line in enumerate(lines, 1):
    if None in line or None in line.values():
      raise InputError(f"{table}: row {number} has more or fewer cells than the first line")
  return [{name: cell for name, cell in line.items() if cell} for line in lines]


def _json(table: Path) -> list[dict]:
  try:
    text = table.read_text(encoding="utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    told = error.strerror if isinstance(error, OSError) else error
    raise InputError(f"{table}: cannot be read ({told}); give JSON lines in UTF-8") from error
  found = []
  for number, line in enumerate((line for line in text.split("\n") if line.strip()), 1):
    try:
      row = json.loads(line)
    except (ValueError, RecursionError):
      row = None
    if not isinstance(row, dict):
      raise InputError(f'{table}: row {number} is no JSON object; write {{"query": ..., "example": ...}} a line')
    if unknown := [name for name in row if name not in COLUMNS]:
      raise InputError(f"{table}: row {number} has `{_short(unknown[0])}`, which is none of {', '.join(COLUMNS)}")
    found.append({name: value for name, value in row.items() if value is not None})
  return found


def _row(where: str, home: Path, number: int, line: dict, settings: Settings) -> Row:
  listed = lambda value: value if isinstance(value, list) else [value]
  examples, starts = listed(line.get("example", [])), listed(line.get("example_start", []))
  texts = [line.get("query"), *examples]
  if not examples or not all(isinstance(text, str) and text and "\0" not in text for text in texts):
    raise InputError(f"{where} lacks a query or an example")
  for text in texts:
    if not is_utf8(text):
      raise InputError(f"{where}: `{_short(text)}` is not UTF-8; rename it")
  starts_s = [_number(where, "example_start", start, float) for start in starts]
  if starts_s and len(starts_s) != len(examples):
    raise InputError(f"{where}: {len(starts_s)} example_start for {len(examples)} examples; give one for each, or none")
  seed = _number(where, "seed", line.get("seed", settings.seed), int)
  if not all(0 <= start < math.inf for start in starts_s):
    raise InputError(f"{where}: example_start must be 0 or more")
  if not 0 <= seed < 2**32:
    raise InputError(f"{where}: seed must be in 0..2^32-1")
  try:
    chosen = [parse_example(str(home / text)) for text in examples]
  except InputError as error:
    raise InputError(f"{where}: {error}") from error
  for index, start_s in enumerate(starts_s):
    chosen[index] = dataclasses.replace(chosen[index], start_s=start_s)
  query = home / line["query"]
  name = line.get("name", f"{number:05d}-{query.stem}")
  # A name with a dot in front is hidden, and may be that of a folder which a killed run left.
  named = isinstance(name, str) and name and not name.startswith(".") and "\0" not in name and is_utf8(name)
  if not named or Path(name).name != name or len(name.encode()) > _LONGEST_NAME:
    raise _unnamable(where, name)
  return Row(name, query, dataclasses.replace(settings, examples=tuple(chosen), seed=seed))


def _number(where: str, column: str, value: object, kind: type) -> int | float:
  try:
    if isinstance(value, str | int | float) and not isinstance(value, bool) and kind(value) == float(value):
      return kind(value)
  except (ValueError, OverflowError):
    pass
  told = f"{column} `{_short(str(value))}` is no number"
  raise InputError(f"{where}: {told}; example_start is in seconds, seed a whole number")


def _unnamable(where: str, name: object) -> InputError:
  told = f"`{_short(str(name))}` cannot be the name of a result's folder"
  return InputError(f"{where}: {told}; give the row another one as `name`")


def _short(text: str) -> str:
  return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


def shown(examples: Sequence) -> str:
  """Examples of a row, for the summary."""
  return "; ".join(str(example.path) for example in examples)
