import dataclasses

import numpy as np
import pytest

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene

SCENES = [draw_scene("train", 0, index) for index in range(30)]


@pytest.mark.parametrize("scene", SCENES[::3], ids=lambda scene: scene.name)
def test_tip_reaches_the_surface_at_the_exact_instant_of_each_stroke(scene):
  tip = Tip(scene)
  at = np.array([s.time_s for s in scene.strokes])
  np.testing.assert_allclose(tip.position(at)[:, 2], 0, atol=1e-9)
  assert (tip.position(at - 0.004)[:, 2] > 5e-4).all()


def test_tip_never_sinks_in_and_touches_only_during_strokes():
  for scene in SCENES:
    time = np.arange(0, scene.duration_s, 1e-3)
    height = Tip(scene).position(time)[:, 2]
    free = np.ones(len(time), bool)
    for s in scene.strokes:
      free &= (time < s.time_s - 0.004) | (time > s.end_s + 0.02)
    assert height.min() >= 0 and height[free].min() > 0 and height.max() < 0.5


def test_scratch_slides_on_the_surface():
  scene = next(s for s in SCENES if s.strokes[0].duration_s)
  stroke = scene.strokes[0]
  time = np.linspace(stroke.time_s + 0.003, stroke.end_s, 200)
  tip = Tip(scene)
  assert tip.position(time)[:, 2].max() < 1e-6
  assert np.ptp(tip.position(time)[:, 0]) > 0.02
  assert tip.slide_speed(time[20:-40]).min() > 0.02


def test_harder_strikes_come_from_higher_and_faster():
  def swing(strength):
    tip = Tip(dataclasses.replace(SCENES[0], strokes=(Stroke(2.0, strength),)))
    height = tip.position(np.linspace(1.6, 2, 400))[:, 2].max()
    return height, tip.position(np.array([2.0 - 1e-3]))[0, 2] / 1e-3

  (low, slow), (high, fast) = swing(0.2), swing(0.9)
  assert high > 1.5 * low and fast > 2 * slow
