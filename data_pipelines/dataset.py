"""A prepared dataset: a folder of TFRecord shards and the `dataset.json` that describes them.

`dataset.json` holds: schema_version, name, split, sample_rate (Hz), fps, frame_resize (px, pictures are square), videos
(see `Video`; their records follow one another, across shards too), shards [{file, records, bytes, sha256}], and skipped
[{source, reason}], the inputs that could not be used.
"""

import bisect
import dataclasses
import hashlib
import itertools
import json
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

from condfoley_jax.clip import ClipSpec
from data_pipelines import records, seal, tfrecord
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError

SCHEMA_VERSION = records.SCHEMA_VERSION
FILE_NAME = "dataset.json"
_SPEC_FIELDS = ("sample_rate", "fps", "frame_resize", "frame_filter")


@dataclasses.dataclass(frozen=True)
class Video:
  """A video of a dataset.

  Attributes:
    id: unique within the dataset.
    source, source_sha256: name and hash of the file it came from.
    frames, seconds: its length.
    first_record, records: where its segments are, counted over all shards in order; a video is in one shard.
    events: labelled events, times in seconds from its start.
    label, span_s: class of the whole video and its labelled interval (start, end), s, where the data set has them.
  """

  id: str
  source: str
  source_sha256: str
  frames: int
  seconds: float
  first_record: int
  records: int
  events: tuple[Event, ...]
  label: str | None = None
  span_s: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Window:
  """A stretch of a video: frames uint8 [T, R, R, 3] RGB and the audio under them, float32 [T * samples per frame]."""

  frames: np.ndarray
  audio: np.ndarray


