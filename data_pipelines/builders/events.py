"""Events of a video in the Greatest Hits `_times.txt` format (Owens et al. 2016): `time material action reaction`."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence

from data_pipelines.errors import InputError, printable

MATERIALS = (
  "carpet",
  "ceramic",
  "cloth",
  "dirt",
  "drywall",
  "glass",
  "grass",
  "gravel",
  "leaf",
  "metal",
  "paper",
  "plastic",
  "plastic-bag",
  "rock",
  "tile",
  "water",
  "wood",
)
ACTIONS = ("hit", "scratch")
UNKNOWN = "None"  # what the data set writes where an annotator gave no label


@dataclasses.dataclass(frozen=True)
class Event:
  """One contact of the stick.

  Attributes:
    time_s: instant of contact (of its start for a scratch), s from the video's time zero.
    material: one of MATERIALS, or UNKNOWN.
    action: one of ACTIONS, or UNKNOWN.
    reaction: one word for what the surface does (`static`, `deform`, `scatter`, ...).
  """

  time_s: float
  material: str
  action: str
  reaction: str = UNKNOWN


def times_path(video: pathlib.Path) -> pathlib.Path:
  """Path of the events file that lies beside `video`."""
  return video.with_name(f"{video.stem}_times.txt")


def parse_event(fields: Sequence[str | float], where: str) -> Event:
  """Event of the four fields time (s), material, action, reaction.

  Args:
    fields: as they stand in a file; words are kept as they are.
    where: the file and the place in it, for messages.

  Raises:
    InputError: not four fields, a time that is no time, a material or action that Greatest Hits does not know.
  """
  if len(fields) != 4:
    raise InputError(f"{where} is not `time material action reaction`; correct it")
  time, material, action, reaction = fields
  try:
    # Python reads 1_0 as 10 and True as 1.
    time_s = math.nan if "_" in str(time) or isinstance(time, bool) else float(time)
  except (ValueError, TypeError):
    time_s = math.nan
  if not 0 <= time_s < math.inf:
    raise InputError(f"{where} has the time {printable(time)}; give seconds from the start of the video")
  if material not in (*MATERIALS, UNKNOWN) or action not in (*ACTIONS, UNKNOWN):
    raise InputError(f"{where} names no known material and action; use those of Greatest Hits, or {UNKNOWN}")
  return Event(time_s, material, action, reaction)


def read_events(path: str | os.PathLike) -> list[Event]:
  """Events of `path` in the file's order. Raises InputError on a missing file or a line that is no event."""
  path = pathlib.Path(path)
  try:
    lines = path.read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(
      f"{path}: cannot be read as a list of events ({type(error).__name__}); give a text file"
    ) from error
  return [parse_event(line.split(), f"{path}: line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def write_events(path: str | os.PathLike, events: list[Event]) -> None:
  """Writes `events`, times to the microsecond. The file appears whole or not at all."""
  path = pathlib.Path(path)
  text = "".join(f"{e.time_s:.6f} {e.material} {e.action} {e.reaction}\n" for e in events)
  aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)
