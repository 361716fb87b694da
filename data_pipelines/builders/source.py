"""What a builder offers: videos, their sound and labels; and how builders read their folders."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError, printable

# Of the public data sets: ours, of which no two share a video, and those of the lists of Du et al. (2023).
SPLITS = ("train", "val", "test")
PUBLISHED_SPLITS = ("published_train", "published_val", "published_test")
LISTS_URL = "https://github.com/XYPB/CondFoleyGen"
FETCH_LISTS = f"fetch it from the folder `data` of {LISTS_URL} and put it there"
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


@dataclasses.dataclass(frozen=True)
class Source:
  """One video of a data set, not decoded yet. Pickles, so that workers can convert it.

  Attributes:
    id: unique within the data set.
    video: a video file, or a folder of pictures as `unpacked.read_pictures` reads them.
    audio: a sound file that begins with the first picture, or None for the video's own sound.
    events: labelled events, times in seconds from the video's start.
    label: class of the whole video.
    span_s: labelled interval (start, end), s from the video's start.
    denoise: background noise is to be removed before the sound is stored.
  """

  id: str
  video: pathlib.Path
  audio: pathlib.Path | None = None
  events: tuple[Event, ...] = ()
  label: str | None = None
  span_s: tuple[float, float] | None = None
  denoise: bool = False


def require_folder(path: str | os.PathLike, holds: str) -> pathlib.Path:
  """`path`, if it is a folder. Raises InputError, which says that a folder of `holds` is wanted."""
  path = pathlib.Path(path)
  if not path.is_dir():
    what = "a file" if path.exists() else "no such folder"
    raise InputError(f"{printable(path)}: {what}; give the folder of {holds}")
  return path


def data_folders(
  source_dir: str | os.PathLike, annotations: str | os.PathLike | None, dataset: str
) -> tuple[pathlib.Path, pathlib.Path]:
  """Folder of a public data set and that of its published lists, by default the same. Raises InputError if absent."""
  return require_folder(source_dir, dataset), require_folder(annotations or source_dir, "the published annotations")


def require_split(split: str, known: Iterable[str], dataset: str) -> None:
  """Raises InputError if `split` is none of `known`."""
  if split not in known:
    raise InputError(f"{dataset}: no split `{split}`; choose one of {', '.join(known)}")


def find_videos(folder: pathlib.Path, suffixes: Iterable[str] = VIDEO_SUFFIXES) -> list[pathlib.Path]:
  """Video files in `folder` and below, sorted; hidden ones are left out. Raises InputError on links to nothing."""
  found = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
  shown = sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))
  for path in shown:
    if path.is_symlink() and not path.exists():
      raise InputError(f"{printable(path)}: a link to nothing; remove it or bring the video back")
  return [path for path in shown if path.is_file()]


def by_id(paths: Iterable[pathlib.Path], ids: Iterable[str]) -> dict[str, pathlib.Path]:
  """Files by id. Raises InputError if two have the same."""
  found: dict[str, pathlib.Path] = {}
  for path, name in zip(paths, ids, strict=True):
    if name in found:
      raise InputError(
        f"{printable(path)}: has the same name as {printable(found[name])}; rename or remove one of them"
      )
    found[name] = path
  return found


def read_json(path: pathlib.Path | epath.Path, remedy: str) -> Any:
  """Content of a JSON file. Raises InputError, with `remedy`, if it is absent or no JSON."""
  try:
    return parse_json(path.read_bytes(), str(path), remedy)
  except OSError as e:
    what = "no such file" if isinstance(e, FileNotFoundError) else f"cannot be read ({type(e).__name__})"
    raise InputError(f"{path}: {what}; {remedy}") from e


def parse_json(content: bytes, where: str, remedy: str) -> Any:
  """Content of JSON text that came from `where`. Raises InputError if it is none, or an object has a key twice."""

  def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON keeps the last of them, so that what stands under the others would be lost without a word.
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
      raise InputError(f"{where}: has the key {printable(twice[0])} twice; {remedy}")
    return dict(pairs)

  try:
    return json.loads(content, object_pairs_hook=table)
  except InputError:
    raise
  except (ValueError, RecursionError) as e:
    raise InputError(f"{where}: is not JSON; {remedy}") from e


def read_strings(path: pathlib.Path, remedy: str) -> list[str]:
  """A JSON list of strings without repeats. Raises InputError if the file is none."""
  listed = read_json(path, remedy)
  if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
    raise InputError(f"{path}: is not a JSON list of names; {remedy}")
  if len(set(listed)) != len(listed):
    twice = next(name for name in listed if listed.count(name) > 1)
    raise InputError(f"{path}: lists {printable(twice)} twice; {remedy}")
  return listed


def read_table(path: pathlib.Path | epath.Path, remedy: str) -> Mapping[str, Any]:
  """A JSON object. Raises InputError if the file is none."""
  table = read_json(path, remedy)
  if not isinstance(table, dict):
    raise InputError(f"{path}: is not a JSON object by video; {remedy}")
  return table


def fraction(name: str) -> float:
  """A number in [0, 1) that depends on `name` alone, the same on every machine: what splits by hash go by."""
  return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") / 2**64
