"""What of a long query is in memory, and what no memory or disk holds."""

import os
import shutil
import tempfile

import numpy as np
import pytest

from condfoley_jax.clip import MINI
from condfoley_jax.commands import maker
from condfoley_jax.commands.settings import Example, Settings
from condfoley_jax.sampling.generate import Generator, Job, Takes
from condfoley_jax.sampling.rerank import Sync
from data_pipelines import media
from data_pipelines.errors import InputError
from tests.commands import corpus


@pytest.fixture(scope="module")
def made_by(small_weights):
  return maker.Maker(small_weights, Settings())


def _silence(job: Job) -> Takes:
  frames, scores = len(job.frames), np.zeros((1, 1), np.float32)
  audio = np.zeros((1, frames * MINI.samples_per_frame), np.float32)
  return Takes(audio, None, np.zeros(frames, np.float32), Sync(scores, scores), [(0, frames)])


def test_frames_of_a_long_query_are_let_go_stretch_by_stretch(made_by, videos, monkeypatch, tmp_path):
  """Also where each of them is short and made as a whole."""
  monkeypatch.setattr(Generator, "is_long", lambda self, frames: frames > 1.5 * MINI.fps)
  monkeypatch.setattr(Generator, "make", lambda self, jobs, sampling: [_silence(job) for job in jobs])
  stretches = [Example(videos[1], None, start, start + 1.0) for start in range(3)]
  request = made_by.read(corpus.video("q.mp4", seconds=3)(tmp_path), Settings(tuple(stretches)))
  held, read = [], media.FrameReader.read

  def watched(self, first, count):
    frames = read(self, first, count)
    held.append(len(self._held))
    return frames

  monkeypatch.setattr(media.FrameReader, "read", watched)
  made_by.begin([request])()
  assert len(held) == 3 and max(held) <= 1.2 * MINI.fps


@pytest.mark.parametrize(("takes", "fit"), [(8, True), (9, False)])
def test_a_stretch_of_all_takes_of_a_long_query_is_to_fit_into_memory(
  made_by, videos, takes, fit, monkeypatch, tmp_path
):
  monkeypatch.setattr(Generator, "is_long", lambda self, frames: True)
  query = corpus.video("q.mp4", seconds=3)(tmp_path)
  examples = tuple(Example(videos[1], None, start, start + 1.0) for start in range(3))
  room = maker._COPIES * 4 * MINI.sample_rate * 8 * 1.2
  monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": room}[name])
  if fit:
    assert len(made_by.read(query, Settings(examples, candidates=takes)).seeds) == takes
  else:
    with pytest.raises(InputError, match=r"q\.mp4: 9 takes of 1\.1 s need .* choose fewer --candidates"):
      made_by.read(query, Settings(examples, candidates=takes))


def test_a_disk_is_not_filled_before_it_is_found_too_small(monkeypatch):
  monkeypatch.setattr(maker, "_IN_MEMORY", 0)
  monkeypatch.setattr(tempfile, "TemporaryFile", lambda: pytest.fail("written"))
  free = shutil.disk_usage(tempfile.gettempdir()).free
  with pytest.raises(InputError, match=r"no room for .* GiB of sound .*free some, or name another folder in TMPDIR"):
    maker._zeros((2, free // 4))
