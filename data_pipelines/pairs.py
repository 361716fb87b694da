"""Which windows of which videos make the training examples: pure functions of seed and number.

Windows start on whole frames, so that sound and picture are cut at the same instant and always shift together. A pair
is a target window and a condition window (paper, section 3). Departing from the published code, the two do not overlap
unless that is asked for, the condition is never the target's own onset, and its sound is cut where its pictures are.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from data_pipelines.dataset import Video

Mode = Literal["paper", "uniform", "outside"]
MODES: tuple[Mode, ...] = ("paper", "uniform", "outside")

# An onset lies up to this far into its window: half a second before it, shifted by up to half a second (published).
_INTO_WINDOW_S = 1.0


@dataclasses.dataclass(frozen=True)
class Place:
  """A window: position of the video in the dataset, and first frame."""

  video: int
  start: int


@dataclasses.dataclass(frozen=True)
class Choice:
  """Windows of one example; a clip has no condition."""

  target: Place
  condition: Place | None = None


class Chooser(abc.ABC):
  """Examples of an epoch, each drawn anew in every epoch. Length: examples of an epoch.

  Attributes:
    empty: what is wrong where there is none, and the remedy.
  """

  empty: str

  @abc.abstractmethod
  def __len__(self) -> int: ...

  @abc.abstractmethod
  def _draw(self, index: int, rng: np.random.Generator) -> Choice: ...

  def choose(self, seed: int, epoch: int, index: int) -> Choice:
    """Windows of example `index` in that epoch; the same for the same arguments."""
    return self._draw(index, np.random.default_rng((seed, epoch, index)))


def make_chooser(
  videos: Sequence[Video], fps: int, frames: int, mode: Mode, *, overlap: bool = False, at_event: float = 0
) -> Chooser:
  """Pairs of windows of `frames` frames.

  Args:
    videos: of the dataset.
    fps: frames per second.
    frames: of a window.
    mode: `paper`: both windows around labelled onsets of one video, another onset for the condition, each shifted at
      random by up to half a second. `uniform`: anywhere in one video, where an event is if there are labels. `outside`:
      the target as in `uniform`, the condition likewise in another video (the paper's random condition).
    overlap: the windows of a pair may overlap; otherwise they are a window apart, and videos without the room for that
      give no pair.
    at_event: share of the windows, 0 to 1, that begin on purpose in the frame of an event, where there are such. The
      paper's evaluation has no others, and of those drawn at any time they are few.
  """
  windows = _Windows(videos, fps, frames, at_event)
  match mode:
    case "paper":
      return OnsetPairs(windows, overlap=overlap)
    case "uniform":
      return UniformPairs(windows, overlap=overlap)
    case "outside":
      return OutsidePairs(windows)
  raise ValueError(f"pairs are {', '.join(MODES)}, not {mode}")


def make_clips(videos: Sequence[Video], fps: int, frames: int, *, at_event: float = 0) -> Chooser:
  """Single windows; as for `make_chooser`."""
  return Clips(_Windows(videos, fps, frames, at_event))


class _Windows:
  """Windows of `frames` frames of some videos, by where they start.

  Attributes:
    holds: of each video, whether the window from each start holds a labelled event, bool [starts].
  """

  def __init__(self, videos: Sequence[Video], fps: int, frames: int, at_event: float):
    self.videos, self.fps, self.frames = videos, fps, frames
    self.holds = [_holds_event(v, fps, frames) for v in videos]
    self._begins = [_holds_event(v, fps, frames, within=1) for v in videos]
    self._at_event = at_event

  def draw(self, video: int, starts: np.ndarray, rng: np.random.Generator) -> Place:
    """A window from one of `starts`, by chance (`at_event`) one that begins in the frame of an event."""
    begins = starts[self._begins[video][starts]]
    on_purpose = self._at_event and begins.size and rng.random() < self._at_event
    return Place(video, int(rng.choice(begins if on_purpose else starts)))

  def slices(self, starts: Sequence[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """(video, its share of the video's admissible starts) of each example."""
    return [
      (video, part)
      for video, own in enumerate(starts)
      if own.size
      for part in np.array_split(own, min(own.size, self.videos[video].frames // self.frames))
    ]


class Clips(Chooser):
  """Single windows.

  Each video gives one example per whole clip that fits in it, fewer where few starts are admissible. An example owns a
  slice of the video's admissible starts and draws from that slice, so that every epoch covers every video.
  """

  empty = "no video is as long as a window; prepare longer videos"

  def __init__(self, windows: _Windows):
    self._windows, self._slices = windows, windows.slices([_clip_starts(holds) for holds in windows.holds])

  def __len__(self) -> int:
    return len(self._slices)

  def _draw(self, index, rng):
    return Choice(self._windows.draw(*self._slices[index], rng))


class UniformPairs(Chooser):
  """Two windows anywhere in one video; targets are laid out as in `Clips`."""

  empty = "no video has room for two windows; prepare longer videos, or let windows overlap with --config.data.overlap"

  def __init__(self, windows: _Windows, *, overlap: bool):
    self._windows, self._apart = windows, _least_distance(windows.frames, overlap)
    self._slices = windows.slices([_target_starts(holds, self._apart) for holds in windows.holds])

  def __len__(self) -> int:
    return len(self._slices)

  def _draw(self, index, rng):
    target = self._windows.draw(*self._slices[index], rng)
    return Choice(target, self._windows.draw(target.video, self._condition_starts(target), rng))

  def _condition_starts(self, target: Place) -> np.ndarray:
    holds = self._windows.holds[target.video]
    starts = np.flatnonzero(np.abs(np.arange(holds.size) - target.start) >= self._apart)
    with_event = starts[holds[starts]]
    return with_event if with_event.size else starts


class OutsidePairs(Chooser):
  """A window and one of another video."""

  empty = "fewer than two videos are as long as a window; prepare more or longer videos"

  def __init__(self, windows: _Windows):
    self._windows, self._targets = windows, Clips(windows)
    starts = [_clip_starts(holds) for holds in windows.holds]
    self._starts = {video: s for video, s in enumerate(starts) if s.size}

  def __len__(self) -> int:
    return len(self._targets) if len(self._starts) > 1 else 0

  def _draw(self, index, rng):
    target = self._targets._draw(index, rng).target
    video = int(rng.choice([v for v in self._starts if v != target.video]))
    return Choice(target, self._windows.draw(video, self._starts[video], rng))


class OnsetPairs(Chooser):
  """Two windows around labelled onsets of one video; one example per onset that has a partner."""

  empty = (
    "no video has two labelled contacts far enough apart; prepare labelled or longer videos, or choose another"
    " --config.data.mode"
  )

  def __init__(self, windows: _Windows, *, overlap: bool):
    self._windows, self._apart = windows, _least_distance(windows.frames, overlap)
    self._ranges = [_onset_starts(v, windows.fps, windows.frames) for v in windows.videos]
    self._examples = [
      (video, onset)
      for video, ranges in enumerate(self._ranges)
      for onset in range(len(ranges))
      if self._targets(video, onset).size
    ]

  def __len__(self) -> int:
    return len(self._examples)

  def _draw(self, index, rng):
    video, onset = self._examples[index]
    target = self._windows.draw(video, self._targets(video, onset), rng)
    partners = [far for far in self._partners(video, onset, target.start) if far.size]
    return Choice(target, self._windows.draw(video, partners[rng.integers(len(partners))], rng))

  def _targets(self, video: int, onset: int) -> np.ndarray:
    """Starts of the target that leave some other onset a window far enough away."""
    starts = np.arange(*self._ranges[video][onset])
    others = np.delete(self._ranges[video], onset, axis=0)
    near, far = others[:, :1], others[:, 1:] - 1
    reachable = (near <= starts - self._apart) | (far >= starts + self._apart)
    return starts[reachable.any(axis=0)]

  def _partners(self, video: int, onset: int, target: int) -> list[np.ndarray]:
    """For each other onset the starts that are far enough from the target's."""
    others = np.delete(self._ranges[video], onset, axis=0)
    return [starts[np.abs(starts - target) >= self._apart] for starts in (np.arange(*r) for r in others)]


def event_frame(time_s: float, fps: int) -> int:
  """Frame during which an event happens."""
  # The nudge keeps a time written as k / fps in frame k.
  return int(np.floor(time_s * fps + 1e-6))


def _holds_event(video: Video, fps: int, frames: int, within: int | None = None) -> np.ndarray:
  """Whether the window from each start holds a labelled event, if so said in its first frames, bool [starts]."""
  holds = np.zeros(max(0, video.frames - frames + 1), bool)
  for event in video.events:
    frame = event_frame(event.time_s, fps)
    holds[max(0, frame - (within or frames) + 1) : max(0, frame + 1)] = True
  return holds


def _onset_starts(video: Video, fps: int, frames: int) -> np.ndarray:
  """Range of starts [first, past the last) of windows around each event, int [events, 2]; none in too short a video."""
  last = video.frames - frames
  at = np.array([event_frame(event.time_s, fps) for event in video.events], int)
  # Clamped as in the published code: near an end the window stays inside and the onset moves within it.
  first = np.clip(at - round(_INTO_WINDOW_S * fps), 0, max(last, 0))
  ranges = np.stack([first, np.clip(at, 0, max(last, 0)) + 1], axis=1)
  return ranges if last >= 0 else ranges[:0]


def _clip_starts(holds: np.ndarray) -> np.ndarray:
  """Starts of single windows: those with an event, else any."""
  return np.flatnonzero(holds) if holds.any() else np.arange(holds.size)


def _target_starts(holds: np.ndarray, distance: int) -> np.ndarray:
  """Admissible target starts of a pair: with an event in both windows, else in the target, else any.

  Args:
    holds: bool [starts], `_holds_event`.
    distance: least between the starts of both windows.

  Returns:
    int [n], in order; empty where the video has no room for the windows.
  """
  everywhere = np.ones_like(holds)
  for target, condition in ((holds, holds), (holds, everywhere), (everywhere, everywhere)):
    starts = np.flatnonzero(target & _any_at_distance(condition, distance))
    if starts.size:
      return starts
  return np.arange(0)


def _least_distance(frames: int, overlap: bool) -> int:
  """Least distance between the starts of a pair's windows."""
  return 1 if overlap else frames


def _any_at_distance(flags: np.ndarray, distance: int) -> np.ndarray:
  """Whether flags[s] holds for any s with |s - t| >= distance, for every t: bool [starts]."""
  found = np.zeros_like(flags)
  found[distance:] |= np.logical_or.accumulate(flags)[: max(flags.size - distance, 0)]
  found[: max(flags.size - distance, 0)] |= np.logical_or.accumulate(flags[::-1])[::-1][distance:]
  return found