class Dataset:
  """Videos of a prepared folder, read by windows. Threads may share it; it pickles."""

  def __init__(self, directory: epath.Path, description: dict[str, Any]):
    self.directory = directory
    self.name: str = description["name"]
    self.split: str = description["split"]
    self.sample_rate: int = description["sample_rate"]
    self.fps: int = description["fps"]
    self.skipped: list[dict[str, str]] = description["skipped"]
    self.videos = tuple(_video_from_json(v) for v in description["videos"])
    self.shards = tuple(open_shard(directory, s) for s in description["shards"])
    self._ends = list(itertools.accumulate(len(s) for s in self.shards))

  def read_segments(self, video: Video, first: int, count: int) -> list[records.Segment]:
    """Segments of a video, in one read (segment k starts at k seconds).

    Raises:
      IndexError: they are not inside the video.
      InputError: a record is damaged or no segment of this schema.
    """
    if not 0 <= first < first + count <= video.records:
      raise IndexError(f"segments {first} to {first + count - 1} of {video.records} in {video.id}")
    record = video.first_record + first
    number = bisect.bisect_right(self._ends, record)
    shard = self.shards[number]
    at = record - self._ends[number] + len(shard)
    return [decode_record(shard, at + i, data) for i, data in enumerate(shard.read(at, count))]

  def read_window(self, video: Video, start: int, frames: int) -> Window:
    """Window of `frames` frames from frame `start` of a video; touches only the records that it overlaps.

    Raises:
      IndexError: the window is not inside the video.
      InputError: a record is damaged.
    """
    if not 0 <= start < start + frames <= video.frames:
      raise IndexError(f"frames {start} to {start + frames} of {video.frames} in {video.id}")
    first = start // self.fps
    segments = self.read_segments(video, first, (start + frames - 1) // self.fps + 1 - first)
    skip = start - first * self.fps
    pictures = [picture for s in segments for picture in s.frames][skip : skip + frames]
    per_frame = self.sample_rate // self.fps
    pcm = np.concatenate([s.audio for s in segments])[skip * per_frame : (skip + frames) * per_frame]
    return Window(records.decode_frames(pictures), records.from_pcm(pcm))


def decode_record(shard: tfrecord.Shard, record: int, data: bytes) -> records.Segment:
  """The segment that a record holds. Raises InputError, naming shard and record, if it is of another schema."""
  try:
    return records.decode(data)
  except ValueError as e:
    raise InputError(f"{shard.path}: record {record} is of another schema ({e}); prepare the data again") from e


def open_dataset(directory: str | os.PathLike, spec: ClipSpec) -> Dataset:
  """Opens a folder that `data_pipelines.prepare` wrote, for clips of `spec`.

  Raises:
    InputError: no such folder, not a prepared one, of another schema or for other rates or picture sizes than `spec`,
      or a shard is absent or of the wrong size. (Damage inside a shard shows when the record is read.)
  """
  directory = epath.Path(directory)
  path = directory / FILE_NAME
  description = read_description(path)
  try:
    _check_spec(path, description, spec)
    return Dataset(directory, description)
  except InputError:
    raise
  except (ValueError, KeyError, TypeError) as e:
    raise _invalid(path, e) from e


def sha256(*paths: Path | epath.Path) -> str:
  """Of the bytes of files, one after the other, in hex."""
  digest = hashlib.sha256()
  for path in paths:
    with path.open("rb") as f:
      while block := f.read(2**20):
        digest.update(block)
  return digest.hexdigest()


def describe(
  spec: ClipSpec,
  *,
  name: str,
  split: str,
  videos: Sequence[Video],
  shards: Sequence[dict[str, Any]],
  skipped: Sequence[dict[str, str]],
) -> dict[str, Any]:
  """Content of `dataset.json`."""
  return {
    "schema_version": SCHEMA_VERSION,
    "name": name,
    "split": split,
    **{field: getattr(spec, field) for field in _SPEC_FIELDS},
    "videos": [dataclasses.asdict(v) for v in videos],
    "shards": list(shards),
    "skipped": list(skipped),
  }


def read_description(path: epath.Path) -> dict[str, Any]:
  """Content of a dataset.json. Raises InputError if it is absent, of another schema or not as it was written."""
  if not path.exists():
    raise InputError(f"{path}: no prepared dataset here; make one with `condfoley prepare`")
  try:
    raw = path.read_bytes()
    description = json.loads(raw)
    version = description["schema_version"]
    whole = seal.is_whole(raw)
  except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
    raise _invalid(path, e) from e
  if version != SCHEMA_VERSION:
    raise InputError(f"{path}: schema version {version!r}, expected {SCHEMA_VERSION}; prepare the data again")
  if not whole:
    raise InputError(f"{path}: not as it was written (sha256); copy it again or prepare the data again")
  try:
    _check_records(description)
  except (ValueError, KeyError, TypeError) as e:
    raise _invalid(path, e) from e
  return description


def short(cause: Exception) -> str:
  """What an exception says, without the file that some of them quote."""
  return f"{type(cause).__name__}: {cause}"[:120]


def _invalid(path: epath.Path, cause: Exception) -> InputError:
  return InputError(f"{path}: no valid description of a dataset ({short(cause)}); remove it and prepare the data again")


def _check_spec(path: epath.Path, description: dict[str, Any], spec: ClipSpec) -> None:
  for field in _SPEC_FIELDS:
    if description[field] != getattr(spec, field):
      raise InputError(
        f"{path}: prepared with {field} {description[field]!r}, but the model needs {getattr(spec, field)!r};"
        " prepare the data for this model"
      )


def _check_records(description: dict[str, Any]) -> None:
  """Raises ValueError, KeyError or TypeError unless videos have their records one after the other, in these shards."""
  first = 0
  for video in map(_video_from_json, description["videos"]):
    if operator.index(video.first_record) != first:
      raise ValueError(f"{video.id} begins with record {video.first_record}, not {first}")
    first += operator.index(video.records)
  for shard in description["shards"]:
    if missing := {"file", "records", "bytes", "sha256"} - set(shard):
      raise ValueError(f"a shard without {', '.join(sorted(missing))}")
  if sum(operator.index(shard["records"]) for shard in description["shards"]) != first:
    raise ValueError("videos and shards hold different numbers of records")


def _video_from_json(fields: dict[str, Any]) -> Video:
  span_s = tuple(fields["span_s"]) if fields["span_s"] else None
  return Video(**{**fields, "events": tuple(Event(**e) for e in fields["events"]), "span_s": span_s})


def open_shard(directory: epath.Path, description: dict[str, Any]) -> tfrecord.Shard:
  """A shard that dataset.json describes. Raises InputError if it is absent, of another size, or has another's index."""
  path = directory / description["file"]
  try:
    shard = tfrecord.Shard(path)
  except InputError as e:
    # Where an index does not belong to a shard, the size tells which of them is damaged.
    if path.exists() and (size := tfrecord.length(path)) != description["bytes"]:
      told = f"{size} bytes, but {FILE_NAME} says {description['bytes']}"
      raise InputError(f"{path}: {told}; copy it again or prepare the data again") from e
    raise
  if len(shard) != description["records"]:
    raise InputError(
      f"{shard.path}: {len(shard)} records, but {FILE_NAME} says {description['records']}; prepare the data again"
    )
  return shard
