"""Videos that tell the time: frame k is red by 2k, sample n is n modulo 2**16."""

import dataclasses
import pathlib

import numpy as np
import pytest

from condfoley_jax.clip import MINI
from data_pipelines import dataset, media, prepare
from data_pipelines.builders.events import Event, read_events, times_path, write_events
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError

SPEC = dataclasses.replace(MINI, frame_resize=16, frame_size=12)
HIT = Event(0.0, "metal", "hit", "static")


def pictures(count: int) -> np.ndarray:
  """uint8 [count, 16, 16, 3]."""
  frames = np.empty((count, SPEC.frame_resize, SPEC.frame_resize, 3), np.uint8)
  frames[..., 0] = (2 * np.arange(count))[:, None, None]
  frames[..., 1:] = 100, 200
  return frames


def sound(first: int, count: int) -> np.ndarray:
  """float32 [count], samples from `first` on."""
  return (((first + np.arange(count)) % 2**16 - 2**15) / 2**15).astype(np.float32)


def start_of(frames: np.ndarray) -> int:
  """First frame of a window, read off its pictures, which it checks to follow one another."""
  red = frames[..., 0].astype(float).mean(axis=(1, 2)) / 2
  start = round((red - np.arange(len(red))).mean())
  np.testing.assert_allclose(red, start + np.arange(len(frames)), atol=0.75)
  np.testing.assert_allclose(frames[..., 1:], np.broadcast_to([100, 200], (*frames.shape[:3], 2)), atol=4)
  return start


def write_videos(
  directory: pathlib.Path, frame_counts: list[int], event_times: list[list[float]]
) -> list[pathlib.Path]:
  """Files that hold a frame count, to be decoded by `stub_media`, with events beside those that have some."""
  paths = []
  for k, (count, times) in enumerate(zip(frame_counts, event_times, strict=True)):
    paths.append(directory / f"video-{k}.mp4")
    paths[-1].write_text(str(count))
    if times:
      write_events(times_path(paths[-1]), [dataclasses.replace(HIT, time_s=t) for t in times])
  return paths


def stub_media(patch: pytest.MonkeyPatch) -> None:
  """Makes `data_pipelines.media` decode the files of `write_videos`; a negative frame count has no sound."""

  class FrameReader:
    def __init__(self, path, fps, size, *, resize):
      assert (fps, size, resize) == (SPEC.fps, SPEC.frame_resize, SPEC.frame_filter)
      self._frames = pictures(abs(int(path.read_text())))

    def __len__(self):
      return len(self._frames)

    def read(self, first, count):
      return self._frames[first : first + count]

    def forget(self, first):
      pass

  def decode_audio(path, sample_rate, *, duration_s):
    if path.read_text().startswith("-"):
      raise InputError(f"{path}: has no audio stream; add one")
    return sound(0, round(sample_rate * duration_s))

  patch.setattr(media, "FrameReader", FrameReader, raising=False)
  patch.setattr(media, "decode_audio", decode_audio, raising=False)


def prepare_videos(videos, out_dir, *, workers=1, progress=None) -> dataset.Dataset:
  """Prepares files, with the events beside them."""
  beside = [read_events(times_path(v)) if times_path(v).exists() else () for v in videos]
  sources = [Source(id=v.stem, video=v, events=tuple(e)) for v, e in zip(videos, beside, strict=True)]
  mapper = prepare.in_processes(workers)
  return prepare.prepare(lambda: sources, out_dir, SPEC, name="ruler", split="val", mapper=mapper, progress=progress)


def make_dataset(directory: pathlib.Path, frame_counts: list[int], event_times: list[list[float]]) -> pathlib.Path:
  """A prepared dataset of ruler videos; returns its folder."""
  with pytest.MonkeyPatch.context() as patch:
    stub_media(patch)
    videos = write_videos(directory, frame_counts, event_times)
    prepare_videos(videos, directory / "data")
  return directory / "data"
