"""Labels of Greatest Hits as the published code of Du et al. (2023) hands them on: one `hit_record.json` per video.

Each is a list of [time in seconds, "material action"]; what is not known is None. They lie in folders named by the
videos' ids: in `greatest_hit_meta_info.tar.gz`, in what it unpacks to, or beside unpacked pictures.
"""

import dataclasses
import pathlib
import tarfile
from collections.abc import Iterator

from data_pipelines.builders.clips import exact
from data_pipelines.builders.events import UNKNOWN, Event, parse_event
from data_pipelines.builders.source import parse_json
from data_pipelines.errors import InputError

ARCHIVE = "greatest_hit_meta_info.tar.gz"
FILE_NAME = "hit_record.json"
UNPACKED = pathlib.PurePath("data", "greatesthit", "greatesthit-process-resized")
_REMEDY = f"fetch {ARCHIVE} of the published code again"


def parse_hit_record(content: bytes, where: str) -> tuple[Event, ...]:
  """Events of one file, in its order, at the exact times of their frames; their reactions are unknown.

  Args:
    content: the JSON text.
    where: its name, for messages.

  Raises:
    InputError: the text is no list of [time, "material action"].
  """
  rows = parse_json(content, where, _REMEDY)
  if not isinstance(rows, list):
    raise InputError(f"{where}: is not a list of hits; {_REMEDY}")
  return tuple(_event(row, f"{where}: record {n}") for n, row in enumerate(rows, 1))


def read_hit_records(path: pathlib.Path) -> dict[str, tuple[Event, ...]]:
  """Events of every video in the archive, or in a folder of folders, by the video's id.

  Raises:
    InputError: the archive is damaged, a file is no list of hits, or a video comes twice.
  """
  events: dict[str, tuple[Event, ...]] = {}
  for video, where, content in _read_archive(path) if path.is_file() else _read_tree(path):
    if video in events:
      raise InputError(f"{where}: the video comes twice; {_REMEDY}")
    events[video] = parse_hit_record(content, where)
  return events


def find_hit_records(folder: pathlib.Path) -> pathlib.Path | None:
  """Archive or tree of hit records in `folder`; None where it has neither."""
  for path in (folder / ARCHIVE, folder / UNPACKED):
    if path.exists():
      return path
  return folder if next(folder.glob(f"*/{FILE_NAME}"), None) else None


def video_of(folder: str) -> str:
  """The id of the video that is unpacked to a folder of that name, `<video>` or `<video>_denoised`."""
  return folder.removesuffix("_denoised")


def _event(row: object, where: str) -> Event:
  match row:
    case [int() | float() as time_s, str() as label] if len(words := label.split(" ")) == 2:
      event = parse_event([time_s, *words, UNKNOWN], where)
      return dataclasses.replace(event, time_s=exact(event.time_s))
  raise InputError(f'{where} is not [time, "material action"]; {_REMEDY}')


def _read_tree(folder: pathlib.Path) -> Iterator[tuple[str, str, bytes]]:
  for path in sorted(folder.glob(f"*/{FILE_NAME}")):
    yield video_of(path.parent.name), str(path), path.read_bytes()


def _read_archive(path: pathlib.Path) -> Iterator[tuple[str, str, bytes]]:
  """(video, where, content) of each file. Nothing is unpacked to disk."""
  try:
    with tarfile.open(path) as archive:
      for member in archive:
        name = pathlib.PurePosixPath(member.name)
        if member.isfile() and name.name == FILE_NAME:
          yield video_of(name.parent.name), f"{path}:{name}", archive.extractfile(member).read()
  except (tarfile.TarError, EOFError, OSError) as e:
    raise InputError(f"{path}: damaged or no archive; {_REMEDY}") from e
