import dataclasses

import numpy as np
import pytest

from data_pipelines.builders.drumstick.debris import Debris
from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene


def debris_of(material, stroke):
  scene = dataclasses.replace(draw_scene("train", 0, 0), material=material, strokes=(stroke,))
  return Debris(scene, Tip(scene), np.random.default_rng(0)), Tip(scene)


@pytest.mark.parametrize("material", ["gravel", "water"])
def test_pieces_fly_up_from_the_strike_and_fall_back(material):
  debris, tip = debris_of(material, Stroke(2.0, 0.8))
  assert not debris.flying(1.999) and not debris.flying(2.5)
  pieces = debris.flying(2.02)
  spot = tip.position(np.array([2.0]))[0]
  assert len(pieces) > 3
  assert all(p[2] > 0 and np.linalg.norm(p - spot) < 0.05 for p, _ in pieces)


def test_scratch_throws_pieces_all_along():
  debris, _ = debris_of("leaf", Stroke(2.0, 0.9, 0.8))
  assert debris.flying(2.1) and debris.flying(2.7)


def test_solid_surfaces_throw_nothing():
  debris, _ = debris_of("wood", Stroke(2.0, 0.8))
  assert not any(debris.flying(t) for t in np.linspace(1.9, 2.5, 60))
