"""Files of Greatest Hits in the two layouts that are in use.

As published by Owens et al. (2016), all in one folder:
  <video>_denoised.mp4 (in the small version <video>_denoised_thumb.mp4), <video>_denoised.wav, <video>_times.txt
As unpacked by the code of Du et al. (2023), one folder per video, `<video>` or `<video>_denoised`:
  frames/frame000001.jpg, ... at 15 fps; audio/<video>_denoised.wav or <video>_denoised_resampled.wav; hit_record.json
"""

import dataclasses
import pathlib

from data_pipelines.builders import unpacked
from data_pipelines.builders.clips import exact
from data_pipelines.builders.events import Event, read_events
from data_pipelines.builders.hit_records import FILE_NAME, parse_hit_record, video_of
from data_pipelines.builders.source import by_id, read_table
from data_pipelines.errors import InputError

VIDEO_ENDS = ("_denoised.mp4", "_denoised_thumb.mp4")
AUDIO_END = "_denoised.wav"
TIMES_END = "_times.txt"
META_NAME = "meta.json"


@dataclasses.dataclass(frozen=True)
class VideoFiles:
  """What there is of one video: the file or folder of pictures, its sound, its labels; None for what is not there."""

  video: pathlib.Path | None
  audio: pathlib.Path | None
  labels: pathlib.Path | None

  @property
  def lacks_sound(self) -> bool:
    """Whether there are pictures without sound: a video's file has its own, unpacked pictures have none."""
    return self.audio is None and self.video is not None and self.video.is_dir()


def find_files(folder: pathlib.Path) -> dict[str, VideoFiles]:
  """Files by the video's id, sorted; videos in both layouts are taken as published.

  An unpacked video has pictures in `video`, a folder, and its sound in a file of its own, if it is there.

  Raises:
    InputError: unpacked folders `<video>` and `<video>_denoised`.
  """
  return dict(sorted({**_find_unpacked(folder), **_find_published(folder)}.items()))


def read_labels(path: pathlib.Path) -> tuple[Event, ...]:
  """Events of a `_times.txt` or a `hit_record.json`, at the exact times of their frames.

  Raises:
    InputError: it is damaged.
  """
  if path.name == FILE_NAME:
    return parse_hit_record(path.read_bytes(), str(path))
  return tuple(dataclasses.replace(event, time_s=exact(event.time_s)) for event in read_events(path))


def _find_published(folder: pathlib.Path) -> dict[str, VideoFiles]:
  names = {p.name for p in folder.iterdir()}
  ids = {name.removesuffix(end) for end in (*VIDEO_ENDS, TIMES_END) for name in names if name.endswith(end)}

  def first(video: str, *ends: str) -> pathlib.Path | None:
    return next((folder / f"{video}{end}" for end in ends if f"{video}{end}" in names), None)

  return {v: VideoFiles(first(v, *VIDEO_ENDS), first(v, AUDIO_END), first(v, TIMES_END)) for v in ids}


def _find_unpacked(folder: pathlib.Path) -> dict[str, VideoFiles]:
  folders = unpacked.find_folders(folder)
  found = by_id(folders, (video_of(folder.name) for folder in folders))
  return {video: _unpacked(video, path) for video, path in found.items()}


def _unpacked(video: str, folder: pathlib.Path) -> VideoFiles:
  _check_rate(folder / META_NAME)
  audio = unpacked.first_file(folder / "audio" / f"{video}{end}" for end in (AUDIO_END, "_denoised_resampled.wav"))
  return VideoFiles(folder / "frames", audio, unpacked.first_file([folder / FILE_NAME]))


def _check_rate(path: pathlib.Path) -> None:
  remedy = f"unpack the video at {unpacked.PICTURES_PER_SECOND} pictures a second"
  if path.is_file() and (rate := read_table(path, remedy).get("frame_rate")) != unpacked.PICTURES_PER_SECOND:
    raise InputError(f"{path}: {rate} pictures a second; {remedy}")
