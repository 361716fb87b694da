"""Files as people have them, good and bad, each made by PyAV, and what is to come of each.

A `Case` names what the file is, the query or the example, and what is said of it: None where a right result comes.
"""

import concurrent.futures
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile

from tests.data_pipelines.media import making

RATE = 48000


class Case(NamedTuple):
  """make: writes the file to a folder and gives its path. role: `query` or `example`. told: regular expression."""

  make: Callable[[Path], Path]
  role: str = "query"
  told: str | None = None


def noise(seconds: float = 1.0, channels: int = 1, level: float = 0.3, rate: int = RATE) -> np.ndarray:
  """Bursts, float32 [channels, N]."""
  count = round(seconds * rate)
  sound = np.random.default_rng(0).uniform(-level, level, (channels, count))
  return (sound * (np.arange(count) % (rate // 2) < rate // 8)).astype(np.float32)


def video(name: str = "a.mp4", *, fps: Fraction | int = 30, seconds: float = 1.0, **options) -> Callable[[Path], Path]:
  """Pictures at a constant rate, with the options of `making.write`."""
  count = max(1, round(seconds * fps))
  return lambda folder: making.write(folder / name, making.constant(fps, count), **options)


def variable(folder: Path) -> Path:
  times_s = [Fraction(t, 100) for t in (0, 3, 4, 20, 21, 50, 51, 99, 120)]
  return making.write(folder / "variable.mp4", times_s)


def encoded(name: str, codec: str, pix_fmt: str, size=(48, 64), frames: int = 15) -> Callable[[Path], Path]:
  """Video of another pixel format or codec."""

  def write(folder: Path) -> None:
    with av.open(str(folder / name), "w") as out:
      stream = out.add_stream(codec, rate=15, height=size[0], width=size[1], pix_fmt=pix_fmt)
      if codec == "libx264":
        stream.options = {"preset": "ultrafast"}
      for index in range(frames):
        picture = av.VideoFrame.from_ndarray(making.picture(index, *size), format="rgb24")
        out.mux(stream.encode(picture.reformat(format=pix_fmt)))
      out.mux(stream.encode(None))

  def make(folder: Path) -> Path:
    # In a thread that ends: root's SVT-AV1 makes the thread that calls it one that no other may interrupt.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
      pool.submit(write, folder).result()
    return folder / name

  return make


def with_sound(
  name: str, codec: str, rate: int, layout: str, fmt: str = "fltp", sound: Callable[[int], np.ndarray] | None = None
) -> Callable[[Path], Path]:
  """Video with sound of this kind."""

  def make(folder: Path) -> Path:
    channels = av.AudioLayout(layout).nb_channels
    samples = noise(1.0, channels, rate=rate) if sound is None else np.stack([sound(rate)] * channels)
    with av.open(str(folder / name), "w") as out:
      pictures = out.add_stream("libx264", rate=15, height=48, width=64, pix_fmt="yuv420p")
      stream = out.add_stream(codec, rate=rate, layout=layout)
      packets = []
      for index in range(15):
        packets += pictures.encode(av.VideoFrame.from_ndarray(making.picture(index, 48, 64), format="rgb24"))
      packets += pictures.encode(None)
      whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
      whole.sample_rate, whole.time_base, whole.pts = rate, Fraction(1, rate), 0
      for frame in av.AudioResampler(format=fmt, layout=layout, rate=rate, frame_size=1024).resample(whole):
        packets += stream.encode(frame)
      packets += stream.encode(None)
      for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
        out.mux(packet)
    return folder / name

  return make


def sound_file(name: str, sound: np.ndarray, subtype: str | None = None, rate: int = RATE) -> Callable[[Path], Path]:
  """A file without pictures; `sound` is [N] or [N, channels]."""

  def make(folder: Path) -> Path:
    soundfile.write(folder / name, sound, rate, subtype=subtype)
    return folder / name

  return make


def compressed(name: str, codec: str) -> Callable[[Path], Path]:
  return lambda folder: making.write_sound(folder / name, noise(), codec=codec)


def content(name: str, data: bytes) -> Callable[[Path], Path]:
  def make(folder: Path) -> Path:
    (folder / name).write_bytes(data)
    return folder / name

  return make


def cut(whole: Callable[[Path], Path], share: float, name: str) -> Callable[[Path], Path]:
  def make(folder: Path) -> Path:
    data = whole(folder).read_bytes()
    return content(name, data[: int(len(data) * share)])(folder)

  return make


def scrambled(name: str, first: int, count: int, *, kind: str = "video") -> Callable[[Path], Path]:
  """`count` packets from the `first` on are other bytes of the same length."""

  def make(folder: Path) -> Path:
    whole = making.write(folder / f"whole-{name}", making.constant(30, 45), size=(96, 128), sound=noise(1.5))
    return making.scramble(whole, folder / name, range(first, first + count), kind=kind)

  return make


def patched(name: str, old: bytes, new: bytes, whole: Callable[[Path], Path] | None = None) -> Callable[[Path], Path]:
  def make(folder: Path) -> Path:
    return content(name, (whole or video())(folder).read_bytes().replace(old, new))(folder)

  return make


def copied(name: str, options: dict[str, str], *, streams: int = 1) -> Callable[[Path], Path]:
  """The same packets in another arrangement of the container, the picture as often as `streams` says."""

  def make(folder: Path) -> Path:
    whole = making.write(folder / "whole.mp4", making.constant(30, 30), sound=noise())
    with av.open(str(whole)) as media, av.open(str(folder / name), "w", options=options) as out:
      pictures = [out.add_stream_from_template(media.streams.video[0]) for _ in range(streams)]
      sounds = [out.add_stream_from_template(media.streams.audio[0]) for _ in range(streams)]
      packets = [packet for packet in media.demux() if packet.size]
      for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
        data, stamps, base = bytes(packet), (packet.pts, packet.dts, packet.duration), packet.time_base
        for stream in pictures if packet.stream.type == "video" else sounds:
          again = av.Packet(data)
          again.pts, again.dts, again.duration = stamps
          again.time_base, again.stream, again.is_keyframe = base, stream, packet.is_keyframe
          out.mux(again)
    return folder / name

  return make


def linked(folder: Path) -> Path:
  (folder / "loop.mp4").symlink_to("loop.mp4")
  return folder / "loop.mp4"


def pipe(folder: Path) -> Path:
  os.mkfifo(folder / "pipe.mp4")
  return folder / "pipe.mp4"


def directory(folder: Path) -> Path:
  (folder / "folder.mp4").mkdir()
  return folder / "folder.mp4"


_NAN = np.where(np.arange(RATE) % 3 == 0, np.nan, noise()[0]).astype(np.float32)
_NO_MEDIA = "truncated, damaged or not an mp4, mov, mkv or webm video"

CASES: dict[str, Case] = {
  "h264 mp4": Case(video()),
  "h264 mov": Case(video("a.mov")),
  "h264 mkv": Case(video("a.mkv", ticks=1000)),
  "hevc": Case(video("a.mp4", codec="libx265", options={"x265-params": "log-level=none"})),
  "vp9 webm": Case(video("a.webm", codec="libvpx-vp9", ticks=1000)),
  "av1": Case(encoded("a.mp4", "libsvtav1", "yuv420p", (64, 64))),
  "mpeg-4": Case(encoded("a.mp4", "mpeg4", "yuv420p")),
  "1 fps": Case(video(fps=1, seconds=2)),
  "23.976 fps": Case(video(fps=Fraction(24000, 1001))),
  "29.97 fps": Case(video(fps=Fraction(30000, 1001))),
  "240 fps": Case(video(fps=240, seconds=0.5)),
  "variable frame rate": Case(variable),
  "rotated 90": Case(video(rotation=90)),
  "rotated 180": Case(video(rotation=180)),
  "portrait": Case(video(size=(128, 48))),
  "2x2 pixels": Case(encoded("a.mp4", "libx264", "yuv420p", (2, 2))),
  "8k": Case(encoded("a.mp4", "libx264", "yuv420p", (4320, 7680), frames=5)),
  "odd sizes": Case(encoded("a.mp4", "libx264", "yuv444p", (47, 63))),
  "10 bits": Case(encoded("a.mp4", "libx264", "yuv420p10le")),
  "grey": Case(encoded("a.mp4", "libx264", "gray")),
  "interlaced chroma 4:2:2": Case(encoded("a.mp4", "libx264", "yuv422p")),
  "B-frames": Case(video(options={"bf": "3"})),
  "edit list": Case(lambda folder: making.trim(video(seconds=1.5)(folder), folder / "t.mp4", Fraction(1, 2))),
  "begins late": Case(lambda folder: making.write(folder / "a.mp4", [t + 2 for t in making.constant(30, 30)])),
  "0.3 s": Case(video(seconds=0.3)),
  "two pictures": Case(video(fps=10, seconds=0.2)),
  "one picture of 0.2 s": Case(encoded("a.mp4", "libx264", "yuv420p", frames=1)),
  "sound begins late": Case(
    lambda folder: making.write(
      folder / "a.mp4", making.constant(30, 30), sound=noise(0.5), sound_start_s=Fraction(1, 2)
    )
  ),
  "two of each stream": Case(copied("a.mkv", {}, streams=2)),
  "fragmented": Case(copied("a.mp4", {"movflags": "frag_keyframe+empty_moov"})),
  "index in front": Case(copied("a.mp4", {"movflags": "+faststart"})),
  "mono 8 kHz": Case(with_sound("a.mp4", "aac", 8000, "mono")),
  "stereo 192 kHz": Case(with_sound("a.mkv", "flac", 192000, "stereo", "s32")),
  "5.1": Case(with_sound("a.mp4", "aac", 48000, "5.1")),
  "unicode name": Case(video("тест 映画 é.mp4")),
  "spaces in the name": Case(video("  a b  .mp4")),
  "leading dash": Case(video("-a.mp4")),
  "line break in the name": Case(video("a\nb.mp4")),
  "quotes in the name": Case(video("a'\"$(x)`.mp4")),
  "damaged pictures in the middle": Case(scrambled("damaged.mp4", 20, 5)),
  "damaged first picture": Case(scrambled("damaged.mp4", 0, 1)),
  "damaged sound of its own": Case(scrambled("damaged.mp4", 5, 10, kind="audio")),
  "unknown codec of its sound": Case(
    patched(
      "b.mp4", b"esds", b"free", patched("c.mp4", b"mp4a", b"zzzz", with_sound("a.mp4", "aac", 44100, "mono"))
    )
  ),
  "damaged end": Case(scrambled("damaged.mp4", 40, 5)),
  "all pictures damaged": Case(scrambled("damaged.mp4", 0, 45), told="no picture can be decoded"),
  "most pictures damaged": Case(scrambled("damaged.mp4", 3, 40), told="most of its pictures cannot be decoded"),
  "two stretches of an edit list": Case(
    lambda folder: making.edit(video(seconds=3, options={"g": "15"})(folder), folder / "e.mp4", [(0, 1), (2, 1)]),
    told="has cuts or time stamps that cannot be copied; export it anew",
  ),
  "no bytes": Case(content("a.mp4", b""), told="empty file"),
  "text": Case(content("a.mp4", b"not a video at all\n" * 50), told=_NO_MEDIA),
  "zeros": Case(content("a.mp4", bytes(10_000)), told=_NO_MEDIA),
  "half of it": Case(cut(video(), 0.5, "half.mp4"), told="truncated"),
  "all but its end": Case(cut(video("a.mkv", ticks=1000, seconds=2), 0.8, "cut.mkv"), told="truncated"),
  "a fragmented half": Case(
    cut(copied("a.mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}), 0.4, "half.mp4"), told="truncated"
  ),
  "sound alone in mp4": Case(lambda f: making.write_sound(f / "a.mp4", noise()), told="has no pictures"),
  "a wav": Case(sound_file("a.wav", noise()[0]), told=_NO_MEDIA),
  "a picture": Case(encoded("a.png", "png", "rgb24", frames=1), told=_NO_MEDIA),
  "a gif": Case(encoded("a.gif", "gif", "rgb8"), told=_NO_MEDIA),
  "a playlist": Case(content("a.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), told=_NO_MEDIA),
  "a list of files": Case(content("a.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"), told=_NO_MEDIA),
  "vp8": Case(video("a.webm", codec="libvpx", ticks=1000), told="mp4 cannot hold vp8 video; convert it"),
  "ProRes": Case(encoded("a.mov", "prores_ks", "yuv422p10le"), told="mp4 cannot hold prores video; convert it"),
  "unknown codec": Case(patched("b.mp4", b"avc1", b"zzzz"), told="b.mp4"),
  "one picture of 1/60 s": Case(video(fps=60, seconds=1 / 60), told="choose a video of 0.046 s or more"),
  "a folder": Case(directory, told="not a file"),
  "nothing there": Case(lambda folder: folder / "none.mp4", told="no such file"),
  "a link to itself": Case(linked, told="no such file"),
  "a pipe": Case(pipe, told="not a file"),
  "example: mp4": Case(with_sound("e.mp4", "aac", 44100, "stereo"), "example"),
  "example: 5.1": Case(with_sound("e.mkv", "ac3", 48000, "5.1"), "example"),
  "example: 16 bits": Case(sound_file("e.wav", noise()[0]), "example"),
  "example: 8 bits": Case(sound_file("e.wav", noise()[0], "PCM_U8"), "example"),
  "example: 24 bits": Case(sound_file("e.wav", noise()[0], "PCM_24"), "example"),
  "example: doubles": Case(sound_file("e.wav", noise()[0], "DOUBLE"), "example"),
  "example: 8 kHz": Case(sound_file("e.wav", noise(rate=8000)[0], rate=8000), "example"),
  "example: 192 kHz, 6 channels": Case(sound_file("e.wav", noise(1.0, 6, rate=192000).T, rate=192000), "example"),
  "example: flac": Case(sound_file("e.flac", noise()[0]), "example"),
  "example: mp3": Case(compressed("e.mp3", "libmp3lame"), "example"),
  "example: m4a": Case(compressed("e.m4a", "aac"), "example"),
  "example: opus": Case(compressed("e.ogg", "libopus"), "example"),
  "example: aiff": Case(sound_file("e.aiff", noise()[0]), "example"),
  "example: some samples are no numbers": Case(sound_file("e.wav", _NAN, "FLOAT"), "example"),
  "example: no sample is a number": Case(sound_file("e.wav", _NAN * np.nan, "FLOAT"), "example", "silent from"),
  "example: far too loud": Case(sound_file("e.wav", noise(level=1e6)[0], "FLOAT"), "example"),
  "example: 0.3 s": Case(sound_file("e.wav", noise(0.3)[0]), "example"),
  "example: damaged in the middle": Case(scrambled("e.mp4", 20, 5), "example"),
  "example: most pictures damaged": Case(scrambled("e.mp4", 3, 40), "example"),
  "example: damaged sound": Case(scrambled("e.mp4", 20, 5, kind="audio"), "example"),
  "example: 0.1 s": Case(sound_file("e.wav", noise(0.1)[0]), "example", r"0\.10 s of sound from 0\.00 s on"),
  "example: no samples": Case(sound_file("e.wav", np.zeros(0)), "example", "e.wav"),
  "example: silent": Case(sound_file("e.wav", np.zeros(RATE)), "example", "silent from 0.00 s on; choose another"),
  "example: no sound": Case(video("e.mp4"), "example", "has no sound; choose an example that has"),
  "example: half of it": Case(cut(sound_file("e.wav", noise(2)[0]), 0.5, "half.wav"), "example", "truncated"),
  "example: text": Case(content("e.wav", b"no sound" * 100), "example", "nor a sound"),
}  # fmt: skip
