"""Any folder of videos, with labels from a CSV file or from `<name>_times.txt` beside the videos, or without."""

import csv
import hashlib
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from condfoley_jax.clip import ClipSpec
from data_pipelines.builders import base
from data_pipelines.builders.events import UNKNOWN, Event, parse_event, read_events, times_path
from data_pipelines.builders.source import (
  VIDEO_SUFFIXES,
  Source,
  by_id,
  find_videos,
  fraction,
  require_folder,
  require_split,
)
from data_pipelines.errors import InputError, printable

COLUMNS = ("file", "time_s", "material", "action", "reaction")


def sources(
  source_dir: str | os.PathLike,
  split: str,
  *,
  shares: Mapping[str, float],
  labels: str | os.PathLike | None = None,
) -> list[Source]:
  """Videos of a split, sorted. Their ids are their paths in the folder without suffix, e.g. "kitchen/take 1".

  Args:
    source_dir: holds videos at any depth.
    split: one of the names in `shares`.
    shares: share of the videos by split, adding up to 1; {"train": 1} puts all in one. A hash of the id decides, so a
      video stays in its split when others come or go.
    labels: CSV file with the columns file (path in the folder), time_s, material, action, reaction.

  Raises:
    InputError: no folder, no videos in it, two with the same id, shares that do not add up, or labels that cannot be
      read, are of no video there, or are given both in the CSV file and in a `_times.txt`.
  """
  _check_shares(shares)
  require_split(split, shares, "folder")
  folder = require_folder(source_dir, "videos")
  videos = find_videos(folder)
  if not videos:
    raise InputError(f"{printable(folder)}: no {', '.join(VIDEO_SUFFIXES)} files in it; put the videos there")
  rows = _read_csv(pathlib.Path(labels), {v.relative_to(folder).as_posix(): v for v in videos}) if labels else {}
  found = by_id(videos, (v.relative_to(folder).with_suffix("").as_posix() for v in videos))
  return [
    Source(id=name, video=video, events=_events(video, rows.get(video, ())))
    for name, video in found.items()
    if split_of(name, shares) == split
  ]


def split_of(name: str, shares: Mapping[str, float]) -> str:
  """Split of the video `name`."""
  at, end = fraction(name), 0.0
  for split, share in shares.items():
    end += share
    if at < end:
      return split
  return [split for split, share in shares.items() if share][-1]  # the sum fell short of 1 by rounding


class Folder(base.SourceBuilder):
  """TFDS builder of a folder of videos. Each source_dir, shares and labels have a folder of their own in data_dir.

  Args:
    source_dir, shares, labels: as for `sources`.
    spec: rates and picture size.
    **kwargs: data_dir, file_format.
  """

  DESCRIPTION = "Videos of a folder, cut to seconds, with labelled contacts where they are given."
  HOMEPAGE = ""
  LICENSE = "that of the videos"
  CITATION = ""

  def __init__(
    self,
    source_dir: str | os.PathLike,
    *,
    spec: ClipSpec,
    shares: Mapping[str, float],
    labels: str | os.PathLike | None = None,
    **kwargs: Any,
  ):
    self._source_dir, self._shares, self._labels = source_dir, shares, labels
    places = [path and str(pathlib.Path(path).resolve()) for path in (source_dir, labels)]
    told = os.fsencode(repr((places, tuple(shares.items()))))
    variant = f"videos_{hashlib.sha256(told).hexdigest()[:12]}"
    super().__init__(spec=spec, splits=tuple(shares), variant=variant, **kwargs)

  def sources(self, split: str) -> list[Source]:
    return sources(self._source_dir, split, shares=self._shares, labels=self._labels)


def _check_shares(shares: Mapping[str, float]) -> None:
  if min(shares.values(), default=-1) < 0 or not math.isclose(sum(shares.values()), 1):
    raise InputError(f"folder: the shares of the splits are {dict(shares)}; make them add up to 1")


def _events(video: pathlib.Path, rows: tuple[Event, ...]) -> tuple[Event, ...]:
  times = times_path(video)
  if not times.exists():
    return rows
  if rows:
    raise InputError(f"{printable(times)}: the CSV file labels the same video; remove one of the two")
  return tuple(read_events(times))


def _read_csv(path: pathlib.Path, videos: Mapping[str, pathlib.Path]) -> dict[pathlib.Path, tuple[Event, ...]]:
  events: dict[pathlib.Path, tuple[Event, ...]] = {}
  for where, row in _rows(path):
    video = videos.get(row["file"])
    if video is None:
      raise InputError(f"{where} is of `{printable(row['file'])}`, no video of the folder; correct the path")
    labels = [row[name].strip() or UNKNOWN for name in COLUMNS[2:]]
    events[video] = (*events.get(video, ()), parse_event([row["time_s"], *labels], where))
  return events


def _rows(path: pathlib.Path) -> Iterator[tuple[str, dict[str, str]]]:
  """(file and line, row) of each row that is not empty."""
  try:
    with open(path, encoding="utf-8-sig", newline="") as f:
      reader = csv.DictReader(f, strict=True)
      if sorted(reader.fieldnames or ()) != sorted(COLUMNS):
        raise InputError(f"{path}: line 1 is not the header {','.join(COLUMNS)}; add it, with commas")
      for row in reader:
        where = f"{path}: line {reader.line_num}"
        if None in row or None in row.values():
          raise InputError(f"{where} has not {len(COLUMNS)} columns; correct it")
        yield where, row
  except UnicodeDecodeError as e:
    raise InputError(f"{path}: is not UTF-8; save it as that") from e
  except csv.Error as e:
    raise InputError(f"{path}: line {reader.reader.line_num} is not CSV ({e}); correct it") from e
  except OSError as e:
    raise InputError(f"{path}: cannot be read ({e.strerror}); give the file of labels") from e
