"""Frames of a span of a video, by time stamps, never by counting."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import av
import numpy as np

from data_pipelines.media import container
from data_pipelines.media.probe import past_end, probe, span_length

Resize = Literal["area", "bicubic", "centre"]

# Seeks land this much before the span: pictures may be stored after others that show later.
_PREROLL_S = 1.0
# Of a decoder; 0 is one per core.
_THREADS = 0
# A span that ends this much after the last picture makes us check that the file is whole.
_SLACK_S = 0.1


def decode_frames(
  path: container.Path,
  fps: int,
  size: int,
  *,
  start_s: float = 0.0,
  duration_s: float | None = None,
  resize: Resize = "area",
  damaged_s: list[float] | None = None,
) -> np.ndarray:
  """Pictures of a span, resampled to `fps` and resized (aspect ratio ignored, but for `centre`).

  Args:
    path: an mp4, mov, mkv or webm file; its frame rate may be constant or variable.
    fps: frames per second wanted.
    size: side of the frames, px.
    start_s: start of the span, s after the first picture.
    duration_s: its length, s; to the end of the video by default. Past the end the last picture is held.
    resize: the filter; `bicubic` is the published system's. `centre` is that of the largest square in the middle.
    damaged_s: where it is given, pictures that cannot be decoded are concealed by the one before, and their times, s,
      are added to it.

  Returns:
    uint8 [T, size, size, 3] RGB with T = max(1, round(duration_s * fps)). Frame k is the picture that is shown at
    start_s + (k + 0.5) / fps, turned upright where the file says so.

  Raises:
    InputError: the file cannot be used or is truncated, a picture, or where `damaged_s` is given most of a whole
      video's, cannot be decoded, or start_s is past its end.
    ValueError: start_s is negative or duration_s not positive.
  """
  whole = start_s == 0 and duration_s is None
  duration_s = span_length(path, start_s, duration_s)
  frames = np.empty((_count(duration_s, fps), size, size, 3), np.uint8)
  for number, frame in enumerate(_frames(path, fps, size, start_s, len(frames), resize, damaged_s, whole=whole)):
    frames[number] = frame
  return frames


class FrameReader:
  """The frames of a whole video as `decode_frames` gives them, read from the first to the last. Length: how many.

  Args: as for `decode_frames`.

  Raises:
    InputError: as `decode_frames`, of what can be decoded while it is read.
  """

  def __init__(
    self,
    path: container.Path,
    fps: int,
    size: int,
    *,
    resize: Resize = "area",
    damaged_s: list[float] | None = None,
  ):
    self._count = _count(span_length(path, 0.0, None), fps)
    self._frames = _frames(path, fps, size, 0.0, self._count, resize, damaged_s, whole=True)
    self._held: collections.deque[np.ndarray] = collections.deque()
    self._first = 0  # Of those that are held.

  def __len__(self) -> int:
    return self._count

  def read(self, first: int, count: int) -> np.ndarray:
    """uint8 [count, size, size, 3] from frame `first` on, the last one held after the end.

    Raises:
      ValueError: `first` is a frame that was forgotten.
    """
    if first < self._first:
      raise ValueError(f"frame {first} is forgotten; those from {self._first} on are held")
    wanted = min(first + count, self._count)
    self._held.extend(itertools.islice(self._frames, max(wanted - self._first - len(self._held), 0)))
    places = np.minimum(np.arange(first, first + count), self._count - 1) - self._first
    return np.stack([self._held[place] for place in places])

  def forget(self, first: int) -> None:
    """Lets go of the frames before `first`, but for the last of the video."""
    for _ in range(min(first - self._first, len(self._held) - 1)):
      self._held.popleft()
      self._first += 1


def _count(duration_s: float, fps: int) -> int:
  return max(1, round(duration_s * fps))


def _frames(
  path: container.Path,
  fps: int,
  size: int,
  start_s: float,
  count: int,
  resize: Resize,
  damaged_s: list[float] | None,
  *,
  whole: bool,
) -> Iterator[np.ndarray]:
  """`count` frames from `start_s` on, one by one; whether they are the `whole` video's. See `decode_frames`."""
  times_s = start_s + (np.arange(count) + 0.5) / fps
  small = {"area": _area, "bicubic": _bicubic, "centre": _centre}[resize](size)
  given, shown, end_s, decoded, before = 0, None, 0.0, 0, len(damaged_s or ())
  for time_s, length_s, picture in _pictures(path, start_s, damaged_s):
    decoded += 1
    until = int(np.searchsorted(times_s, time_s)) if shown else 0
    if until > given:
      yield from itertools.repeat(small(shown), until - given)
    given, shown, end_s = max(given, until), picture, time_s + length_s
    if given == count:
      break
  if shown is None:
    raise container.damaged(path, "no picture can be decoded")
  if whole and len(damaged_s or ()) - before > decoded:
    raise container.damaged(path, "most of its pictures cannot be decoded")
  if given < count:
    yield from itertools.repeat(small(shown), count - given)
    _check_end(path, start_s, times_s[-1], end_s)


