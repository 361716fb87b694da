"""Records of an evaluation on disk: a file of JSON lines per group of systems, taken up again where a run was stopped.

The first line of a file says what its records depend on. A line is written whole and flushed; a half one at the end of
a file, of a run that was killed, is dropped.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from condfoley_jax.evaluation.scoring import Record
from data_pipelines.errors import InputError


class Records:
  """The file of one group.

  Args:
    path: made if it is not there.
    identity: what the records depend on.

  Raises:
    InputError: the file's records depend on something else, or are damaged.
  """

  def __init__(self, path: Path, identity: dict[str, str]):
    self._path = path
    self._found: dict[str, Record] = {}
    if path.exists():
      self._read(identity)
    if not path.exists():
      path.parent.mkdir(parents=True, exist_ok=True)
      self._write([identity])

  def __contains__(self, item: str) -> bool:
    return item in self._found

  def __iter__(self) -> Iterator[Record]:
    """Records in the order in which they were added."""
    return iter(self._found.values())

  def add(self, record: Record) -> None:
    """Appends the record of an item, which has its name under "item"."""
    self._found[record["item"]] = record
    with self._path.open("a", encoding="utf-8") as file:
      file.write(json.dumps(record) + "\n")

  def _read(self, identity: dict[str, str]) -> None:
    text = self._path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    try:
      first, *lines = (json.loads(line) for line in whole.splitlines()) if whole else ({},)
      self._found = {line["item"]: line for line in lines}
    except (ValueError, KeyError, TypeError) as error:
      raise InputError(f"{self._path}: damaged; remove it, and it is made again") from error
    if not whole:
      self._path.unlink()
    elif first != identity:
      told = ", ".join(f"{k} {first.get(k)}" for k in identity if first.get(k) != identity[k])
      raise InputError(f"{self._path}: of another evaluation ({told}); choose another folder or remove it")
    elif whole != text:
      self._write([first, *lines])

  def _write(self, lines: list[dict]) -> None:
    aside = self._path.with_name(f".{self._path.name}.partial")
    aside.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    aside.replace(self._path)
