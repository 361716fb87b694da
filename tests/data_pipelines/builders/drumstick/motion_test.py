import dataclasses
import itertools

import numpy as np
import pytest

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene

SCENES = [draw_scene("train", 0, index) for index in range(68)]


def height(scene, tip, time_s):
  """Of the tip over the thing, m."""
  position = tip.position(time_s)
  return position[:, 2] - scene.thing.top(position[:, :2])


@pytest.mark.parametrize("scene", SCENES[::3], ids=lambda scene: scene.name)
def test_tip_reaches_the_thing_at_the_exact_instant_of_each_stroke(scene):
  tip = Tip(scene)
  at = np.array([s.time_s for s in scene.strokes])
  np.testing.assert_allclose(height(scene, tip, at), 0, atol=1e-9)
  assert (height(scene, tip, at - 0.004) > 4e-4).all()


def test_tip_never_sinks_in_and_touches_only_during_strokes():
  for scene in SCENES:
    time = np.arange(0, scene.duration_s, 1e-3)
    over = height(scene, Tip(scene), time)
    free = np.ones(len(time), bool)
    for s in scene.strokes:
      free &= (time < s.time_s - 0.004) | (time > s.end_s + 0.02)
    assert over.min() >= -1e-9 and over[free].min() > 0 and over.max() < 0.5


def test_scratches_slide_on_the_thing_to_and_fro():
  seen = 0
  for scene in SCENES:
    tip, strokes = Tip(scene), [s for s in scene.strokes if s.duration_s]
    sweeps = []
    for stroke in strokes:
      time = np.linspace(stroke.time_s + 0.003, stroke.end_s, 200)
      assert np.abs(height(scene, tip, time)).max() < 2e-3
      assert tip.slide_speed(time[40:-40]).min() > 0.02
      first, last = tip.position(time[[0, -1]])[:, :2]
      swept = np.abs(scene.thing.local(tip.position(time)[:, :2]))
      assert (swept <= 0.49 * np.array([scene.thing.length, scene.thing.width])).all()
      sweeps.append(last - first)
    seen += len(sweeps)
    assert all(a @ b < 0 for a, b in itertools.pairwise(sweeps))
  assert seen > 50


def test_harder_strikes_come_from_higher_and_faster():
  def swing(strength):
    scene = dataclasses.replace(SCENES[0], strokes=(Stroke(2.0, strength),))
    over = height(scene, Tip(scene), np.linspace(1.6, 2, 400))
    return over.max(), over[-2] / (0.4 / 399)

  (low, slow), (high, fast) = swing(0.2), swing(0.9)
  assert high > 1.5 * low and fast > 2 * slow
