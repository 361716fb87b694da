"""What one record holds: a second of a video, as a tf.train.Example.

Features of the Example (readable with `tf.io.parse_single_example`):
  video, source, source_sha256: bytes [1], UTF-8: id of the video, name of the file it came from, hash of that file.
  schema, segment, video_frames, valid_frames, sample_rate, fps: int64 [1]; schema is the version of this list.
  frames: bytes [fps], planes of square pictures: luma and half-resolution colour (I420). Twelve bits a pixel, not
    compressed: docs/data.md has what was measured.
  audio: bytes [1], little-endian int16 [sample_rate] mono.
  event_time: bytes [1], little-endian float64 [events], seconds from the video's start (bytes, because the floats of an
    Example are float32).
  event_material, event_action, event_reaction: bytes [events], UTF-8.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
from google.protobuf.message import DecodeError

# The message classes alone: same wire format as tf.train.Example, no TensorFlow.
from tensorflow_datasets.proto import tf_example_generated_pb2 as example_pb2

from data_pipelines.builders.events import Event

SCHEMA_VERSION = 2

_INTS = ("segment", "fps", "sample_rate", "video_frames", "valid_frames")
_PCM_SCALE = 32768


@dataclasses.dataclass(frozen=True)
class Segment:
  """One second of a video; all segments of a dataset have the same shapes.

  Attributes:
    video: id of the video within its dataset.
    segment: index of this segment; it starts at `segment` seconds.
    fps, sample_rate: frames and samples of a segment.
    video_frames: frames of the whole video.
    valid_frames: frames of this segment that the video has; those after them repeat the last one, with silence.
    frames: pictures as `encode_frame` makes them, [fps].
    audio: int16 [sample_rate].
    events: labelled events in this segment, times in seconds from the start of the video.
    source, source_sha256: name and hash of the file it came from.
  """

  video: str
  segment: int
  fps: int
  sample_rate: int
  video_frames: int
  valid_frames: int
  frames: tuple[bytes, ...]
  audio: np.ndarray
  events: tuple[Event, ...]
  source: str
  source_sha256: str


def encode(segment: Segment) -> bytes:
  """The record of `segment`; equal segments give equal bytes."""
  example = example_pb2.Example()
  feature = example.features.feature
  feature["schema"].int64_list.value.append(SCHEMA_VERSION)
  for name in _INTS:
    feature[name].int64_list.value.append(getattr(segment, name))
  for name in ("video", "source", "source_sha256"):
    feature[name].bytes_list.value.append(getattr(segment, name).encode())
  feature["frames"].bytes_list.value.extend(segment.frames)
  feature["audio"].bytes_list.value.append(segment.audio.astype("<i2").tobytes())
  feature["event_time"].bytes_list.value.append(np.array([e.time_s for e in segment.events], "<f8").tobytes())
  for name in ("material", "action", "reaction"):
    feature[f"event_{name}"].bytes_list.value.extend(getattr(e, name).encode() for e in segment.events)
  return example.SerializeToString(deterministic=True)


def decode(record: bytes) -> Segment:
  """The segment of a record written by `encode`.

  Raises:
    ValueError: the record is none, or of another schema.
  """
  try:
    feature = example_pb2.Example.FromString(record).features.feature
    schema = list(feature["schema"].int64_list.value)
    segment = _decoded(feature) if schema == [SCHEMA_VERSION] else None
  except (DecodeError, IndexError, KeyError, UnicodeDecodeError, TypeError) as e:
    raise ValueError(f"no segment of a video ({e!r})") from e
  if segment is None:
    raise ValueError(f"schema {schema}, expected {SCHEMA_VERSION}")
  if (len(segment.frames), len(segment.audio)) != (segment.fps, segment.sample_rate):
    raise ValueError(f"no segment of a video ({len(segment.frames)} frames, {len(segment.audio)} samples)")
  return segment


def _decoded(feature) -> Segment:
  ints = {name: feature[name].int64_list.value[0] for name in _INTS}
  strings = {name: feature[name].bytes_list.value[0].decode() for name in ("video", "source", "source_sha256")}
  times = np.frombuffer(feature["event_time"].bytes_list.value[0], "<f8")
  labels = (
    [v.decode() for v in feature[f"event_{name}"].bytes_list.value] for name in ("material", "action", "reaction")
  )
  return Segment(
    **ints,
    **strings,
    frames=tuple(feature["frames"].bytes_list.value),
    audio=np.frombuffer(feature["audio"].bytes_list.value[0], "<i2"),
    events=tuple(Event(float(t), *rest) for t, *rest in zip(times, *labels, strict=True)),
  )


def encode_frame(frame: np.ndarray) -> bytes:
  """Planes of a picture, uint8 [S, S, 3] RGB with an even side: luma, and colour at half the resolution (I420)."""
  return cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes()


def decode_frames(pictures: Sequence[bytes]) -> np.ndarray:
  """Pictures of their planes, uint8 [T, S, S, 3] RGB. Raises ValueError if they are not squares of one size."""
  side = math.isqrt(len(pictures[0]) * 2 // 3)
  frames = np.empty((len(pictures), side, side, 3), np.uint8)
  for planes, frame in zip(pictures, frames, strict=True):
    if not side or side % 2 or side * side * 3 // 2 != len(planes):
      raise ValueError(f"a picture of {len(planes)} bytes")
    cv2.cvtColor(np.frombuffer(planes, np.uint8).reshape(side * 3 // 2, side), cv2.COLOR_YUV2RGB_I420, frame)
  return frames


def to_pcm(audio: np.ndarray) -> np.ndarray:
  """int16 of audio in [-1, 1], clipped."""
  return np.clip(np.round(audio * _PCM_SCALE), -_PCM_SCALE, _PCM_SCALE - 1).astype(np.int16)


def from_pcm(pcm: np.ndarray) -> np.ndarray:
  """float32 in [-1, 1) of int16 samples."""
  return pcm.astype(np.float32) / _PCM_SCALE
