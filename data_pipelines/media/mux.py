"""A video with new sound: pictures copied byte for byte, and AAC that decodes to exactly as many samples; WAV files."""

import collections
import contextlib
import heapq
import io
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from fractions import Fraction

import av
import numpy as np

from data_pipelines.errors import InputError
from data_pipelines.media import container
from data_pipelines.media.probe import probe

_AAC_FRAME = 1024
# Fewer samples than one AAC frame decode to nothing.
FEWEST_SAMPLES = _AAC_FRAME
# More than AAC allows for 22,050 Hz mono (132 kb/s): the encoder then takes that.
_BIT_RATE = 192_000
# At such rates this coder is 1 to 4 dB closer to the original than the default and twice as fast.
_AAC = {"aac_coder": "fast"}


def require_copyable(video_path: container.Path) -> None:
  """Says early what `mux` would refuse after a long wait.

  Raises:
    InputError: the video cannot be used, has a codec that mp4 cannot carry, or edits that cannot be copied.
  """
  with container.open_media(video_path) as media, av.open(io.BytesIO(), "w", format="mp4") as out:
    stream = container.need_video(media, video_path)
    _require_codec(video_path, stream, out)
    collections.deque(_video_packets(video_path, media, stream), maxlen=0)


def mux(
  video_path: container.Path,
  audio: np.ndarray,
  sample_rate: int,
  out_path: container.Path,
  *,
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes an mp4 with the pictures of `video_path` (not re-encoded, first picture at 0 s) and `audio` as its sound.

  AAC comes in frames of 1,024 samples after 1,024 of priming, and decoders trim only the start (the edit list), not a
  partial last frame. So the sound is led by as much silence as fills the last frame, and the edit list skips priming
  and silence alike: what plays, and what FFmpeg, browsers and QuickTime decode, is `audio`, sample for sample.

  Args:
    video_path: an mp4, mov, mkv or webm file; its own sound is left out.
    audio: float32 [N] in [-1, 1], N >= 1024; sample 0 is played with the first picture.
    sample_rate: Hz, one that AAC has (22,050, 44,100, 48,000, ...).
    out_path: the mp4 to write; appears only when complete.
    metadata: tags of the mp4, such as `title` and `comment`.

  Raises:
    InputError: the video cannot be used, is truncated, has a codec that mp4 cannot carry or edits that cannot be
      copied; or the folder of `out_path` cannot be written to.
    OSError: the disk is full.
    ValueError: `audio` is not a finite 1-D array of at least 1,024 samples.
  """
  if audio.ndim != 1 or audio.size < _AAC_FRAME or not np.isfinite(audio).all():
    raise ValueError(f"audio must be finite and [N] with N >= {_AAC_FRAME}, not {audio.shape}")
  probe(video_path)
  with _aside(out_path) as temporary, container.open_media(video_path) as media:
    stream = container.need_video(media, video_path)
    # Ticks of one sample in the edit list, else its rounding to 1 ms cuts or adds samples.
    options = {"movie_timescale": str(sample_rate), "movflags": "+faststart"}
    with av.open(temporary, "w", format="mp4", options=options) as out:
      out.metadata.update(metadata or {})
      codec = _require_codec(video_path, stream, out)
      # `opaque`, or PyAV looks for an encoder of that name, which a decoder such as libdav1d has not.
      video_out = out.add_stream_from_template(stream, opaque=True)
      if codec == "hevc":
        video_out.codec_context.codec_tag = "hvc1"  # the only one of its two tags that QuickTime plays
      audio_out = out.add_stream("aac", rate=sample_rate, layout="mono", bit_rate=_BIT_RATE, options=_AAC)
      pictures, sound = _video_packets(video_path, media, stream), _audio_packets(audio, audio_out)
      for packet in heapq.merge(pictures, sound, key=_decode_time):
        packet.stream = video_out if packet.stream is stream else audio_out
        out.mux(packet)


def _require_codec(path: container.Path, stream: av.VideoStream, out: av.container.OutputContainer) -> str:
  """Name of the stream's codec, if `out` can carry it."""
  codec = stream.codec_context.codec.canonical_name
  if codec not in out.supported_codecs:
    raise InputError(f"{path}: mp4 cannot hold {codec} video; convert it to H.264 first")
  return codec


def write_wav(
  path: container.Path, audio: np.ndarray, sample_rate: int, *, metadata: Mapping[str, str] | None = None
) -> None:
  """Writes float32 [N] in [-1, 1] as a 24-bit WAV file, a second at a time; values beyond are clipped.

  Args:
    path: the file; appears only when complete.
    audio: what to write.
    sample_rate: Hz.
    metadata: tags of the file, such as `title` and `comment`.

  Raises:
    InputError: the folder of `path` cannot be written to.
    OSError: the disk is full.
  """
  # Without FFmpeg's own version among the tags: the same sound is the same file everywhere. RF64 above 4 GiB.
  options = {"fflags": "+bitexact", "rf64": "auto"}
  with _aside(path) as temporary, av.open(temporary, "w", format="wav", options=options) as out:
    out.metadata.update(metadata or {})
    stream = out.add_stream("pcm_s24le", rate=sample_rate, layout="mono")
    for begin in range(0, len(audio), sample_rate):
      whole = np.rint(np.asarray(audio[begin : begin + sample_rate], np.float64) * 2**23)
      # The encoder takes the upper 24 of 32 bits.
      block = np.clip(whole, -(2**23), 2**23 - 1).astype(np.int32) << 8
      frame = av.AudioFrame.from_ndarray(block[None], format="s32", layout="mono")
      frame.sample_rate, frame.time_base, frame.pts = sample_rate, Fraction(1, sample_rate), begin
      out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


@contextlib.contextmanager
def _aside(path: container.Path) -> Iterator[str]:
  """URL of a temporary file beside `path` that takes its place if the block succeeds and is removed if not."""
  path = pathlib.Path(path)
  if not os.access(path.parent, os.W_OK | os.X_OK):
    raise InputError(f"{path.parent}: no such folder or not writable; create it or choose another")
  temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
  try:
    yield container.as_url(temporary)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def _decode_time(packet: av.Packet) -> Fraction:
  return packet.dts * packet.time_base


def _video_packets(
  path: container.Path, media: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet]:
  """The packets, with the first picture moved to 0 s."""
  zero = round(container.start_of(stream) / stream.time_base)
  last = -math.inf
  for packet in _with_decode_times(_needed(path, (p for p in media.demux(stream) if p.size))):
    packet.dts -= zero
    packet.pts -= zero
    # Where an edit list hides pictures in the middle, which would be seen in the copy, FFmpeg gives one time twice.
    if not last < packet.dts <= packet.pts:
      raise InputError(f"{path}: has cuts or time stamps that cannot be copied; export it anew")
    last = packet.dts
    yield packet


def _needed(path: container.Path, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
  """Without the packets after the end of an edit list, which mp4 files made here cannot hide."""
  held = []
  for packet in packets:
    if packet.pts is None:
      raise container.damaged(path, "has pictures without a time")
    held.append(packet)
    if not packet.is_discard:  # It may need those before to be decoded.
      yield from held
      held.clear()


def _with_decode_times(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
  """Matroska stores no decode times; FFmpeg guesses them, but not for the first few packets, which mp4 needs too."""
  for first in packets:
    leading = [first]
    while leading[-1].dts is None and (packet := next(packets, None)):
      leading.append(packet)
    known = leading[-1].dts
    base = min(p.pts for p in leading) if known is None else known - max(1, leading[-1].duration)
    for back, packet in enumerate(reversed([p for p in leading if p.dts is None])):
      packet.dts = base - back * max(1, packet.duration)
    yield from leading


def _audio_packets(audio: np.ndarray, out: av.AudioStream) -> Iterator[av.Packet]:
  """AAC packets whose last frame is full; time stamps before 0 are what the edit list skips."""
  lead = -audio.size % _AAC_FRAME
  for begin in range(-lead, audio.size, _AAC_FRAME):
    block = np.zeros(_AAC_FRAME, np.float32)
    block[max(-begin, 0) :] = audio[max(begin, 0) : begin + _AAC_FRAME]
    frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = out.rate, Fraction(1, out.rate), begin
    yield from out.encode(frame)
  yield from out.encode(None)
