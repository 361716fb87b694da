import itertools
import pathlib

import numpy as np
import pytest

from data_pipelines.builders import events, hit_records
from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.scene import FRAME_RATES, SPLITS, draw_scene
from data_pipelines.builders.drumstick.things import SHAPES

SCENES = [draw_scene("train", 0, index) for index in range(170)]
ARCHIVE = pathlib.Path(__file__).resolve().parents[5] / "shared" / "annotations" / hit_records.ARCHIVE


def test_scene_is_a_function_of_split_seed_and_index():
  assert draw_scene("val", 3, 7) == draw_scene("val", 3, 7)
  drawn = [draw_scene(split, seed, index).strokes for split in SPLITS for seed in (0, 1) for index in (0, 1)]
  assert len(set(drawn)) == len(drawn)


def test_streams_of_splits_and_purposes_are_disjoint():
  scenes = [draw_scene(split, seed, index) for split in SPLITS for seed in range(3) for index in range(3)]
  draws = {scene.rng(stream).bytes(16) for scene in scenes for stream in ("plan", "motion", "sound", "picture", "file")}
  assert len(draws) == 5 * len(scenes)


def test_no_thing_is_shared_between_splits():
  things = [draw_scene(split, 0, index).thing for split in SPLITS for index in range(100)]
  assert len({t.heading for t in things}) == len({t.length for t in things}) == 300


def test_unknown_split_is_refused():
  with pytest.raises(ValueError, match="train, val, test"):
    draw_scene("dev", 0, 0)


def test_strokes_keep_human_intervals_and_stay_inside_the_video():
  for scene in SCENES:
    assert 6 - 0.05 <= scene.duration_s <= 10 + 0.05
    assert scene.strokes[0].time_s >= 0.4 and scene.strokes[-1].end_s <= scene.duration_s - 0.4 + 1e-5
    for before, after in itertools.pairwise(scene.strokes):
      assert 0.2 - 1e-5 <= after.time_s - before.time_s <= 2.5 + 1e-5
      assert before.duration_s <= 0.75 * (after.time_s - before.time_s) + 1e-5
  assert np.std([len(s.strokes) for s in SCENES]) > 2


def test_every_material_shape_action_and_rate_comes_up():
  actions = {frozenset(s.action for s in scene.strokes) for scene in SCENES}
  assert actions == {frozenset({"hit"}), frozenset({"scratch"}), frozenset(events.ACTIONS)}
  assert {scene.fps for scene in SCENES} == set(FRAME_RATES)
  assert {scene.thing.material for scene in SCENES[:17]} == set(MATERIALS) == set(events.MATERIALS)
  assert {scene.thing.shape for scene in SCENES} == set(SHAPES)
  assert {scene.thing.reaction for scene in SCENES} == {"static", "deform", "scatter", "splash", "rigid-motion"}


def test_events_are_the_strokes():
  scene = SCENES[0]
  assert [(e.time_s, e.material, e.action, e.reaction) for e in scene.events()] == [
    (s.time_s, scene.thing.material, s.action, scene.thing.reaction) for s in scene.strokes
  ]


@pytest.fixture(scope="module")
def real():
  """Events of the real videos, in order of time."""
  if not ARCHIVE.exists():
    pytest.skip(f"no real annotations at {ARCHIVE}")
  return [sorted(e, key=lambda x: x.time_s) for e in hit_records.read_hit_records(ARCHIVE).values()]


def _gaps(videos):
  return np.concatenate([np.diff([e.time_s for e in video]) for video in videos])


def test_intervals_are_those_of_the_real_annotations_off_their_grid(real):
  ours, theirs = _gaps([s.events() for s in SCENES]), _gaps(real)
  grid = np.random.default_rng(0).triangular(-1, 0, 1, len(theirs)) / 15  # Both ends were rounded to 1/15 s.
  at = np.linspace(0.2, 1.5, 53)
  shares = [np.searchsorted(np.sort(x), at) / len(x) for x in (ours, theirs + grid)]
  assert np.abs(shares[0] - shares[1]).max() < 0.08
  assert len(set(np.round(ours * 15 % 1, 1))) == 11  # They do not sit on the grid.


def test_actions_come_as_in_the_real_annotations(real):
  def measured(videos):
    labelled = [[e.action for e in video if e.action in events.ACTIONS] for video in videos]
    pairs = [pair for actions in labelled for pair in itertools.pairwise(actions)]
    again = [np.mean([b == a for a, b in pairs if a == action]) for action in events.ACTIONS]
    return [np.mean([a == "hit" for actions in labelled for a in actions]), *again]

  np.testing.assert_allclose(measured([s.events() for s in SCENES]), measured(real), atol=0.06)
