"""A video of a data set -> the segments that are stored of it. The one place where this is done."""

import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from condfoley_jax.clip import ClipSpec
from data_pipelines import dataset, media, records
from data_pipelines.builders import unpacked
from data_pipelines.builders.events import Event
from data_pipelines.builders.source import Source
from data_pipelines.denoise import denoise
from data_pipelines.errors import InputError, is_utf8, printable
from data_pipelines.pairs import event_frame

# Pictures wait for the video's last one, up to so many bytes of them in memory, else on disk.
_IN_MEMORY = 2**27


def segments_of(source: Source, spec: ClipSpec) -> Iterator[records.Segment]:
  """Segments of a video in order, one a second; the last one is padded with its last picture and silence.

  Args:
    source: the video. Events after its end are left out.
    spec: gives rates, picture size and filter, and the shortest video that is accepted.

  Yields:
    Segments: frames [fps], audio int16 [sample_rate].

  Raises:
    InputError: on the first step, if the video cannot be used: unreadable, without sound, shorter than a clip, or of a
      name that is not UTF-8.
  """
  if not is_utf8(source.id) or not is_utf8(source.video.name):
    raise InputError(f"{printable(source.video)}: the name is not UTF-8; rename it")
  count, frames = _frames(source, spec)
  if count < spec.frames:
    raise InputError(f"{source.video}: shorter than {spec.seconds} s; give longer videos")
  with tempfile.SpooledTemporaryFile(_IN_MEMORY) as stored:
    for frame in frames:  # To the last, before the first segment is given: one of them may be damaged.
      stored.write(records.encode_frame(frame))
    stored.seek(0)
    pcm = records.to_pcm(_audio(source, spec, count))
    events = _events(source, count, spec.fps)
    sha256 = _sha256(source)
    for segment in range(-(-count // spec.fps)):
      pictures = _read(stored, min(spec.fps, count - segment * spec.fps), spec.frame_resize)
      yield _cut(source, sha256, count, pictures, pcm, events, segment, spec)


def _frames(source: Source, spec: ClipSpec) -> tuple[int, Iterator[np.ndarray]]:
  """How many there are, and each, uint8 [S, S, 3] RGB; of a video a second at a time is held."""
  how = {"fps": spec.fps, "size": spec.frame_resize, "resize": spec.frame_filter}
  if source.video.is_dir():
    frames = unpacked.read_pictures(source.video, **how)
    return len(frames), iter(frames)
  reader = media.FrameReader(source.video, **how)
  return len(reader), _by_seconds(reader, spec.fps)


def _by_seconds(reader: media.FrameReader, fps: int) -> Iterator[np.ndarray]:
  for first in range(0, len(reader), fps):
    reader.forget(first)
    yield from reader.read(first, min(fps, len(reader) - first))


def _read(stored: IO[bytes], count: int, side: int) -> list[bytes]:
  """The next `count` pictures as `records.encode_frame` makes them."""
  return [stored.read(side * side * 3 // 2) for _ in range(count)]


def _audio(source: Source, spec: ClipSpec, frames: int) -> np.ndarray:
  """float32 [frames * samples per frame]."""
  if source.audio:
    audio = unpacked.read_sound(source.audio, spec.sample_rate, frames * spec.samples_per_frame)
  else:
    audio = media.decode_audio(source.video, spec.sample_rate, duration_s=frames / spec.fps)
  return denoise(audio, spec.sample_rate) if source.denoise else audio


def _events(source: Source, frames: int, fps: int) -> tuple[Event, ...]:
  """Events within the video, in the order of time."""
  events = (e for e in source.events if event_frame(e.time_s, fps) < frames)
  return tuple(sorted(events, key=lambda e: e.time_s))


def _sha256(source: Source) -> str:
  """Hash of the video's bytes, those of its pictures in order where it is a folder, then those of its sound file."""
  files = unpacked.list_pictures(source.video) if source.video.is_dir() else [source.video]
  return dataset.sha256(*files, *([source.audio] if source.audio else []))


def _name(video: pathlib.Path) -> str:
  """Name of a file; of a folder of pictures with the name of the video's folder, because all are called `frames`."""
  return f"{video.parent.name}/{video.name}" if video.is_dir() else video.name


def _cut(
  source: Source,
  sha256: str,
  frames: int,
  pictures: list[bytes],
  pcm: np.ndarray,
  events: tuple[Event, ...],
  segment: int,
  spec: ClipSpec,
) -> records.Segment:
  audio = pcm[segment * spec.sample_rate : (segment + 1) * spec.sample_rate]
  return records.Segment(
    video=source.id,
    segment=segment,
    fps=spec.fps,
    sample_rate=spec.sample_rate,
    video_frames=frames,
    valid_frames=len(pictures),
    frames=tuple(pictures + pictures[-1:] * (spec.fps - len(pictures))),
    audio=np.pad(audio, (0, spec.sample_rate - len(audio))),
    events=tuple(e for e in events if event_frame(e.time_s, spec.fps) // spec.fps == segment),
    source=_name(source.video),
    source_sha256=sha256,
  )
