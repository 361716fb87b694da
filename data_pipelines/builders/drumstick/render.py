"""Files of the procedural world: mp4 (H.264 + AAC) and `_times.txt` per video, the same bytes every time."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from data_pipelines import interrupt
from data_pipelines.builders import events
from data_pipelines.builders.drumstick.acoustics import render_sound
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, render_frames
from data_pipelines.builders.drumstick.scene import Scene, draw_scene, video_name, world_name
from data_pipelines.errors import InputError
from data_pipelines.workers import mapped

_VIDEO_OPTIONS = {"preset": "veryfast", "threads": "1"}
_CRF = (19, 31)  # x264's quality, drawn per video: from clean to blocky
# The fast coder smears less energy ahead of an onset than the default one, and takes a third of the time.
_AUDIO_OPTIONS = {"aac_coder": "fast"}
_AUDIO_BITS = (3.2, 5.0)  # per sample, drawn per video
_SLACK_S = 0.1  # by which a coded sound's length, of whole blocks, may differ from the plan's
MOST = 100_000  # videos of a split and seed: two days of one core


def render_videos(
  out_dir: str | os.PathLike,
  *,
  split: str,
  seed: int,
  count: int,
  workers: int,
  progress: Callable[[int, int], None] | None = None,
) -> list[pathlib.Path]:
  """Renders videos 0..count-1 of a split of the procedural world. Those that are there already, and whole, are kept.

  Args:
    out_dir: folder for `drumstick-v<version>-<split>-<seed>-<index>.mp4` and `..._times.txt`; made if absent.
    split: `train`, `val` or `test`; they draw from disjoint random streams.
    seed: in 0..2^32-1; another seed gives another world.
    count: number of videos, at most MOST.
    workers: processes; below 2 all is done in this one.
    progress: called with (done, count) after each video.

  Returns:
    The videos' paths in order of index. Each file appears whole or not at all.

  Raises:
    InputError: too many are asked for, or `out_dir` holds videos of another split, seed or version, or a folder that
      has the name of a video.
  """
  if count > MOST:
    raise InputError(f"{count} videos of the procedural world: more than {MOST}; ask for fewer, or use several seeds")
  out_dir, world = pathlib.Path(out_dir), world_name(split, seed)
  paths = [out_dir / f"{video_name(split, seed, index)}.mp4" for index in range(count)]
  _check_folder(out_dir, world, paths)
  left = []
  for index, path in enumerate(paths):
    # A video's events are moved there before it.
    if not path.exists() or not _is_whole(draw_scene(split, seed, index), path):
      left.append(index)
    elif progress:
      progress(index + 1 - len(left), count)
  # Rendered aside, because a worker can be ended at any time.
  with (
    interrupt.partial_folder(out_dir) as aside,
    mapped(functools.partial(_render_into, out_dir, aside, split, seed), left, workers) as rendered,
  ):
    for done, _ in enumerate(rendered, start=count - len(left) + 1):
      if progress:
        progress(done, count)
  return paths


def _check_folder(out_dir: pathlib.Path, world: str, paths: Sequence[pathlib.Path]) -> None:
  for path in sorted(out_dir.glob("drumstick-*.mp4")):
    if not path.name.startswith(f"{world}-"):
      raise InputError(f"{path}: is of another split, seed or version of the world; remove it or choose another folder")
  for path in (p for video in paths for p in (video, events.times_path(video))):
    if path.is_dir():
      raise InputError(f"{path}: a folder has the name of a file of the world; rename it or choose another folder")


def _is_whole(scene: Scene, path: pathlib.Path) -> bool:
  """Whether the files are as the plan has them: events, pictures, length of the sound. Reads no more than the index of
  the mp4, which is at its end: a truncated one has none."""
  try:
    told = events.read_events(events.times_path(path))
    with av.open(str(path)) as container:
      (video,), (sound,) = container.streams.video, container.streams.audio
      length_s = float((sound.duration or 0) * sound.time_base)
      return told == scene.events() and video.frames == scene.frames and abs(length_s - scene.duration_s) < _SLACK_S
  except (InputError, av.FFmpegError, ValueError):
    return False


def _render_into(out_dir: pathlib.Path, aside: pathlib.Path, split: str, seed: int, index: int) -> None:
  """Renders one scene in `aside`, then moves its files to `out_dir`."""
  cv2.setNumThreads(1)
  path = render_scene(draw_scene(split, seed, index), aside)
  for made in (events.times_path(path), path):
    os.replace(made, out_dir / made.name)


def render_scene(scene: Scene, folder: pathlib.Path) -> pathlib.Path:
  """Writes a scene's mp4 and, beside it, its events; returns the mp4's path."""
  path = folder / f"{scene.name}.mp4"
  write_mp4(path, render_frames(scene), scene.fps, render_sound(scene), scene.sample_rate, draw_coding(scene))
  events.write_events(events.times_path(path), scene.events())
  return path


@dataclasses.dataclass(frozen=True)
class Coding:
  """How a file is compressed: x264's quality `crf`, and the sound's `bit_rate`, bit/s."""

  crf: float
  bit_rate: int


def draw_coding(scene: Scene) -> Coding:
  rng = scene.rng("file")
  return Coding(crf=round(rng.uniform(*_CRF), 1), bit_rate=round(rng.uniform(*_AUDIO_BITS) * scene.sample_rate))


def write_mp4(
  path: pathlib.Path, frames: Iterable[np.ndarray], fps: Fraction, audio: np.ndarray, sample_rate: int, coding: Coding
) -> None:
  """Encodes uint8 [HEIGHT, WIDTH, 3] frames and float32 mono audio, both from time zero."""
  with av.open(str(path), "w", format="mp4") as container:
    video = container.add_stream("libx264", rate=fps, options=_VIDEO_OPTIONS | {"crf": str(coding.crf)})
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    video.codec_context.thread_count = 1  # more threads would change the bytes with the machine
    video.codec_context.time_base = 1 / fps
    sound = container.add_stream("aac", rate=sample_rate, layout="mono", options=_AUDIO_OPTIONS)
    sound.bit_rate = coding.bit_rate
    for k, image in enumerate(frames):
      picture = av.VideoFrame.from_ndarray(image, format="rgb24")
      picture.pts, picture.time_base = k, 1 / fps
      container.mux(video.encode(picture))
    container.mux(video.encode())
    for block in _audio_frames(audio, sample_rate):
      container.mux(sound.encode(block))
    container.mux(sound.encode())


def _audio_frames(audio: np.ndarray, sample_rate: int, size: int = 1024) -> Iterable[av.AudioFrame]:
  for start in range(0, len(audio), size):
    block = av.AudioFrame.from_ndarray(audio[None, start : start + size], format="fltp", layout="mono")
    block.sample_rate, block.pts, block.time_base = sample_rate, start, Fraction(1, sample_rate)
    yield block
