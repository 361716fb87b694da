"""`python -m benchmarks.storage`: what codecs and segment lengths cost, as the table in docs/data.md.

For each way to store frames: bytes for an hour of video with its sound, CPU time to decode a window of 2 s, and mean
error against the frames before they were stored. For each length of segments: what a window reads, as a share of its
own size, and in how many records.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from condfoley_jax.clip import MINI, PAPER, ClipSpec
from data_pipelines import media, records
from data_pipelines.builders.drumstick import builder

_ROUNDS = 5


def _image(picture: np.ndarray, suffix: str, options: list[int]) -> bytes:
  return cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _picture(data: bytes) -> np.ndarray:
  return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def _square(data: bytes) -> np.ndarray:
  side = round((len(data) / 3) ** 0.5)
  return np.frombuffer(data, np.uint8).reshape(side, side, 3).copy()


CODECS = {
  "planes (I420)": (records.encode_frame, records.decode_frame),
  "JPEG 95": (lambda x: _image(x, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]), _picture),
  "JPEG 90": (lambda x: _image(x, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]), _picture),
  "PNG": (lambda x: _image(x, ".png", []), _picture),
  "RGB": (lambda x: x.tobytes(), _square),
}


def main() -> int:
  with tempfile.TemporaryDirectory() as directory:
    (source,) = builder.sources(Path(directory), "train", seed=0, count=1, workers=1)
    print("| frames | stored as | GB per hour | decoding 2 s, CPU ms | mean error, of 255 |\n|---|---|---|---|---|")
    for spec in (MINI, PAPER):
      frames = media.decode_frames(source.video, spec.fps, spec.frame_resize, resize=spec.frame_filter)
      for name, codec in CODECS.items():
        print(_codec_row(name, codec, frames, spec))
  print("\n| segment, s | records a window touches | read, of the window's size |\n|---|---|---|")
  for frames in (5, 15, 30, 60):
    print(_length_row(frames, MINI))
  return 0


def _codec_row(name: str, codec, frames: np.ndarray, spec: ClipSpec) -> str:
  encode, decode = codec
  stored = [encode(frame) for frame in frames]
  error = np.mean([np.abs(decode(data).astype(int) - frame).mean() for data, frame in zip(stored, frames, strict=True)])
  per_second = spec.fps * np.mean([len(data) for data in stored]) + 2 * spec.sample_rate
  seconds = min(_cpu_seconds(lambda: [decode(data) for data in stored[: spec.frames]]) for _ in range(_ROUNDS))
  side = spec.frame_resize
  return f"| {side} x {side} | {name} | {3600 * per_second / 1e9:.2f} | {1e3 * seconds:.2f} | {error:.2f} |"


def _length_row(frames: int, spec: ClipSpec) -> str:
  """A window starts at any frame of a segment with the same probability."""
  touched = np.mean([(start + spec.frames - 1) // frames + 1 for start in range(frames)])
  return f"| {frames / spec.fps:.2f} | {touched:.2f} | {touched * frames / spec.frames:.2f} |"


def _cpu_seconds(function) -> float:
  start = time.process_time()
  function()
  return time.process_time() - start


if __name__ == "__main__":
  cv2.setNumThreads(1)
  sys.exit(main())
