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


def choices(chooser, seed=0, epoch=0):
  """All examples of an epoch, in order."""
  return [chooser.choose(seed, epoch, i) for i in range(len(chooser))]


def inside(place, videos):
  return 0 <= place.start <= videos[place.video].frames - W


@hypothesis.given(
  st.lists(VIDEOS, min_size=1, max_size=3),
  st.integers(0, 2**32 - 1),
  st.sampled_from(pairs.MODES),
  st.booleans(),
  st.sampled_from([0, 0.5, 1]),
)
@hypothesis.settings(max_examples=200, deadline=None)
def test_windows_are_inside_and_apart(videos, seed, mode, overlap, at_event):
  chooser = pairs.make_chooser(videos, FPS, W, mode, overlap=overlap, at_event=at_event)
  drawn = choices(chooser, seed)
  assert drawn == choices(chooser, seed)
  for choice in drawn:
    target, condition = choice.target, choice.condition
    assert inside(target, videos) and inside(condition, videos)
    assert (target.video == condition.video) == (mode != "outside")
    distance = abs(target.start - condition.start)
    if mode == "paper":
      assert distance >= (1 if overlap else W)
    if mode == "uniform":
      assert distance >= (W if videos[target.video].frames >= 2 * W and not overlap else 1)


@hypothesis.given(VIDEOS, st.integers(0, 1000))
@hypothesis.settings(max_examples=150, deadline=None)
def test_both_windows_hold_an_event_where_possible(v, seed):
  starts = range(max(0, v.frames - W + 1))
  apart = W if v.frames >= 2 * W else 1
  eventful = [s for s in starts if holds(v, s)]
  both = any(abs(s - t) >= apart for s in eventful for t in eventful)
  target_only = any(abs(s - t) >= apart for s in starts for t in eventful)
  for choice in choices(pairs.make_chooser([v], FPS, W, "uniform"), seed):
    assert holds(v, choice.target.start) >= (both or target_only)
    assert holds(v, choice.condition.start) >= both


def test_every_admissible_start_is_drawn():
  chooser = pairs.make_chooser([video(75)], FPS, W, "uniform")
  drawn = [choice for epoch in range(300) for choice in choices(chooser, 0, epoch)]
  assert {c.target.start for c in drawn} == {t for t in range(46) if t >= W or t <= 45 - W}
  assert len({c.condition.start for c in drawn}) > 10


def test_paper_pairs_are_around_two_onsets_of_one_video():
  v = video(400, [2.0, 9.0, 20.0])
  chooser = pairs.make_chooser([v, video(400, [3.0])], FPS, W, "paper")
  assert len(chooser) == 3, "an onset without a partner makes no pair"
  targets, conditions = set(), set()
  for epoch in range(200):
    for onset, choice in zip((30, 135, 300), choices(chooser, 1, epoch), strict=True):
      assert onset - 15 <= choice.target.start <= onset
      others = [o for o in (30, 135, 300) if o != onset and o - 15 <= choice.condition.start <= o]
      assert len(others) == 1
      targets.add(choice.target.start - onset)
      conditions.add((onset, others[0]))
  assert targets == set(range(-15, 1)) and len(conditions) == 6


def test_paper_windows_near_the_ends_stay_inside():
  v = video(100, [0.1, 6.6])
  for epoch in range(50):
    for choice in choices(pairs.make_chooser([v], FPS, W, "paper"), 0, epoch):
      assert {choice.target.start, choice.condition.start} <= {0, 1, *range(69, 71)}


def test_onsets_too_close_for_two_windows_make_pairs_only_with_overlap():
  v = video(200, [5.0, 5.2])
  assert len(pairs.make_chooser([v], FPS, W, "paper")) == 0
  assert len(pairs.make_chooser([v], FPS, W, "paper", overlap=True)) == 2


def test_outside_conditions_come_from_all_other_videos():
  videos = [video(100, [1.0]), video(100), video(20), video(60, [2.0])]
  chooser = pairs.make_chooser(videos, FPS, W, "outside")
  seen = {(c.target.video, c.condition.video) for epoch in range(60) for c in choices(chooser, 0, epoch)}
  assert seen == {(a, b) for a in (0, 1, 3) for b in (0, 1, 3) if a != b}
  assert len(pairs.make_chooser(videos[:1], FPS, W, "outside")) == 0


def test_clips_with_events_are_preferred():
  chooser = pairs.make_clips([video(150, [7.0])], FPS, W)
  drawn = {c.target.start for epoch in range(100) for c in choices(chooser, 0, epoch)}
  assert drawn == set(range(105 - W + 1, 106))


AT = tuple(range(3, 240, 15))


def begin_share(chooser):
  """Of targets and of conditions, how many begin in a frame of `AT`."""
  drawn = [choice for epoch in range(200) for choice in choices(chooser, 0, epoch)]
  places = [[c.target for c in drawn], [c.condition for c in drawn if c.condition]]
  return [np.mean([p.start in AT for p in of]) for of in places if of]


@pytest.mark.parametrize("mode", [*pairs.MODES, "clips"])
def test_so_many_windows_begin_in_the_frame_of_an_event(mode):
  # In each of the parts of a video that an example draws from.
  videos = [video(240, [frame / FPS for frame in AT])] * 2
  make = pairs.make_clips if mode == "clips" else lambda *args, **more: pairs.make_chooser(*args, mode, **more)
  by_chance = begin_share(make(videos, FPS, W))
  half = begin_share(make(videos, FPS, W, at_event=0.5))
  assert max(by_chance) < 0.2
  np.testing.assert_allclose(half, 0.5 + 0.5 * np.array(by_chance), atol=0.1)


def test_all_windows_that_can_begin_in_the_frame_of_an_event():
  chooser = pairs.make_clips([video(30 * 4, [20 / FPS])], FPS, W, at_event=1)
  starts = [choice.target.start for choice in choices(chooser)]
  assert 20 in starts, "where there is one"
  assert len(set(starts)) == len(chooser) > 1, "elsewhere any"


def test_epochs_seeds_and_examples_differ():
  chooser = pairs.make_chooser([video(500)] * 4, FPS, W, "uniform")
  streams = {tuple(choices(chooser, seed, epoch)) for seed in range(3) for epoch in range(3)}
  assert len(chooser) == 4 * (500 // W)
  assert len(streams) == 9


def test_an_epoch_covers_a_video():
  targets = [c.target.start for c in choices(pairs.make_chooser([video(300)], FPS, W, "uniform"))]
  assert targets == sorted(targets)
  assert np.diff(targets).max() < 2 * W


@pytest.mark.parametrize(("frames", "clips", "pairs_"), [(29, 0, 0), (30, 1, 0), (59, 1, 0), (60, 2, 2)])
def test_short_videos(frames, clips, pairs_):
  assert len(pairs.make_clips([video(frames)], FPS, W)) == clips
  assert len(pairs.make_chooser([video(frames)], FPS, W, "uniform")) == pairs_


def test_an_unknown_mode_is_refused():
  with pytest.raises(ValueError, match="paper, uniform, outside, not random"):
    pairs.make_chooser([], FPS, W, "random")


@pytest.mark.parametrize("frame", range(0, 1000, 7))
def test_event_on_a_frame_boundary_belongs_to_the_frame_that_starts(frame):
  assert pairs.event_frame(frame / FPS, FPS) == frame
  assert pairs.event_frame((frame + 0.99) / FPS, FPS) == frame
