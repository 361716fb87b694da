"""Greatest Hits: 977 videos of a drumstick that hits and scratches things (Owens et al. 2016).

Splits: `train`, `val` and `test` are ours and share no video. `test` is the 97 videos of the published test list; `val`
is about 5 % of the others, chosen by a hash of the id. `published_train`, `published_val` and `published_test` are the
videos of the clip lists of Du et al. (2023): 33,231, 1,955 and 4,093 clips of 873, 753 and 97 videos. All videos of
`published_val` are in `published_train` too; `published_test` shares none with them. Their 970 videos leave out 7.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping

from data_pipelines.builders import base, greatest_hits_files
from data_pipelines.builders.clips import Clip, read_clips
from data_pipelines.builders.events import Event
from data_pipelines.builders.greatest_hits_files import VideoFiles, find_files, read_labels
from data_pipelines.builders.hit_records import find_hit_records, read_hit_records
from data_pipelines.builders.report import Part, Report, lists_part
from data_pipelines.builders.source import (
  FETCH_LISTS,
  PUBLISHED_SPLITS,
  SPLITS,
  Source,
  data_folders,
  find_videos,
  fraction,
  require_split,
)
from data_pipelines.errors import InputError

VIDEOS = 977
FETCH = "the videos and labels (vis-data.zip) from https://andrewowens.com/vis/"
_VAL_SHARE = 0.05
_LISTS = ("greatesthit_train.json", "greatesthit_val.json", "greatesthit_test.json")


def sources(source_dir: str | os.PathLike, split: str, annotations: str | os.PathLike | None = None) -> list[Source]:
  """Videos of a split, sorted by id. Labels come from `_times.txt`, else from hit records.

  Args:
    source_dir: the data set in one of the layouts of `greatest_hits_files`.
    split: one of SPLITS or PUBLISHED_SPLITS.
    annotations: folder of the published lists `greatesthit_*.json` and of hit records; `source_dir` by default.

  Raises:
    InputError: a folder, a list, a video or its labels are missing or damaged; for published splits also if a video
      of the list is not there.
  """
  require_split(split, (*SPLITS, *PUBLISHED_SPLITS), "greatest_hits")
  folder, lists = data_folders(source_dir, annotations, "Greatest Hits")
  found = find_files(folder)
  if not found:
    raise InputError(f"{folder}: {_what_it_lacks(folder)}; get {FETCH}")
  wanted = _videos_of(split, found, lists)
  labels = _labels({v: found[v] for v in wanted if v in found}, lists)
  return [_source(video, found.get(video), labels.get(video), folder) for video in wanted]


def clips(split: str, annotations: str | os.PathLike) -> list[Clip]:
  """Clips of one of PUBLISHED_SPLITS in the order of the list, each 0.5 s before a labelled event.

  Args:
    split: one of PUBLISHED_SPLITS.
    annotations: folder that holds `greatesthit_train.json`, `greatesthit_val.json` and `greatesthit_test.json`.

  Raises:
    InputError: the list is absent or damaged.
  """
  require_split(split, PUBLISHED_SPLITS, "greatest_hits")
  return read_clips(pathlib.Path(annotations) / _LISTS[PUBLISHED_SPLITS.index(split)], FETCH_LISTS)


def split_of(video: str, test_videos: Iterable[str]) -> str:
  """Ours of the splits for a video's id, given those of the published test list."""
  if video in test_videos:
    return "test"
  return "val" if fraction(video) < _VAL_SHARE else "train"


def check(source_dir: str | os.PathLike, annotations: str | os.PathLike | None = None) -> Report:
  """What of the data set is in a folder. Nothing is decoded.

  Args:
    source_dir, annotations: as for `sources`.

  Raises:
    InputError: no such folder, or damaged annotations.
  """
  folder, lists = data_folders(source_dir, annotations, "Greatest Hits")
  found, records = find_files(folder), find_hit_records(lists)
  recorded = read_hit_records(records) if records else {}
  known = {*found, *recorded, *_listed(lists)}
  seen = {v for v, files in found.items() if files.video}
  labelled = {v for v, files in found.items() if files.labels} | set(recorded)
  return Report(
    dataset="Greatest Hits",
    folder=folder,
    parts=(
      Part("videos (<video>_denoised.mp4)", VIDEOS, len(seen), tuple(sorted(known - seen))),
      Part("labels (<video>_times.txt or hit records)", VIDEOS, len(labelled), tuple(sorted(known - labelled))),
      *_sound_part(found),
      lists_part(lists, _LISTS),
    ),
    unknown=_unknown(folder),
    fetch=FETCH,
  )


