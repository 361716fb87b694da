"""Frames and samples of a span of a video, by time stamps, never by counting."""

import collections
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import av
import numpy as np
import soxr

from data_pipelines.errors import InputError
from data_pipelines.media import container
from data_pipelines.media.probe import probe

Resize = Literal["area", "bicubic", "centre"]

# Seeks land this much before the span: pictures may be stored after others that show later, and audio codecs need
# the packets before to get into step.
_PREROLL_S = 1.0
# Of more channels that lie apart PyAV reads where there is no memory.
_MOST_CHANNELS = 8
# Sound on both sides of the span that the resampling filter sees, s.
_MARGIN_S = 0.1
# A span that ends this much after the last picture or sample makes us check that the file is whole.
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
    InputError: the file cannot be used or is truncated, a picture, or most of them where some may be, cannot be
      decoded, or start_s is past its end.
    ValueError: start_s is negative or duration_s not positive.
  """
  duration_s = _span_length(path, start_s, duration_s)
  frames = np.empty((_count(duration_s, fps), size, size, 3), np.uint8)
  for number, frame in enumerate(_frames(path, fps, size, start_s, len(frames), resize, damaged_s)):
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
    self._count = _count(_span_length(path, 0.0, None), fps)
    self._frames = _frames(path, fps, size, 0.0, self._count, resize, damaged_s)
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
) -> Iterator[np.ndarray]:
  """`count` frames from `start_s` on, one by one; see `decode_frames`."""
  times_s = start_s + (np.arange(count) + 0.5) / fps
  small = {"area": _area, "bicubic": _bicubic, "centre": _centre}[resize](size)
  given, shown, end_s, decoded = 0, None, 0.0, 0
  with container.open_media(path) as media:
    for time_s, length_s, picture in _pictures(media, path, start_s, damaged_s):
      decoded += 1
      until = int(np.searchsorted(times_s, time_s)) if shown else 0
      if until > given:
        yield from itertools.repeat(small(shown), until - given)
      given, shown, end_s = max(given, until), picture, time_s + length_s
      if given == count:
        return
    if shown is None:
      raise container.damaged(path, "no picture can be decoded")
    if damaged_s is not None and len(damaged_s) > decoded:
      raise container.damaged(path, "most of its pictures cannot be decoded")
    yield from itertools.repeat(small(shown), count - given)
  _check_end(path, start_s, times_s[-1], end_s)


def decode_audio(
  path: container.Path,
  sample_rate: int,
  *,
  start_s: float = 0.0,
  duration_s: float | None = None,
  damaged_s: list[float] | None = None,
) -> np.ndarray:
  """Sound of a span, mixed to mono and resampled.

  Args:
    path: an mp4, mov, mkv or webm file, or a wav, aiff, flac, mp3, ogg or aac one.
    sample_rate: samples per second wanted, Hz.
    start_s: start of the span, s after the first picture (the first sample where there is no video).
    duration_s: its length, s; to the end of the video by default.
    damaged_s: where it is given, sound that cannot be decoded is silence, and its times, s, are added to it.

  Returns:
    float32 [N], the mean of the channels, N = round(duration_s * sample_rate). Sample n is the sound at
    start_s + n / sample_rate, silence where the file has none.

  Raises:
    InputError: the file cannot be used, is truncated or has no audio stream, or its end comes before start_s when
      duration_s is not given.
    ValueError: start_s is negative or duration_s not positive.
  """
  duration_s = _span_length(path, start_s, duration_s, sound_alone=True)
  with container.open_media(path, sound_alone=True) as media:
    container.need_audio(media, path)
    sound, rate, end_s = _gather(media, path, start_s - _MARGIN_S, duration_s + 2 * _MARGIN_S, damaged_s)
  if end_s < start_s + duration_s - _SLACK_S:
    probe(path, sound_alone=True)
  resampled = soxr.resample(sound, rate, sample_rate, quality="HQ") if rate != sample_rate else sound
  first, samples = round(_MARGIN_S * sample_rate), round(duration_s * sample_rate)
  return np.ascontiguousarray(resampled[first : first + samples], np.float32)


def _span_length(path: container.Path, start_s: float, duration_s: float | None, *, sound_alone: bool = False) -> float:
  if start_s < 0 or (duration_s is not None and duration_s <= 0):
    raise ValueError(f"start_s must be >= 0 and duration_s > 0, not {start_s} and {duration_s}")
  if duration_s is not None:
    return duration_s
  whole_s = probe(path, sound_alone=sound_alone).duration_s
  if start_s >= whole_s:
    raise _past_end(path, start_s, whole_s)
  return whole_s - start_s


def _past_end(path: container.Path, start_s: float, end_s: float) -> InputError:
  return InputError(f"{path}: {end_s:.2f} s long; choose a start before that, not {start_s:.2f} s")


def _check_end(path: container.Path, start_s: float, last_s: float, end_s: float) -> None:
  """Tells a span that runs past the end of a whole file (fine) from a truncated file and a start past the end."""
  if end_s < last_s - _SLACK_S:
    probe(path)
  if start_s >= end_s:
    raise _past_end(path, start_s, end_s)


def _pictures(
  media: av.container.InputContainer, path: container.Path, start_s: float, damaged_s: list[float] | None
) -> Iterator[tuple[float, float, av.VideoFrame]]:
  """(start, length, picture) of the picture shown at `start_s` or one before it, and of all after, in order of time."""
  stream = container.need_video(media, path)
  stream.thread_type = "AUTO"
  zero, rate = container.start_of(stream), stream.average_rate
  # Time stamps are rounded to the stream's ticks (1 ms in mkv), so a picture may be half a tick early.
  early_s = min(float(stream.time_base) / 2, 0.0005) + 1e-6

  def decoded():
    for frame in container.decoded(media, stream, damaged_s):
      if frame.pts is not None:
        time_s = float(frame.pts * stream.time_base - zero)
        length_s = float(frame.duration * stream.time_base) or (float(1 / rate) if rate else 0.0)
        yield time_s - early_s, length_s, frame

  if start_s <= _PREROLL_S:
    yield from decoded()
    return
  media.seek(int((zero + start_s - _PREROLL_S) / stream.time_base), stream=stream)
  pictures = decoded()
  first = next(pictures, None)
  if first is None or first[0] > start_s:
    media.seek(0)
    yield from decoded()
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


def _gather(
  media: av.container.InputContainer,
  path: container.Path,
  start_s: float,
  duration_s: float,
  damaged_s: list[float] | None,
) -> tuple[np.ndarray, int, float]:
  """Mono float32 at the file's own rate from `start_s`, that rate, and where the file's sound ends, s."""
  sound, rate, end_s = np.zeros(0, np.float32), 0, 0.0
  for position_s, rate, mono in _blocks(media, path, start_s, damaged_s):
    if not sound.size:
      sound = np.zeros(round(duration_s * rate) + 1, np.float32)
    at = round((position_s - start_s) * rate)
    end_s = position_s + mono.size / rate
    if at >= sound.size:
      break
    begin, end = max(at, 0), min(at + mono.size, sound.size)
    if begin < end:
      sound[begin:end] = mono[begin - at : end - at]
  if not rate:
    raise container.damaged(path, "no sound can be decoded")
  return sound, rate, end_s


def _blocks(
  media: av.container.InputContainer, path: container.Path, start_s: float, damaged_s: list[float] | None
) -> Iterator[tuple[float, int, np.ndarray]]:
  """(time, rate, mono samples) of each decoded block, gapless where the time stamps differ by rounding alone."""
  stream = container.need_audio(media, path)
  zero = container.time_zero(media)
  rounding_s = max(0.001, 1.5 * float(stream.time_base))
  if start_s > _PREROLL_S:
    media.seek(int((zero + start_s - _PREROLL_S) / stream.time_base), stream=stream)
  next_s = None
  for frame in container.decoded(media, stream, damaged_s):
    position_s = next_s
    if frame.pts is not None:
      stamped_s = float(frame.pts * frame.time_base - zero)
      if next_s is None or abs(stamped_s - next_s) > rounding_s:
        position_s = stamped_s
    if frame.format.is_planar and frame.layout.nb_channels > _MOST_CHANNELS:
      told = f"has sound of {frame.layout.nb_channels} channels"
      raise InputError(f"{path}: {told}; mix it down to {_MOST_CHANNELS} or fewer")
    mono = _mono(frame)
    if position_s is not None:
      yield position_s, frame.sample_rate, mono
      next_s = position_s + mono.size / frame.sample_rate


def _mono(frame: av.AudioFrame) -> np.ndarray:
  """Mean of the channels, float32 [n] in [-1, 1] but for files of floats; what is no number is silence."""
  samples, channels = frame.to_ndarray(), frame.layout.nb_channels
  if not frame.format.is_planar:
    samples = samples.reshape(-1, channels).T
  if samples.dtype == np.uint8:
    samples = samples.astype(np.float32) / 128 - 1
  elif samples.dtype.kind == "i":
    samples = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
  return np.nan_to_num(samples.mean(axis=0, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
