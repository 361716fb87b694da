"""Small media files whose every picture says which one it is."""

import pathlib
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction

import av
import numpy as np
import pytest

_BITS = 8
_RATE = 48000
_CLIPS = pathlib.Path(__file__).resolve().parents[4] / "shared" / "clips"


def real_clips() -> list[pathlib.Path]:
  """Recorded clips outside the checkout; skips the calling test where there are none."""
  if not (clips := sorted(_CLIPS.glob("*.mp4"))):
    pytest.skip(f"no clips in {_CLIPS}")
  return clips


def picture(index: int, height: int, width: int) -> np.ndarray:
  """Vertical strips, black or white: the bits of `index`, the highest first; uint8 [height, width, 3]."""
  bits = [(index >> b) & 1 for b in reversed(range(_BITS))]
  row = np.array(bits, np.uint8)[np.arange(width) * _BITS // width] * 255
  return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def indices(frames: np.ndarray) -> np.ndarray:
  """Which picture each of uint8 [T, S, S, 3] is."""
  strips = frames.reshape(len(frames), frames.shape[1], _BITS, -1, 3).mean(axis=(1, 3, 4))
  return (strips > 127) @ (1 << np.arange(_BITS)[::-1])


def constant(fps: Fraction | int, count: int) -> list[Fraction]:
  """Start times of `count` pictures, s."""
  return [k / Fraction(fps) for k in range(count)]


def write(
  path: pathlib.Path,
  times_s: list[Fraction],
  *,
  codec: str = "libx264",
  options: dict[str, str] | None = None,
  ticks: int = 30000,
  size: tuple[int, int] = (48, 64),
  rotation: int = 0,
  paint: Callable[[int], np.ndarray] | None = None,
  sound: np.ndarray | None = None,
  sound_codec: str = "aac",
  sound_start_s: Fraction = Fraction(0),
) -> pathlib.Path:
  """Writes pictures 0, 1, ... at `times_s` and `sound` [channels, N] at 48 kHz; container by the suffix of `path`."""
  paint = paint or (lambda index: picture(index, *size))
  with av.open(str(path), "w") as out:
    video = out.add_stream(codec, rate=30, options=options or {}, height=size[0], width=size[1], pix_fmt="yuv420p")
    video.codec_context.time_base = Fraction(1, ticks)
    if rotation:
      video.set_display_rotation(rotation)
    audio = None if sound is None else _add_sound_stream(out, sound_codec, len(sound))
    packets = _encode_pictures(video, [paint(index) for index in range(len(times_s))], times_s, ticks)
    packets += [] if sound is None else _encode_sound(audio, sound, sound_start_s)
    _mux_in_order(out, packets)
  return path


def write_sound(path: pathlib.Path, sound: np.ndarray, *, codec: str = "aac") -> pathlib.Path:
  """Writes `sound` [channels, N] at 48 kHz without pictures."""
  with av.open(str(path), "w") as out:
    _mux_in_order(out, _encode_sound(_add_sound_stream(out, codec, len(sound)), sound, Fraction(0)))
  return path


def trim(source: pathlib.Path, path: pathlib.Path, cut_s: Fraction) -> pathlib.Path:
  """Copies an mp4 with the first `cut_s` seconds of pictures still in it, hidden by an edit list."""
  with av.open(str(source)) as media, av.open(str(path), "w") as out:
    (stream,) = media.streams.video
    copy = out.add_stream_from_template(stream)
    for packet in media.demux(stream):
      if packet.size:
        shift = round(cut_s / packet.time_base)
        packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
        out.mux(packet)
  return path


def scramble(source: pathlib.Path, path: pathlib.Path, numbers: Iterable[int], *, kind: str = "video") -> pathlib.Path:
  """Copies a file; the packets of these numbers are other bytes of the same length."""
  with av.open(str(source)) as media:
    places = sorted((p.pos, p.size) for p in media.demux(getattr(media.streams, kind)[0]) if p.size)
  data, rng = bytearray(source.read_bytes()), np.random.default_rng(0)
  for position, size in (places[number] for number in numbers):
    data[position : position + size] = rng.integers(0, 256, size, np.uint8).tobytes()
  path.write_bytes(data)
  return path


def edit(source: pathlib.Path, path: pathlib.Path, edits: list[tuple[float, float]]) -> pathlib.Path:
  """Copies an mp4 of one stream; its edit list shows these (start, length), s, one after the other."""
  data = bytearray(source.read_bytes())
  with av.open(str(source)) as media:
    ticks = 1 / media.streams.video[0].time_base
  moov = _box(data, b"moov", 0, len(data))
  header, trak = (_box(data, name, moov + 8, len(data)) for name in (b"mvhd", b"trak"))
  track_header, edts = (_box(data, name, trak + 8, len(data)) for name in (b"tkhd", b"edts"))
  (movie_ticks,) = struct.unpack_from(">I", data, header + 20)
  (zero,) = struct.unpack_from(">i", data, edts + 28)  # Of the one edit that is there.
  rows = [(round(length * movie_ticks), zero + round(start * ticks), 1 << 16) for start, length in edits]
  elst = struct.pack(">I4sII", 16 + 12 * len(rows), b"elst", 0, len(rows))
  new = elst + b"".join(struct.pack(">IiI", *row) for row in rows)
  new = struct.pack(">I4s", 8 + len(new), b"edts") + new
  for place in (header + 24, track_header + 28):
    struct.pack_into(">I", data, place, sum(length for length, *_ in rows))
  (old,) = struct.unpack_from(">I", data, edts)
  for place in (moov, trak):
    (size,) = struct.unpack_from(">I", data, place)
    struct.pack_into(">I", data, place, size + len(new) - old)
  data[edts : edts + old] = new
  path.write_bytes(data)
  return path


def _box(data: bytes, name: bytes, begin: int, end: int) -> int:
  """Where the first box of this name is among those that lie one after the other from `begin` on."""
  while begin < end:
    size, found = struct.unpack_from(">I4s", data, begin)
    if found == name:
      return begin
    begin += size
  raise ValueError(f"no {name}")


def add_sound_with_gap(source: pathlib.Path, path: pathlib.Path) -> None:
  """Copies the pictures and adds sound of level 0.5 from 0 to 0.5 s and from 1.5 to 2 s."""
  with av.open(str(source)) as media, av.open(str(path), "w") as out:
    (stream,) = media.streams.video
    copy, audio = out.add_stream_from_template(stream), _add_sound_stream(out, "pcm_s16le", 1)
    packets = []
    for start_s in (Fraction(0), Fraction(3, 2)):
      frame = _sound_frame(np.full((1, 24000), 0.5), start_s)
      packets += audio.encode(frame)
    packets += audio.encode(None)
    for packet in media.demux(stream):
      if packet.size:
        packet.stream = copy
        out.mux(packet)
    _mux_in_order(out, packets)


def _add_sound_stream(out: av.container.OutputContainer, codec: str, channels: int) -> av.AudioStream:
  return out.add_stream(codec, rate=_RATE, layout="stereo" if channels == 2 else "mono")


def _encode_pictures(
  stream: av.VideoStream, pictures: list[np.ndarray], times_s: list[Fraction], ticks: int
) -> list[av.Packet]:
  packets = []
  for pixels, time_s in zip(pictures, times_s, strict=True):
    frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
    frame.time_base, frame.pts = Fraction(1, ticks), round(time_s * ticks)
    packets += stream.encode(frame)
  return packets + stream.encode(None)


def _sound_frame(sound: np.ndarray, start_s: Fraction) -> av.AudioFrame:
  frame = av.AudioFrame.from_ndarray(
    np.ascontiguousarray(sound, np.float32), format="fltp", layout="stereo" if len(sound) == 2 else "mono"
  )
  frame.sample_rate, frame.time_base, frame.pts = _RATE, Fraction(1, _RATE), round(start_s * _RATE)
  return frame


def _encode_sound(stream: av.AudioStream, sound: np.ndarray, start_s: Fraction) -> list[av.Packet]:
  return stream.encode(_sound_frame(sound, start_s)) + stream.encode(None)


def _mux_in_order(out: av.container.OutputContainer, packets: list[av.Packet]) -> None:
  for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
    out.mux(packet)


def video_packets(path: pathlib.Path) -> list[tuple[Fraction, bytes]]:
  """(presentation time after the first picture, payload) of every video packet, in stored order."""
  with av.open(str(path)) as media:
    packets = [p for p in media.demux(video=0) if p.size]
    first = min(p.pts for p in packets if not p.is_discard)
    return [((p.pts - first) * p.time_base, bytes(p)) for p in packets]
