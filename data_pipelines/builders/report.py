"""What of a public data set is in a folder and what is missing."""

import dataclasses
import pathlib

from data_pipelines.builders.source import LISTS_URL
from data_pipelines.errors import printable

_NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Part:
  """One kind of file of a data set.

  Attributes:
    what: the kind, with the form of its names.
    expected, found: numbers of files.
    missing: names of those that are not there, as far as they are known.
  """

  what: str
  expected: int
  found: int
  missing: tuple[str, ...]

  def text(self) -> str:
    """One line: counts, and the first names that are missing."""
    line = f"{self.what}: {self.found} of {self.expected}"
    if self.missing:
      more = f" and {len(self.missing) - _NAMES_SHOWN} more" if len(self.missing) > _NAMES_SHOWN else ""
      line += f"; missing: {', '.join(map(printable, self.missing[:_NAMES_SHOWN]))}{more}"
    return line


@dataclasses.dataclass(frozen=True)
class Report:
  """Content of a folder against what a data set consists of. No hash is published for either of the data sets.

  Attributes:
    dataset: its name.
    folder: the folder that was looked at.
    parts: kinds of files.
    unknown: names of videos in the folder that are not of the data set.
    fetch: which media to fetch from where.
  """

  dataset: str
  folder: pathlib.Path
  parts: tuple[Part, ...]
  unknown: tuple[str, ...]
  fetch: str

  @property
  def complete(self) -> bool:
    """Whether nothing is missing."""
    return all(part.found >= part.expected for part in self.parts)

  def text(self) -> str:
    """Lines for a terminal."""
    lines = [f"{self.dataset} in {printable(self.folder)}", *(f"  {part.text()}" for part in self.parts)]
    if self.unknown:
      shown = ", ".join(map(printable, self.unknown[:_NAMES_SHOWN]))
      lines.append(f"  not of this data set: {len(self.unknown)} videos, e.g. {shown}")
    lines.append("  no hashes are published for it, so only names and numbers are compared")
    fetch = f"{self.fetch}; annotation files from the folder `data` of {LISTS_URL}"
    lines.append("  complete" if self.complete else f"  to fetch: {fetch}")
    return "\n".join(lines)


def lists_part(folder: pathlib.Path, names: tuple[str, ...]) -> Part:
  """The published annotation files `names` that are in `folder`."""
  missing = tuple(name for name in names if not (folder / name).is_file())
  return Part("published annotation files", len(names), len(names) - len(missing), missing)
