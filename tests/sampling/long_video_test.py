"""Queries made stretch by stretch are those made as a whole."""

import numpy as np
import pytest

from condfoley_jax.clip import MINI
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import generate, long_video
from condfoley_jax.sampling.generate import Example, Generator, Job
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights.folder import Weights
from tests import small


@pytest.fixture(scope="module")
def generator():
  return Generator(Weights(MINI, Conventions(detail_frames=7, mel_passes=1), small.parts(), "none"))


class Streamed(long_video.Held):
  """Frames that are gone once they are forgotten."""

  def __init__(self, frames):
    super().__init__(frames)
    self.oldest, self.most = 0, 0

  def read(self, first, count):
    assert first >= self.oldest
    self.most = max(self.most, first + count - self.oldest)
    return super().read(first, count)

  def forget(self, first):
    self.oldest = max(self.oldest, first)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [150, 121])
def test_codes_sound_and_scores_are_those_of_the_whole(generator, frames, monkeypatch):
  monkeypatch.setattr(long_video, "CLIPS", 2)
  rng = np.random.default_rng(0)
  pictures = lambda n: rng.integers(0, 256, (n, MINI.frame_size, MINI.frame_size, 3), np.uint8)
  example = Example(pictures(MINI.frames), rng.uniform(-0.5, 0.5, MINI.samples).astype(np.float32))
  query, seeds = pictures(frames), [3, 4, 5, 6]
  # Two takes are made at a time, and scored.
  monkeypatch.setattr(generate, "_TAKES", 2)
  heard, score = [], long_video._score
  monkeypatch.setattr(long_video, "_score", lambda *a, **k: heard.append(a[3].shape[1]) or score(*a, **k))
  (whole,) = generator.make([Job(query, example, seeds)], Sampling())
  told, source = [], Streamed(query)
  made = generator.make_long(source, example, Sampling(), seeds, progress=lambda *of: told.append(of))
  np.testing.assert_array_equal(made.grids, whole.grids)
  np.testing.assert_allclose(made.seen, whole.seen, atol=1e-5)
  assert made.segments == whole.segments
  # At the very end a stretch goes on with the last codes, where a whole of whole clips has nothing more.
  end = -MINI.samples // 4
  np.testing.assert_allclose(made.audio[:, :end], whole.audio[:, :end], atol=2e-3)
  level = [np.sqrt(np.mean(takes.audio[:, end:] ** 2)) for takes in (made, whole)]
  assert level[0] == pytest.approx(level[1], rel=0.3)
  np.testing.assert_allclose(np.array(made.syncs)[..., :-2], np.array(whole.syncs)[..., :-2], atol=2e-3)
  assert told == sorted(told) and told[-1] == (frames, frames) and len(told) > 1
  assert source.most <= 8 * 30, "no more than a stretch and its neighbours are held"
  assert set(heard) == {2}
  # Any of the segments by itself, of sound and pictures of which what is around differs.
  for number in (0, 2, len(whole.segments) - 1):
    start, end = whole.segments[number]
    other, silent = query.copy(), np.zeros_like(whole.audio)
    other[:start], other[end:] = 0, 0
    part = slice(start * MINI.samples_per_frame, end * MINI.samples_per_frame)
    silent[:, part] = whole.audio[:, part]
    found = generator.score(Streamed(other), whole.seen, silent, [(start, end)])
    np.testing.assert_allclose(np.array(found)[..., 0], np.array(whole.syncs)[..., number], atol=1e-4)