def _check_end(path: container.Path, start_s: float, last_s: float, end_s: float) -> None:
  """Tells a span that runs past the end of a whole file (fine) from a truncated file and a start past the end.

  Args:
    path: the file.
    start_s, last_s: first and last time of the span, s.
    end_s: of the last picture that could be decoded, s; the file goes on after that where later ones are damaged.
  """
  if end_s < last_s - _SLACK_S or end_s <= start_s:
    end_s = max(end_s, probe(path).duration_s)
  if start_s >= end_s:
    raise past_end(path, start_s, end_s)


def _pictures(
  path: container.Path, start_s: float, damaged_s: list[float] | None
) -> Iterator[tuple[float, float, av.VideoFrame]]:
  """(start, length, picture) of the picture shown at `start_s` or one before it, and of all after, in order of time.

  Several threads tell of damage some packets late, and at the end of the file not at all. So where there seems to be
  some, what comes after the last picture before it is read again by one.
  """
  last_s, before = -np.inf, len(damaged_s or ())
  with container.open_media(path) as media, contextlib.suppress(av.FFmpegError):
    stream = container.need_video(media, path)
    stream.thread_type, stream.thread_count = "AUTO", _THREADS
    for picture in _from(media, stream, start_s, lambda: _undamaged(media, stream)):
      last_s = picture[0]
      yield picture
    return

  def decoded() -> Iterator[av.VideoFrame]:
    if damaged_s is not None:
      del damaged_s[before:]  # What was found before it was begun again.
    yield from container.decoded(media, stream, damaged_s)

  with container.open_media(path) as media:
    stream = container.need_video(media, path)
    stream.thread_count = 1
    for picture in _from(media, stream, max(start_s, last_s), decoded):
      if picture[0] > last_s:
        yield picture


def _undamaged(media: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
  """The pictures of a stream; raises FFmpegError where there is damage, or in the end where packets gave no picture."""
  missing = 0
  for packet in media.demux(stream):
    frames = packet.decode()
    missing += bool(packet.size and not packet.is_discard) - len(frames)
    yield from frames
  if missing > 0:
    raise av.InvalidDataError(av.error.ErrorType.INVALIDDATA.value, "fewer pictures than packets")


def _from(
  media: av.container.InputContainer,
  stream: av.VideoStream,
  start_s: float,
  decoded: Callable[[], Iterator[av.VideoFrame]],
) -> Iterator[tuple[float, float, av.VideoFrame]]:
  """See `_pictures`; `decoded` gives what is decoded from where the file is read."""
  zero, rate = container.start_of(stream), stream.average_rate
  # Time stamps are rounded to the stream's ticks (1 ms in mkv), so a picture may be half a tick early.
  early_s = min(float(stream.time_base) / 2, 0.0005) + 1e-6

  def timed() -> Iterator[tuple[float, float, av.VideoFrame]]:
    for frame in decoded():
      if frame.pts is not None:
        time_s = float(frame.pts * stream.time_base - zero)
        length_s = float(frame.duration * stream.time_base) or (float(1 / rate) if rate else 0.0)
        yield time_s - early_s, length_s, frame

  if start_s <= _PREROLL_S:
    yield from timed()
    return
  media.seek(int((zero + start_s - _PREROLL_S) / stream.time_base), stream=stream)
  pictures = timed()
  first = next(pictures, None)
  if first is None or first[0] > start_s:
    media.seek(0)
    yield from timed()
  else:
    yield from itertools.chain([first], pictures)


def _area(size: int) -> Callable[[av.VideoFrame], np.ndarray]:
  resizer = av.video.reformatter.VideoReformatter()

  def small(picture: av.VideoFrame) -> np.ndarray:
    resized = resizer.reformat(picture, size, size, "rgb24", interpolation="AREA", threads=1)
    return np.rot90(resized.to_ndarray(), picture.rotation // 90)

  return small


def _bicubic(size: int) -> Callable[[av.VideoFrame], np.ndarray]:
  def small(picture: av.VideoFrame) -> np.ndarray:
    return np.rot90(bicubic(picture.to_ndarray(format="rgb24"), size), picture.rotation // 90)

  return small


def _centre(size: int) -> Callable[[av.VideoFrame], np.ndarray]:
  def small(picture: av.VideoFrame) -> np.ndarray:
    whole = picture.to_ndarray(format="rgb24")
    height, width, _ = whole.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.rot90(bicubic(whole[top : top + side, left : left + side], size), picture.rotation // 90)

  return small


def bicubic(picture_HxWx3: np.ndarray, size: int) -> np.ndarray:
  """uint8 RGB of any size -> uint8 [size, size, 3], by Pillow's filter, which widens where it shrinks."""
  # Imported here: only weights of the published system's kind ask for it.
  from PIL import Image

  return np.asarray(Image.fromarray(picture_HxWx3).resize((size, size), Image.Resampling.BICUBIC))