class GreatestHits(base.PublicBuilder):
  """TFDS builder of the data set; arguments: see `base.PublicBuilder`."""

  DESCRIPTION = "Videos of a drumstick that hits and scratches 17 materials, cut to seconds, with labelled contacts."
  HOMEPAGE = "https://andrewowens.com/vis/"
  LICENSE = "CC BY 4.0 according to its users; see the homepage for the terms"
  CITATION = """@inproceedings{owens2016visually,
  title={Visually Indicated Sounds},
  author={Owens, Andrew and Isola, Phillip and McDermott, Josh and Torralba, Antonio and Adelson, Edward H. and
    Freeman, William T.},
  booktitle={Conference on Computer Vision and Pattern Recognition},
  year={2016},
}"""

  def sources(self, split: str) -> list[Source]:
    return sources(self.source_dir, split, self.annotations)


def _sound_part(found: Mapping[str, VideoFiles]) -> tuple[Part, ...]:
  """That of unpacked videos, where some lack theirs."""
  unpacked = [v for v, files in found.items() if files.video and files.video.is_dir()]
  silent = tuple(v for v in unpacked if found[v].lacks_sound)
  what = "sound of unpacked videos (<video>/audio/<video>_denoised.wav)"
  return (Part(what, len(unpacked), len(unpacked) - len(silent), silent),) if silent else ()


def _listed(lists: pathlib.Path) -> set[str]:
  """Videos of those lists that are there."""
  return {c.video for name in _LISTS if (lists / name).is_file() for c in read_clips(lists / name, FETCH_LISTS)}


def _videos_of(split: str, found: Iterable[str], lists: pathlib.Path) -> list[str]:
  if split in PUBLISHED_SPLITS:
    return sorted({c.video for c in clips(split, lists)})
  test_videos = {c.video for c in clips("published_test", lists)}
  return [video for video in found if split_of(video, test_videos) == split]


def _labels(found: dict[str, VideoFiles], lists: pathlib.Path) -> dict[str, tuple[Event, ...]]:
  """Events by video, as far as there are any; the hit records are read only if some video needs them."""
  labels = {video: read_labels(files.labels) for video, files in found.items() if files.labels}
  if len(labels) < len(found) and (records := find_hit_records(lists)):
    labels = {**read_hit_records(records), **labels}
  return labels


def _source(video: str, files: VideoFiles | None, events: tuple[Event, ...] | None, folder: pathlib.Path) -> Source:
  if files is None or files.video is None:
    raise InputError(f"{folder / video}{greatest_hits_files.VIDEO_ENDS[0]}: missing; get {FETCH}")
  if files.lacks_sound:
    sound = files.video.parent / "audio" / f"{video}{greatest_hits_files.AUDIO_END}"
    raise InputError(f"{sound}: missing, the pictures are there; unpack the video again")
  if events is None:
    raise InputError(f"{folder / video}{greatest_hits_files.TIMES_END}: missing, and no hit records; get {FETCH}")
  return Source(id=video, video=files.video, audio=files.audio, events=events)


def _unknown(folder: pathlib.Path) -> tuple[str, ...]:
  """Videos whose names are not those of the data set; the recordings of its other microphone are."""
  ends = (*greatest_hits_files.VIDEO_ENDS, "_mic.mp4")
  return tuple(str(p.relative_to(folder)) for p in find_videos(folder) if not p.name.endswith(ends))


def _what_it_lacks(folder: pathlib.Path) -> str:
  if unknown := _unknown(folder):
    return f"{unknown[0]} and the others are not named <video>_denoised.mp4"
  return "no <video>_denoised.mp4 and no <video>/frames in it"
