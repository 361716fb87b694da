"""What a media file holds, from its packets' time stamps."""

import dataclasses
import pathlib
from fractions import Fraction

import av

from data_pipelines.errors import InputError
from data_pipelines.media import container

# Declared and actual ends differ by rounding and, in mp4 and mov, by what the edits and encoder delays of each track
# add; more than this is missing data. Of other formats FFmpeg guesses the length.
_SLACK_S = {"mov": 1.0, "matroska": 0.2, "wav": 0.2, "w64": 0.2, "aiff": 0.2, "flac": 0.2}


@dataclasses.dataclass(frozen=True)
class MediaInfo:
  """Facts about a media file.

  Attributes:
    path: the file.
    duration_s: from the first picture's start to the last picture's end, s; of the audio where there is no video.
    width, height: of a picture as shown, after rotation metadata, px; 0 without video.
    fps: average frame rate, frames per second; 0 without video and for a single picture.
    has_video, has_audio: which streams there are; a cover picture is no video, and a track without samples no audio.
  """

  path: pathlib.Path
  duration_s: float
  width: int
  height: int
  fps: float
  has_video: bool
  has_audio: bool


@dataclasses.dataclass
class _Span:
  """Time stamps that the packets of one stream cover, s."""

  start_s: Fraction
  last_s: Fraction
  end_s: Fraction
  packets: int = 0

  @property
  def rate(self) -> float:
    return float((self.packets - 1) / (self.last_s - self.start_s)) if self.packets > 1 else 0.0


def probe(path: container.Path, *, sound_alone: bool = False) -> MediaInfo:
  """Reads the whole file (no decoding except the first picture) and returns its facts.

  Args:
    path: an mp4, mov, mkv or webm file.
    sound_alone: it may be a sound file as well; see `container.open_media`.

  Raises:
    InputError: the file is missing, empty, truncated, not media, or has neither video nor audio.
  """
  with container.open_media(path, sound_alone=sound_alone) as media:
    video, audio = container.find_video(media), container.find_audio(media)
    if (main := video or audio) is None:
      raise container.damaged(path, "has neither video nor audio")
    spans = _spans(media, path)
    _check_complete(media, spans, path)
    if (span := spans.get(main.index)) is None:
      raise container.damaged(path, f"holds no {main.type}")
    width, height = _shown_size(path) if video else (0, 0)
    return MediaInfo(
      path=pathlib.Path(path),
      duration_s=float(span.end_s - container.start_of(main)),
      width=width,
      height=height,
      fps=span.rate if video else 0.0,
      has_video=video is not None,
      has_audio=audio is not None and audio.index in spans,
    )


def span_length(path: container.Path, start_s: float, duration_s: float | None, *, sound_alone: bool = False) -> float:
  """Length of a span, s: `duration_s`, or where that is None, what is left of the file from `start_s` on.

  Raises:
    InputError: the file cannot be used, or ends before the span starts.
    ValueError: start_s is negative or duration_s not positive.
  """
  if start_s < 0 or (duration_s is not None and duration_s <= 0):
    raise ValueError(f"start_s must be >= 0 and duration_s > 0, not {start_s} and {duration_s}")
  if duration_s is not None:
    return duration_s
  whole_s = probe(path, sound_alone=sound_alone).duration_s
  if start_s >= whole_s:
    raise past_end(path, start_s, whole_s)
  return whole_s - start_s


def past_end(path: container.Path, start_s: float, end_s: float) -> InputError:
  """Of a span that starts after the end, both s."""
  return InputError(f"{path}: {end_s:.2f} s long; choose a start before that, not {start_s:.2f} s")


def read_tags(path: container.Path) -> dict[str, str]:
  """Tags of a video or sound file, such as `title` and `comment`, names in small letters.

  Raises:
    InputError: it is neither.
  """
  with container.open_media(path, sound_alone=True) as media:
    return {name.lower(): value for name, value in media.metadata.items()}


def _shown_size(path: container.Path) -> tuple[int, int]:
  """Width and height of the first picture after rotation, which only decoding tells."""
  with container.open_media(path) as media:
    frame = next(container.decoded(media, container.find_video(media), []), None)
  if frame is None:
    raise container.damaged(path, "no picture can be decoded")
  return (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)


def _spans(media: av.container.InputContainer, path: container.Path) -> dict[int, _Span]:
  spans = {}
  for packet in media.demux():
    if packet.is_corrupt:
      raise container.damaged(path, "truncated or damaged")
    if packet.pts is None or packet.is_discard or not packet.size:
      continue
    start_s = packet.pts * packet.time_base
    end_s = start_s + _duration_s(packet)
    span = spans.setdefault(packet.stream_index, _Span(start_s, start_s, end_s))
    span.start_s, span.last_s = min(span.start_s, start_s), max(span.last_s, start_s)
    span.end_s = max(span.end_s, end_s)
    span.packets += 1
  return spans


def _duration_s(packet: av.Packet) -> Fraction:
  if packet.duration:
    return packet.duration * packet.time_base
  rate = getattr(packet.stream, "average_rate", None)
  return 1 / rate if rate else Fraction(0)


def _check_complete(media: av.container.InputContainer, spans: dict[int, _Span], path: container.Path) -> None:
  """Compares what the header declares with what is there: FFmpeg reads a cut file without complaint."""
  if not spans:
    raise container.damaged(path, "holds no pictures or sound")
  container_format = media.format.name.split(",")[0]
  slack_s = _SLACK_S.get(container_format, float("inf"))
  declared_s = (media.duration or 0) / av.time_base
  if declared_s > max(span.end_s for span in spans.values()) + slack_s:
    raise container.damaged(path, "truncated")
  if container_format != "mov":
    return  # The others declare no length of a single stream, or have one alone.
  for stream in filter(None, (container.find_video(media), container.find_audio(media))):
    # Edits shorten the movie, not the stream; other streams lengthen the movie, not this one.
    stream_s = min(declared_s, float((stream.duration or 0) * stream.time_base))
    span = spans.get(stream.index)
    if span is None and not stream.frames:
      continue  # An empty track, whose length FFmpeg guesses.
    if stream_s > (span.end_s - span.start_s if span else 0) + slack_s:
      raise container.damaged(path, f"truncated: its {stream.type} stops early")
