"""Clips as the published lists of Du et al. (2023) name them: a video's id, an underscore and where the clip starts.

The training lists count samples ("2015-03-12-18-38-49_271215"), the evaluation seconds ("2015-02-21-17-09-17_3.0667").
"""

import dataclasses
import math
import pathlib

from condfoley_jax import clip
from data_pipelines.builders.source import read_strings
from data_pipelines.errors import InputError, printable

# Samples per second of the lists that count samples, and frames of a second: all times of the others are of whole ones.
LIST_RATE = clip.PAPER.sample_rate
LIST_FPS = clip.PAPER.fps


@dataclasses.dataclass(frozen=True)
class Clip:
  """A clip of a video: the video's id and the clip's start, s from the video's start."""

  video: str
  start_s: float


def parse_sample_clip(text: str, where: str) -> Clip:
  """Clip of "<video>_<start in samples>". Raises InputError, which names `where`, if it is none."""
  video, _, start = text.rpartition("_")
  if not video or not (start.isascii() and start.isdigit()):
    raise InputError(f"{where}: `{printable(text)}` is not `<video>_<sample>`; fetch the file again")
  return Clip(video, int(start) / LIST_RATE)


def parse_second_clip(text: str, where: str) -> Clip:
  """Clip of "<video>_<start in seconds>". Raises InputError, which names `where`, if it is none."""
  video, _, start = text.rpartition("_")
  try:
    start_s = float(start)
  except ValueError:
    start_s = math.nan
  if not video or not 0 <= start_s < math.inf:
    raise InputError(f"{where}: `{printable(text)}` is not `<video>_<second>`; fetch the file again")
  return Clip(video, start_s)


def format_second_clip(clip: Clip) -> str:
  """What `parse_second_clip` reads; the start has four decimals."""
  return f"{clip.video}_{clip.start_s:.4f}"


def exact(time_s: float) -> float:
  """The time of the whole frame that `time_s`, s, is to four decimals; `time_s` where it is that of none.

  Labels and lists of Greatest Hits have times of frames so: 4.7333 is 71 / 15 s, but lies before frame 71.
  """
  frame_s = round(time_s * LIST_FPS) / LIST_FPS
  return frame_s if round(frame_s, 4) == round(time_s, 4) else time_s


def read_clips(path: pathlib.Path, remedy: str) -> list[Clip]:
  """Clips of a list that counts samples, in its order. Raises InputError if the file is absent or no such list."""
  return [parse_sample_clip(text, str(path)) for text in read_strings(path, remedy)]
