"""Stretches with examples of their own: where they meet, and what is kept of each."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from condfoley_jax.clip import MINI
from condfoley_jax.sampling import long_video
from condfoley_jax.sampling.generate import Takes
from condfoley_jax.sampling.rerank import Sync
from condfoley_jax.sampling.spans import Joined, Section, spans

RATE, PER_FRAME = MINI.sample_rate, MINI.samples_per_frame


def _made(span, level):
  """One take of a stretch: its level, with as many segments as it has clips."""
  frames = span.end - span.first
  segments = [(a, min(a + MINI.frames, frames)) for a in range(0, frames, MINI.frames)]
  sync = Sync(np.full((1, len(segments)), 0.1 * level), np.full((1, len(segments)), level))
  audio = np.full((1, frames * PER_FRAME), level, np.float32)
  return Takes(audio, None, np.full(frames, level), sync, segments)


@hypothesis.given(st.lists(st.integers(4, 60), min_size=1, max_size=4))
def test_every_sample_is_of_one_stretch_and_levels_meet_smoothly(tenths):
  meets = [sum(tenths[: i + 1]) / 10 for i in range(len(tenths) - 1)]
  frames = round(sum(tenths) / 10 * MINI.fps)
  found = spans(meets, frames, MINI)
  audio = np.zeros((1, frames * PER_FRAME), np.float32)
  joined = Joined(audio, frames, MINI)
  for i, span in enumerate(found):
    joined.add(span, _made(span, i + 1.0))
  takes = joined.takes()
  edges = [0, *(round(m * RATE) for m in meets), frames * PER_FRAME]
  for i, (start, stop) in enumerate(itertools.pairwise(edges)):
    middle = takes.audio[0, start + 300 : stop - 300]
    np.testing.assert_allclose(middle, i + 1.0)
  # One fades in as the other fades out: their sum never leaves what is between the two.
  assert takes.audio.min() >= 1 - 1e-5 and takes.audio.max() <= len(found) + 1e-5
  assert np.abs(np.diff(takes.audio[0])).max() < 0.01
  assert takes.segments[0][0] == 0 and takes.segments[-1][1] == frames
  assert takes.syncs.offset_s.shape == (1, len(takes.segments))


def test_a_section_shows_its_own_frames_and_holds_its_last():
  frames = np.arange(100, dtype=np.uint8)[:, None, None, None]
  span = spans([2.0], 100, MINI)[1]
  section = Section(long_video.Held(frames), span)
  assert len(section) == 100 - span.first
  np.testing.assert_array_equal(section.read(0, 3).ravel(), span.first + np.arange(3))
  np.testing.assert_array_equal(section.read(len(section) - 1, 3).ravel(), [99] * 3)
  first = spans([2.0], 100, MINI)[0]
  shown = Section(long_video.Held(frames), first).read(first.end - 2, 4).ravel()
  np.testing.assert_array_equal(shown, [first.end - 2, *[first.end - 1] * 3])


def test_one_stretch_is_the_whole():
  (span,) = spans([], 45, MINI)
  assert span == (0, 45, 0, 45 * PER_FRAME)
  joined = Joined(np.zeros((1, 45 * PER_FRAME), np.float32), 45, MINI)
  joined.add(span, _made(span, 1.0))
  assert joined.takes().audio == pytest.approx(1.0)
