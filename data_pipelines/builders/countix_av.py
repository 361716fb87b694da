"""Countix-AV: repeated actions with sound, cut from YouTube videos (Zhang et al. 2021), as used by Du et al. (2023).

A video's id is "<YouTube id>_<start>_<end>", seconds in the YouTube video. Splits: `published_train`, `published_val`
and `published_test` are the lists of Du et al.: 798, 240 and 465 videos; the first two share 2 videos. `train`, `val`
and `test` are ours: the same, but `train` leaves out the YouTube videos that are in `val` or `test`.

YouTube videos disappear: those that are not in the folder, or unpacked without their sound, are left out of the splits,
and `check` lists them.
"""

import os
import pathlib
from collections.abc import Mapping

from data_pipelines.builders import base, unpacked
from data_pipelines.builders.report import Part, Report, lists_part
from data_pipelines.builders.source import (
  FETCH_LISTS,
  PUBLISHED_SPLITS,
  SPLITS,
  Source,
  by_id,
  data_folders,
  find_videos,
  read_strings,
  read_table,
  require_split,
)
from data_pipelines.errors import InputError, printable

VIDEOS = {"train": 798, "val": 240, "test": 465}
SUFFIXES = (".mp4", ".mkv", ".webm")
FETCH = (
  "the named seconds of the YouTube videos, each saved as <YouTube id>_<start>_<end>.mp4, .mkv or .webm;"
  " there is no tool for it here"
)
# The YouTube id is what stands before "_<start>_<end>".
_SPAN_LETTERS = len("_0000_0010")


def sources(source_dir: str | os.PathLike, split: str, annotations: str | os.PathLike | None = None) -> list[Source]:
  """Videos of a split that are in the folder with their sound, in the order of the published list, to be denoised.

  Args:
    source_dir: holds, at any depth, `<id>.mp4`, `.mkv` or `.webm`; or as the code of Du et al. unpacks them,
      `<id>/frames/frame000001.jpg`, ... and `<id>/audio/<id>_resampled.wav`.
    split: one of SPLITS or PUBLISHED_SPLITS.
    annotations: folder of the published lists `countixAV_*.json`; `source_dir` by default.

  Raises:
    InputError: a folder or a list is missing or damaged, a video is there twice, or none of the data set is there.
  """
  require_split(split, (*SPLITS, *PUBLISHED_SPLITS), "countix_av")
  folder, lists = data_folders(source_dir, annotations, "Countix-AV")
  there = _find(folder, {name for part in VIDEOS for name in _listed(part, lists)})
  found = {name: path for name, path in there.items() if not _lacks_sound(path)}
  if not found:
    raise InputError(f"{folder}: {_what_it_lacks(folder, there)}; get {FETCH}")
  part = split.removeprefix("published_")
  spans, labels = _spans(part, lists), _labels(part, lists)
  return [_source(name, found[name], spans[name], labels.get(name)) for name in ids(split, lists) if name in found]


def ids(split: str, annotations: str | os.PathLike) -> list[str]:
  """Ids of a split, whether the videos are there or not. Raises InputError if a list is missing or damaged."""
  require_split(split, (*SPLITS, *PUBLISHED_SPLITS), "countix_av")
  lists = pathlib.Path(annotations)
  listed = _listed(split.removeprefix("published_"), lists)
  if split != "train":
    return listed
  taken = {_youtube_id(name) for part in ("val", "test") for name in _listed(part, lists)}
  return [name for name in listed if _youtube_id(name) not in taken]


def check(source_dir: str | os.PathLike, annotations: str | os.PathLike | None = None) -> Report:
  """What of the data set is in a folder, split by split. Nothing is decoded.

  Args:
    source_dir, annotations: as for `sources`.

  Raises:
    InputError: no such folder, a damaged list, or a video that is there twice.
  """
  folder, lists = data_folders(source_dir, annotations, "Countix-AV")
  listed = {part: _listed(part, lists) for part in VIDEOS if (lists / _list_name(part)).is_file()}
  known = {name for names in listed.values() for name in names}
  found = _find(folder, known)
  return Report(
    dataset="Countix-AV",
    folder=folder,
    parts=(
      *(_part(part, listed.get(part, []), found) for part in VIDEOS),
      *_sound_part(found),
      lists_part(lists, _annotation_names()),
    ),
    unknown=tuple(str(p.relative_to(folder)) for p in find_videos(folder) if p.stem not in known),
    fetch=FETCH,
  )


