"""Opening media files: every way in which a user's file is unusable becomes one InputError."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import av

from data_pipelines.errors import InputError

Path = str | os.PathLike

# Only self-contained files: playlists, still images and text, all of which FFmpeg would open too, are refused.
_VIDEO, _SOUND = "mov,matroska", "wav,w64,aiff,flac,mp3,ogg,aac"
# Errors that say nothing of the file that is read.
_NO_DAMAGE = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
_REMEDY = "re-export it or check the download"


def damaged(path: Path, what: str) -> InputError:
  return InputError(f"{path}: {what}; {_REMEDY}")


@contextlib.contextmanager
def open_media(path: Path, *, sound_alone: bool = False) -> Iterator[av.container.InputContainer]:
  """Opens an mp4, mov, mkv or webm file for reading or, where it may be `sound_alone`, a wav, aiff, flac, mp3, ogg or
  aac file too.

  Raises:
    InputError: the file is missing, empty or not media, or demuxing or decoding it fails inside the `with` block.
    OSError, MemoryError: what fails is another file, that is written inside the block, or there is no memory.
  """
  _check_file(path)
  url = as_url(path)
  try:
    formats = {"format_whitelist": f"{_VIDEO},{_SOUND}" if sound_alone else _VIDEO}
    with av.open(url, options=formats, metadata_errors="replace") as media:
      yield media
  except av.FFmpegError as e:
    elsewhere = e.filename is not None and isinstance(e, OSError)  # in a file that is written inside the block
    if e.filename != url and (elsewhere or e.errno in _NO_DAMAGE):
      raise
    kinds = "mp4, mov, mkv or webm video" + ", nor a sound" * sound_alone
    raise damaged(path, f"truncated, damaged or not an {kinds}") from e


def as_url(path: Path) -> str:
  """The file's name for FFmpeg, that takes what is before a colon for a protocol."""
  return f"file:{os.fspath(path)}"


def _check_file(path: Path) -> None:
  file = pathlib.Path(path)
  try:
    there = file.exists()
  except OSError as error:  # a folder that may not be looked into, a name that is too long
    raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
  if not there:
    raise InputError(f"{path}: no such file; check the path")
  if not file.is_file():
    raise InputError(f"{path}: not a file; give the path of a video or sound")
  if not file.stat().st_size:
    raise damaged(path, "empty file")
  if not os.access(file, os.R_OK):
    raise InputError(f"{path}: cannot be read; check its permissions")


def find_video(media: av.container.InputContainer) -> av.VideoStream | None:
  """First video stream that is not a cover picture."""
  pictures = (s for s in media.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
  return next(pictures, None)


def find_audio(media: av.container.InputContainer) -> av.AudioStream | None:
  return next(iter(media.streams.audio), None)


def need_video(media: av.container.InputContainer, path: Path) -> av.VideoStream:
  if (stream := find_video(media)) is None:
    raise InputError(f"{path}: has no video stream; give a file with a picture")
  return stream


def need_audio(media: av.container.InputContainer, path: Path) -> av.AudioStream:
  if (stream := find_audio(media)) is None:
    raise InputError(f"{path}: has no audio stream; give a file with sound")
  return stream


def decoded(
  media: av.container.InputContainer, stream: av.stream.Stream, damaged_s: list[float] | None
) -> Iterator[av.frame.Frame]:
  """Pictures or blocks of sound of a stream, in order.

  Args:
    media, stream: opened by `open_media`.
    damaged_s: what cannot be decoded is left out, and its time, s from the stream's start, is added here; None lets the
      decoder's error pass.
  """
  zero = start_of(stream)
  for packet in media.demux(stream):
    try:
      frames = packet.decode()
    except av.FFmpegError as e:
      if damaged_s is None or e.errno in _NO_DAMAGE:
        raise
      if packet.pts is not None:
        damaged_s.append(max(float(packet.pts * stream.time_base - zero), 0.0))
      continue
    yield from frames


def start_of(stream: av.stream.Stream) -> Fraction:
  """Time stamp of the first picture or sample that is shown or heard, s."""
  if stream.start_time is None:  # FFmpeg did not find it out: a Matroska file of a few reordered pictures
    return _first_time_stamp(stream)
  return stream.start_time * stream.time_base


def _first_time_stamp(stream: av.stream.Stream) -> Fraction:
  with av.open(stream.container.name, options=stream.container.options, metadata_errors="replace") as again:
    stamps = [p.pts for p in again.demux(again.streams[stream.index]) if p.pts is not None and not p.is_discard]
  return min(stamps, default=0) * stream.time_base


def time_zero(media: av.container.InputContainer) -> Fraction:
  """Time stamp that counts as 0 s everywhere in this package: the first picture's, else the first sample's."""
  stream = find_video(media) or find_audio(media)
  return start_of(stream) if stream else Fraction(0)
