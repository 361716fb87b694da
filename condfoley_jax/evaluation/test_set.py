"""The trials of a prepared test split: what is seen, what is truly heard, and the example to sound like."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable

import numpy as np
from etils import epath

from condfoley_jax.audio.onsets import detect_onsets
from condfoley_jax.clip import ClipSpec
from condfoley_jax.evaluation.reference_systems import Sound, Trial
from condfoley_jax.sampling.generate import Example
from data_pipelines import dataset
from data_pipelines.builders import protocol
from data_pipelines.builders.clips import Clip, exact, format_second_clip
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError
from data_pipelines.pairs import event_frame


@dataclasses.dataclass(frozen=True)
class Item:
  """One trial.

  Attributes:
    name: of target and example, unique in the test set.
    target: name of the target's clip, which several items share.
    video: of the target; items of one video are not independent.
    example_video: likewise of the example.
    match: the same actions are labelled in target and example; None where none are in one of the two.
    query: uint8 [T, S, S, 3], the target's pictures.
    example: pictures and sound of the example.
    sounds: true sound of the target, sound of the example, their detected onsets, rate.
    material: that of the example's labels, where they have one; else "".
    action: likewise of the target's.
    contacts_s: float64 [n], where contacts are labelled in the target, s from its start.
  """

  name: str
  target: str
  video: str
  example_video: str
  match: bool | None
  query: np.ndarray
  example: Example
  sounds: Trial
  material: str
  action: str
  contacts_s: np.ndarray


class TestSet:
  """Trials of a prepared folder, read one by one.

  Args:
    directory: local or gs://. It holds dataset.json and maybe, there or in `videos/`, the files of the published
      evaluation. Without them its videos are cut into clips that each get three from other videos (`protocol.cover`).
    spec: grid of the models.

  Raises:
    InputError: no prepared data or no trials there, one of a video or a stretch that is not there, or one named twice.
  """

  __test__ = False  # It is no test.

  def __init__(self, directory: str | os.PathLike, spec: ClipSpec):
    self.spec, self.directory = spec, epath.Path(directory)
    self._data = dataset.open_dataset(directory, spec)
    self._videos = {video.id: video for video in self._data.videos}
    lists = _lists(self.directory)
    if lists:
      where, self.trials = lists[0], protocol.read_protocol(lists[0].parent)
    else:
      where = self._data.directory
      self.trials = protocol.cover({v.id: (v.frames, v.events) for v in self._data.videos}, spec.frames, spec.fps)
    if not self.trials:
      raise InputError(f"{where}: no trial; a test split needs 2 videos or more, each of {spec.seconds:g} s or more")
    self.names = [f"{format_second_clip(t.target)}__{format_second_clip(t.condition)}" for t in self.trials]
    self._check(where)
    self.identity = dataset.sha256(self.directory / dataset.FILE_NAME, *lists)[:16]

  def __len__(self) -> int:
    return len(self.trials)

  def __getitem__(self, index: int) -> Item:
    trial = self.trials[index]
    query, target = self._window(trial.target)
    frames, heard = self._window(trial.condition)
    rate = self.spec.sample_rate
    sounds = Trial(_sound(target, rate), _sound(heard, rate), rate)
    wanted = self.spec.example_samples
    return Item(
      name=self.names[index],
      target=format_second_clip(trial.target),
      video=trial.target.video,
      example_video=trial.condition.video,
      match=trial.match,
      query=query,
      example=Example(frames, np.pad(heard, (0, wanted - len(heard)))),
      sounds=sounds,
      material=_only(e.material for e in self._events(trial.condition)),
      action=_only(e.action for e in self._events(trial.target)),
      contacts_s=np.array([e.time_s for e in self._events(trial.target)]) - self._first(trial.target) / self.spec.fps,
    )

  def example_kinds(self) -> list[str]:
    """Of each trial the material of its example, where one is labelled; else the example's video."""
    return [_only(e.material for e in self._events(t.condition)) or t.condition.video for t in self.trials]

  def described(self) -> dict[str, object]:
    """For metrics.json."""
    videos = len({trial.target.video for trial in self.trials})
    told = {"name": self._data.name, "split": self._data.split, "directory": str(self.directory)}
    return told | {"id": self.identity, "items": len(self), "videos": videos}

  def onsets_hz(self) -> float:
    """Contacts a second: those labelled in the whole videos or, where none is, those heard in the targets."""
    videos = self._data.videos
    if labelled := sum(len(v.events) for v in videos):
      return labelled / sum(v.seconds for v in videos)
    targets = {trial.target: self._window(trial.target)[1] for trial in self.trials}
    heard = sum(len(detect_onsets(audio, self.spec.sample_rate)) for audio in targets.values())
    return heard / (len(targets) * self.spec.seconds)

  def _check(self, path: epath.Path) -> None:
    counted = Counter(self.names)
    for name, trial in zip(self.names, self.trials, strict=True):
      for clip in (trial.target, trial.condition):
        if clip.video not in self._videos:
          raise InputError(f"{path}: {clip.video} is not in {self._data.directory}; prepare all videos of the test set")
        if self._first(clip) + self.spec.frames > self._videos[clip.video].frames:
          raise InputError(f"{path}: {format_second_clip(clip)} reaches beyond the video's end; leave it out")
      if counted[name] > 1:
        raise InputError(f"{path}: has {name} twice; remove one of them")

  def _first(self, clip: Clip) -> int:
    """The frame in which a clip begins."""
    return event_frame(exact(clip.start_s), self.spec.fps)

  def _window(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    spec = self.spec
    window = self._data.read_window(self._videos[clip.video], self._first(clip), spec.frames)
    edge = (spec.frame_resize - spec.frame_size) // 2
    inside = slice(edge, edge + spec.frame_size)
    return window.frames[:, inside, inside], window.audio

  def _events(self, clip: Clip) -> list[Event]:
    first = self._first(clip)
    events = self._videos[clip.video].events
    return [e for e in events if 0 <= event_frame(e.time_s, self.spec.fps) - first < self.spec.frames]


def _lists(directory: epath.Path) -> list[epath.Path]:
  """The files that list trials, where there are any."""
  for folder in (directory, directory / "videos"):
    if (folder / protocol.CONDITIONS_FILE).exists():
      return [folder / protocol.CONDITIONS_FILE, folder / protocol.MATCH_FILE]
  return []


def _sound(audio: np.ndarray, rate: int) -> Sound:
  return Sound(audio, detect_onsets(audio, rate))


def _only(labels: Iterable[str | None]) -> str:
  """The label that all share, or ""."""
  found = set(labels)
  return (found.pop() or "") if len(found) == 1 else ""
