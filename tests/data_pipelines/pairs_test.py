import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from data_pipelines import pairs
from data_pipelines.builders.events import Event
from data_pipelines.dataset import Video

FPS, W = 15, 30


def video(frames, times=()):
  events = tuple(Event(t, "metal", "hit", "static") for t in times)
  return Video("v", "v.mp4", "", frames, frames / FPS, 0, -(-frames // FPS), events)


def holds(v, start):
  return any(start <= pairs.event_frame(e.time_s, FPS) < start + W for e in v.events)


VIDEOS = st.integers(1, 200).flatmap(
  lambda n: st.lists(st.integers(0, n - 1), max_size=5).map(lambda at: video(n, [k / FPS for k in at]))
)


@hypothesis.given(st.lists(VIDEOS, min_size=1, max_size=3), st.integers(0, 2**32 - 1), st.integers(0, 5), st.booleans())
@hypothesis.settings(max_examples=150, deadline=None)
def test_windows_are_inside_and_apart(videos, seed, epoch, paired):
  chooser = pairs.WindowChooser(videos, FPS, W, paired=paired)
  for index in range(len(chooser)):
    choice = chooser.choose(seed, epoch, index)
    assert choice == chooser.choose(seed, epoch, index)
    frames = videos[choice.video].frames
    assert 0 <= choice.target <= frames - W
    if not paired:
      assert choice.condition is None
      continue
    assert 0 <= choice.condition <= frames - W
    assert abs(choice.target - choice.condition) >= (W if frames >= 2 * W else 1)


@hypothesis.given(VIDEOS, st.integers(0, 1000))
@hypothesis.settings(max_examples=150, deadline=None)
def test_both_windows_hold_an_event_where_possible(v, seed):
  starts = range(max(0, v.frames - W + 1))
  apart = W if v.frames >= 2 * W else 1
  eventful = [s for s in starts if holds(v, s)]
  both = any(abs(s - t) >= apart for s in eventful for t in eventful)
  target_only = any(abs(s - t) >= apart for s in starts for t in eventful)
  chooser = pairs.WindowChooser([v], FPS, W, paired=True)
  for index in range(len(chooser)):
    choice = chooser.choose(seed, 0, index)
    assert holds(v, choice.target) >= (both or target_only)
    assert holds(v, choice.condition) >= both


def test_every_admissible_start_is_drawn():
  v = video(75)
  chooser = pairs.WindowChooser([v], FPS, W, paired=True)
  drawn = {chooser.choose(0, e, i).target for e in range(300) for i in range(len(chooser))}
  assert drawn == {t for t in range(46) if t >= W or t <= 45 - W}
  conditions = {chooser.choose(0, e, 0).condition for e in range(300)}
  assert len(conditions) > 10


def test_clips_with_events_are_preferred():
  v = video(150, [7.0])
  chooser = pairs.WindowChooser([v], FPS, W, paired=False)
  drawn = {chooser.choose(0, e, i).target for e in range(100) for i in range(len(chooser))}
  assert drawn == set(range(105 - W + 1, 106))


def test_epochs_seeds_and_examples_differ():
  chooser = pairs.WindowChooser([video(500)] * 4, FPS, W, paired=True)
  streams = {
    tuple(chooser.choose(seed, epoch, i) for i in range(len(chooser))) for seed in range(3) for epoch in range(3)
  }
  assert len(chooser) == 4 * (500 // W)
  assert len(streams) == 9


def test_an_epoch_covers_a_video():
  chooser = pairs.WindowChooser([video(300)], FPS, W, paired=True)
  targets = [chooser.choose(1, 0, i).target for i in range(len(chooser))]
  assert targets == sorted(targets)
  assert np.diff(targets).max() < 2 * W


@pytest.mark.parametrize(
  ("frames", "paired", "examples"), [(29, False, 0), (30, False, 1), (30, True, 0), (31, True, 1)]
)
def test_short_videos(frames, paired, examples):
  assert len(pairs.WindowChooser([video(frames)], FPS, W, paired=paired)) == examples


@pytest.mark.parametrize("frame", range(0, 1000, 7))
def test_event_on_a_frame_boundary_belongs_to_the_frame_that_starts(frame):
  assert pairs.event_frame(frame / FPS, FPS) == frame
  assert pairs.event_frame((frame + 0.99) / FPS, FPS) == frame
