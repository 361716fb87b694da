import itertools

import numpy as np
import pytest

from data_pipelines.builders import events
from data_pipelines.builders.drumstick import materials
from data_pipelines.builders.drumstick.scene import FRAME_RATES, SPLITS, draw_scene

SCENES = [draw_scene("train", 0, index) for index in range(60)]


def test_scene_is_a_function_of_split_seed_and_index():
  assert draw_scene("val", 3, 7) == draw_scene("val", 3, 7)
  drawn = [draw_scene(split, seed, index).strokes for split in SPLITS for seed in (0, 1) for index in (0, 1)]
  assert len(set(drawn)) == len(drawn)


def test_streams_of_splits_and_purposes_are_disjoint():
  scenes = [draw_scene(split, seed, index) for split in SPLITS for seed in range(3) for index in range(3)]
  draws = {scene.rng(stream).bytes(16) for scene in scenes for stream in ("plan", "motion", "sound", "picture")}
  assert len(draws) == 4 * len(scenes)


def test_unknown_split_is_refused():
  with pytest.raises(ValueError, match="train, val, test"):
    draw_scene("dev", 0, 0)


def test_strokes_keep_human_intervals_and_stay_inside_the_video():
  for scene in SCENES:
    assert 6 - 0.05 <= scene.duration_s <= 10 + 0.05
    assert scene.strokes[0].time_s >= 0.4 and scene.strokes[-1].end_s <= scene.duration_s - 0.4 + 1e-5
    gaps = [b.time_s - a.end_s for a, b in itertools.pairwise(scene.strokes)]
    assert min(gaps) >= 0.25 - 1e-5 and max(gaps) <= 2.0 + 1e-5
    assert all(0.2 - 1e-6 <= s.duration_s <= 0.8 or s.duration_s == 0 for s in scene.strokes)
    assert len(scene.strokes) / scene.duration_s <= 3.5
  assert np.std([len(s.strokes) for s in SCENES]) > 2


def test_world_has_hits_scratches_mixtures_and_all_rates_and_materials():
  actions = {frozenset(s.action for s in scene.strokes) for scene in SCENES}
  assert actions == {frozenset({"hit"}), frozenset({"scratch"}), frozenset(events.ACTIONS)}
  assert {scene.fps for scene in SCENES} == set(FRAME_RATES)
  count = len(materials.MATERIALS)
  assert {scene.material for scene in SCENES[:count]} == set(materials.MATERIALS) <= set(events.MATERIALS)


def test_events_are_the_strokes():
  scene = SCENES[0]
  assert [(e.time_s, e.material, e.action) for e in scene.events()] == [
    (s.time_s, scene.material, s.action) for s in scene.strokes
  ]
