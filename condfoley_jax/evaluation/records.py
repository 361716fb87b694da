"""Records of an evaluation on disk: a file of JSON lines per system, taken up again where a run was stopped.

The first line of a file says what its records depend on. A line is written whole and flushed, with a checksum of its
record; a half one at the end of a file, of a run that was killed, is dropped.
"""

import json
import zlib
from pathlib import Path
from typing import Any

from condfoley_jax.evaluation.scoring import Record
from data_pipelines.errors import InputError

_CHECK = "crc32"


class Records:
  """The file of one system: records by the names of their items.

  Args:
    path: made if it is not there.
    identity: what the records depend on.

  Raises:
    InputError: the file's records depend on something else, or are damaged.
  """

  def __init__(self, path: Path, identity: dict[str, Any]):
    self._path = path
    self._found: dict[str, Record] = {}
    if path.exists():
      self._read(identity)
    if not path.exists():
      path.parent.mkdir(parents=True, exist_ok=True)
      self._write(identity)

  def __contains__(self, item: str) -> bool:
    return item in self._found

  def __getitem__(self, item: str) -> Record:
    return self._found[item]

  def add(self, record: Record) -> None:
    """Appends the record of an item, which has its name under "item"."""
    self._found[record["item"]] = record
    with self._path.open("a", encoding="utf-8") as file:
      file.write(_line(record))

  def _read(self, identity: dict[str, Any]) -> None:
    try:
      text = self._path.read_text(encoding="utf-8")
      whole = text[: text.rfind("\n") + 1]
      lines = [_parsed(line) for line in whole.splitlines()]
      records = [_checked(line) for line in lines[1:]]
      self._found = {record["item"]: record for record in records}
      if len(self._found) < len(records):
        raise ValueError("an item comes twice")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
      raise InputError(f"{self._path}: damaged; remove it, and it is made again") from error
    if not whole:
      self._path.unlink()
    elif lines[0] != identity:
      told = ", ".join(f"{k} {lines[0].get(k)}" for k in identity if lines[0].get(k) != identity[k])
      raise InputError(f"{self._path}: of another evaluation ({told}); choose another folder or remove it")
    elif whole != text:
      self._write(identity)

  def _write(self, identity: dict[str, Any]) -> None:
    aside = self._path.with_name(f".{self._path.name}.partial")
    lines = [json.dumps(identity) + "\n", *map(_line, self._found.values())]
    aside.write_text("".join(lines), encoding="utf-8")
    aside.replace(self._path)


def _line(record: Record) -> str:
  return json.dumps(record | {_CHECK: _checksum(record)}) + "\n"


def _checked(line: dict) -> Record:
  """Raises ValueError if a record is not what was written."""
  record = {key: value for key, value in line.items() if key != _CHECK}
  if line.get(_CHECK) != _checksum(record):
    raise ValueError(f"{record.get('item')} was changed")
  return record


def _checksum(record: Record) -> int:
  return zlib.crc32(json.dumps(record).encode())


def _parsed(line: str) -> dict:
  """Raises ValueError if the line is no JSON object."""
  found = json.loads(line)
  if not isinstance(found, dict):
    raise ValueError(f"{type(found).__name__} where an object should be")
  return found
