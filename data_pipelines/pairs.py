"""Which windows of which videos make the training examples: pure functions of seed, epoch and index.

Windows start on whole frames, so that sound and picture are cut at the same instant. A pair is a target window and a
condition window of the same video (paper, section 3). Departing from the published code, the two never overlap where
the video is two clips long, and the condition's sound is cut where its pictures are.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipelines.dataset import Video


@dataclasses.dataclass(frozen=True)
class Choice:
  """Windows of one example: start frames in video `video` (position in the dataset); `condition` is None for a clip."""

  video: int
  target: int
  condition: int | None


class WindowChooser:
  """Chooses windows of `frames` frames from the videos.

  Each video gives one example per whole clip that fits in it, fewer where few starts are admissible. An example owns a
  slice of the video's admissible target starts and draws from that slice, so that every epoch covers every video.

  Args:
    videos: videos of the dataset.
    fps: frames per second.
    frames: frames of a window.
    paired: choose a condition window too. Such pairs need a video longer than one window.

  Length: examples of an epoch.
  """

  def __init__(self, videos: Sequence[Video], fps: int, frames: int, *, paired: bool):
    self._frames = frames
    self._paired = paired
    self._holds = [_holds_event(v, fps, frames) for v in videos]
    self._slices = [
      (video, part)
      for video, holds in enumerate(self._holds)
      if (starts := _target_starts(holds, frames, paired)).size
      for part in np.array_split(starts, min(starts.size, videos[video].frames // frames))
    ]

  def __len__(self) -> int:
    return len(self._slices)

  def choose(self, seed: int, epoch: int, index: int) -> Choice:
    """Windows of example `index` of an epoch; the same for the same arguments, all of them >= 0."""
    video, starts = self._slices[index]
    rng = np.random.default_rng((seed, epoch, index))
    target = int(rng.choice(starts))
    condition = int(rng.choice(self._condition_starts(video, target))) if self._paired else None
    return Choice(video, target, condition)

  def _condition_starts(self, video: int, target: int) -> np.ndarray:
    holds = self._holds[video]
    starts = np.flatnonzero(np.abs(np.arange(holds.size) - target) >= _least_distance(holds.size, self._frames))
    with_event = starts[holds[starts]]
    return with_event if with_event.size else starts


def event_frame(time_s: float, fps: int) -> int:
  """Frame during which an event happens."""
  # The nudge keeps a time written as k / fps in frame k.
  return int(np.floor(time_s * fps + 1e-6))


def _holds_event(video: Video, fps: int, frames: int) -> np.ndarray:
  """Whether the window from each start holds a labelled event, bool [starts]."""
  holds = np.zeros(max(0, video.frames - frames + 1), bool)
  for event in video.events:
    frame = event_frame(event.time_s, fps)
    holds[max(0, frame - frames + 1) : max(0, frame + 1)] = True
  return holds


def _target_starts(holds: np.ndarray, frames: int, paired: bool) -> np.ndarray:
  """Admissible target starts: with an event in both windows, else in the target, else any.

  Args:
    holds: bool [starts], `_holds_event`.

  Returns:
    int [n], in order; empty where the video has no room for the windows.
  """
  if not paired:
    return np.flatnonzero(holds) if holds.any() else np.arange(holds.size)
  distance = _least_distance(holds.size, frames)
  everywhere = np.ones_like(holds)
  for target, condition in ((holds, holds), (holds, everywhere), (everywhere, everywhere)):
    starts = np.flatnonzero(target & _any_at_distance(condition, distance))
    if starts.size:
      return starts
  return np.arange(0)


def _least_distance(starts: int, frames: int) -> int:
  """Least distance between the two starts: a window, so that they do not overlap, unless the video is too short."""
  return frames if starts > frames else 1


def _any_at_distance(flags: np.ndarray, distance: int) -> np.ndarray:
  """Whether flags[s] holds for any s with |s - t| >= distance, for every t: bool [starts]."""
  found = np.zeros_like(flags)
  found[distance:] |= np.logical_or.accumulate(flags)[: flags.size - distance]
  found[: flags.size - distance] |= np.logical_or.accumulate(flags[::-1])[::-1][distance:]
  return found