class CountixAV(base.PublicBuilder):
  """TFDS builder of the data set; arguments: see `base.PublicBuilder`."""

  name = "countix_av"
  DESCRIPTION = "Repeated actions from YouTube, cut to seconds, denoised, with the action and when it is repeated."
  HOMEPAGE = "https://github.com/xiaobai1217/RepetitionCounting"
  LICENSE = "none is stated for the lists; the videos belong to those who uploaded them to YouTube"
  CITATION = """@inproceedings{zhang2021repetitive,
  title={Repetitive Activity Counting by Sight and Sound},
  author={Zhang, Yunhua and Shao, Ling and Snoek, Cees G. M.},
  booktitle={Conference on Computer Vision and Pattern Recognition},
  year={2021},
}"""

  def sources(self, split: str) -> list[Source]:
    return sources(self.source_dir, split, self.annotations)


def _youtube_id(name: str) -> str:
  return name[:-_SPAN_LETTERS]


def _list_name(part: str, kind: str = "") -> str:
  return f"countixAV_{part}{kind}.json"


def _annotation_names() -> tuple[str, ...]:
  kinds = [(part, kind) for kind in ("", "_timing", "_class") for part in VIDEOS]
  return tuple(_list_name(*k) for k in kinds if k != ("test", "_class"))  # the test videos have no classes


def _listed(part: str, lists: pathlib.Path) -> list[str]:
  return read_strings(lists / _list_name(part), FETCH_LISTS)


def _spans(part: str, lists: pathlib.Path) -> dict[str, tuple[float, float]]:
  """Interval of repetition, s, of each video of a published list."""
  path = lists / _list_name(part, "_timing")
  table = read_table(path, FETCH_LISTS)
  return {name: _span(table.get(name), f"{path}: {printable(name)}") for name in _listed(part, lists)}


def _span(value: object, where: str) -> tuple[float, float]:
  try:
    start_s, end_s = (float(v) for v in value)
  except (TypeError, ValueError):
    raise InputError(f"{where} has no [start, end] in seconds; {FETCH_LISTS}") from None
  if not 0 <= start_s < end_s < float("inf"):
    raise InputError(f"{where} goes from {start_s} to {end_s} s; {FETCH_LISTS}")
  return start_s, end_s


def _labels(part: str, lists: pathlib.Path) -> dict[str, str]:
  """Class of each video, as far as one is given."""
  path = lists / _list_name(part, "_class")
  if path.name not in _annotation_names():
    return {}
  labels = read_table(path, FETCH_LISTS)
  for name, label in labels.items():
    if not isinstance(label, str):
      raise InputError(f"{path}: the class of {printable(name)} is no text; {FETCH_LISTS}")
  return dict(labels)


def _find(folder: pathlib.Path, known: set[str]) -> dict[str, pathlib.Path]:
  """Files, or folders of unpacked videos, by id."""
  files = [p for p in find_videos(folder, SUFFIXES) if p.stem in known]
  folders = [p for p in unpacked.find_folders(folder) if p.name in known]
  return by_id([*files, *folders], [*(p.stem for p in files), *(p.name for p in folders)])


def _source(name: str, path: pathlib.Path, span_s: tuple[float, float], label: str | None) -> Source:
  audio = None
  if path.is_dir():
    audio, path = _sound_of(path), path / "frames"
  return Source(id=name, video=path, audio=audio, label=label, span_s=span_s, denoise=True)


def _part(part: str, listed: list[str], found: dict[str, pathlib.Path]) -> Part:
  missing = tuple(name for name in listed if name not in found)
  return Part(f"{part} videos (<id>.mp4, .mkv or .webm)", VIDEOS[part], len(listed) - len(missing), missing)


def _sound_of(unpacked_video: pathlib.Path) -> pathlib.Path:
  return unpacked_video / "audio" / f"{unpacked_video.name}_resampled.wav"


def _lacks_sound(path: pathlib.Path) -> bool:
  """Whether there are pictures without sound: a video's file has its own, or is found to have none when it is read."""
  return path.is_dir() and not _sound_of(path).is_file()


def _sound_part(found: Mapping[str, pathlib.Path]) -> tuple[Part, ...]:
  """That of unpacked videos, where some lack theirs."""
  unpacked_videos = [name for name, path in found.items() if path.is_dir()]
  silent = tuple(name for name in unpacked_videos if _lacks_sound(found[name]))
  what = "sound of unpacked videos (<id>/audio/<id>_resampled.wav)"
  return (Part(what, len(unpacked_videos), len(unpacked_videos) - len(silent), silent),) if silent else ()


def _what_it_lacks(folder: pathlib.Path, there: Mapping[str, pathlib.Path]) -> str:
  if there:
    return "pictures without <id>/audio/<id>_resampled.wav alone"
  videos = find_videos(folder)
  return f"{videos[0].name} and the others are not named by the lists" if videos else "no videos in it"
