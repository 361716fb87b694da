import dataclasses
import itertools

import numpy as np
import pytest

from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture.bends import Rings
from data_pipelines.builders.drumstick.picture.camera import CANVAS
from data_pipelines.builders.drumstick.picture.frames import Stage, compose
from data_pipelines.builders.drumstick.picture.pieces import GRAVITY, draw_flight
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene

HIT = Stroke(1.0, 0.9)


class NoArm:
  """An arm that is out of the picture, and its shadow."""

  def exposed(self, start_s, length_s):
    return np.array([start_s])

  def points(self, times):
    return ()

  def paint(self, canvas, times):
    """Nothing."""

  def paint_mirrored(self, canvas, times, mirror):
    """Nothing."""

  def cover(self, points):
    return np.zeros(CANVAS, np.uint8)


def scene_of(material, reaction, strokes=(HIT,)):
  """A scene of that material and reaction, struck as given."""
  scenes = (draw_scene("val", 0, k) for k in itertools.count())
  scene = next(s for s in scenes if (s.thing.material, s.thing.reaction) == (material, reaction))
  return dataclasses.replace(scene, strokes=strokes)


def canvases(scene, times):
  """Stage and canvases at those times, without arm and distractors."""
  stage = Stage(scene)
  stage.arm = stage.shadow = NoArm()
  stage.distractors = []
  lit, dim = stage.still.lit.copy(), stage.still.dim.copy()
  return stage, [compose(stage, lit, dim, t).astype(float) for t in times]


def change_near_contact(stage, before, after, half=22):
  x, y = np.round(stage.camera.project(stage.tip.position(np.array([HIT.time_s]))[0])).astype(int)
  where = (slice(max(0, y - half), y + half), slice(max(0, x - half), x + half))
  return np.abs(after[where] - before[where]).max()


@pytest.mark.parametrize(
  ("material", "reaction"),
  [
    ("cloth", "deform"),
    ("plastic-bag", "deform"),
    ("carpet", "deform"),
    ("gravel", "scatter"),
    ("leaf", "scatter"),
    ("dirt", "scatter"),
    ("water", "splash"),
    ("paper", "rigid-motion"),
    ("ceramic", "rigid-motion"),
  ],
)
def test_reaction_changes_the_picture_after_the_contact_only(material, reaction):
  stage, (still, before, after) = canvases(scene_of(material, reaction), (0.2, 0.99, 1.06))
  np.testing.assert_array_equal(still, before)
  assert change_near_contact(stage, before, after) > 10


@pytest.mark.parametrize("material", ["rock", "wood", "drywall"])
def test_static_things_do_not_react(material):
  _, (before, after, late) = canvases(scene_of(material, "static"), (0.99, 1.06, 2.5))
  np.testing.assert_array_equal(before, after)
  np.testing.assert_array_equal(before, late)


def test_soft_things_keep_folds_and_water_calms_down():
  stage, (before, late) = canvases(scene_of("cloth", "deform"), (0.9, 3.5))
  assert change_near_contact(stage, before, late) > 8
  _, (before, late) = canvases(scene_of("water", "splash"), (0.9, 4.5))
  np.testing.assert_array_equal(before, late)


def test_harder_strikes_bend_more():
  changes = []
  for strength in (0.15, 1.0):
    scene = scene_of("cloth", "deform", (Stroke(1.0, strength),))
    _, (before, after) = canvases(scene, (0.99, 1.03))
    changes.append(np.abs(after - before).mean())
  assert changes[1] > 1.8 * changes[0] > 0


@pytest.mark.parametrize(("material", "reaction"), [("gravel", "scatter"), ("water", "splash"), ("leaf", "scatter")])
def test_pieces_fly_freely_from_the_strike_until_they_are_down(material, reaction):
  scene = scene_of(material, reaction)
  tip = Tip(scene)
  flight = draw_flight(scene, tip, np.random.default_rng(0))
  assert not len(flight.flying(0.999)) and not len(flight.flying(3.0))
  which = flight.flying(1.02)
  assert len(which) > 5
  spot, times = tip.position(np.array([1.0]))[0], 1.0 + 0.01 * np.arange(1, 4)
  which = which[flight.lasts[which] > 0.05]
  z = np.stack([flight.position(which, t) for t in times])
  np.testing.assert_allclose(np.diff(z, 2, axis=0)[0] / 1e-4, [[0, 0, -GRAVITY]] * len(which), atol=1e-5)
  assert np.linalg.norm(flight.position(which, 1.02) - spot, axis=-1).max() < 0.06
  assert np.all(flight.position(which, 9.0)[:, 2] <= spot[2] + 1e-6)
  assert set(flight.landed(0.0, 9.0)) == set(range(len(flight.start)))


def test_scratch_throws_pieces_all_along_and_harder_hits_throw_more():
  scene = scene_of("dirt", "scatter", (Stroke(1.0, 1.0, 0.4),))
  flight = draw_flight(scene, Tip(scene), np.random.default_rng(0))
  assert np.ptp(flight.start) > 0.25
  counts = []
  for strength in (0.15, 1.0):
    scene = scene_of("dirt", "scatter", tuple(Stroke(1.0 + 0.5 * k, strength) for k in range(5)))
    counts.append(len(draw_flight(scene, Tip(scene), np.random.default_rng(0)).start))
  assert counts[1] > 2.5 * counts[0]


def test_fallen_leaves_stay_where_they_fell():
  _, (before, late, later) = canvases(scene_of("leaf", "scatter"), (0.9, 3.0, 4.0))
  np.testing.assert_array_equal(late, later)
  assert (np.abs(late - before).max(axis=-1) > 20).sum() > 30


def test_rings_run_out_from_the_contact():
  stage = Stage(scene_of("water", "splash"))
  rings = next(b for b in stage.bends if isinstance(b, Rings))
  spot = stage.tip.position(np.array([1.0]))[0]
  away = np.hypot(rings._x - spot[0], rings._y - spot[1])
  reach = []
  for time_s in (1.1, 1.3, 1.5):
    size = np.hypot(*rings.slope(time_s)) * (away < 0.4)
    reach.append((size * away).sum() / size.sum())
  assert rings.slope(0.99) is None
  assert reach[0] < reach[1] < reach[2] and 0.08 < (reach[2] - reach[0]) / 0.4 < 0.6
