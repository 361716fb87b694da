import dataclasses
import itertools

import numpy as np
import pytest

from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, render_frames
from data_pipelines.builders.drumstick.picture import relief as maps
from data_pipelines.builders.drumstick.picture.camera import CANVAS, contacts, draw_camera
from data_pipelines.builders.drumstick.picture.distractors import draw_distractors
from data_pipelines.builders.drumstick.picture.frames import Stage, compose
from data_pipelines.builders.drumstick.picture.sensor import Sensor
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene
from data_pipelines.builders.drumstick.things import Thing

FORMS = [(name, form) for name, row in sorted(MATERIALS.items()) for form in row.forms]


class NoShadow:
  def cover(self, points):
    return np.zeros(CANVAS, np.uint8)


def tip_pixel(stage_or_camera, tip, time_s):
  """Where the tip is on the canvas, px [2]."""
  return stage_or_camera.project(tip.position(np.array([time_s]))[0])


def test_there_are_as_many_frames_as_planned():
  scene = dataclasses.replace(draw_scene("train", 0, 3), frames=3)
  assert len(list(render_frames(scene))) == 3


def test_frames_repeat_and_differ_between_videos():
  first, again, other = (
    np.stack(list(itertools.islice(render_frames(draw_scene("train", 0, index)), 3))) for index in (0, 0, 1)
  )
  assert first.shape == (3, HEIGHT, WIDTH, 3) and first.dtype == np.uint8
  np.testing.assert_array_equal(first, again)
  assert (first != other).mean() > 0.5


def test_tip_is_in_the_picture_at_every_contact():
  for index in range(60):
    scene = draw_scene("train", 0, index)
    streams, tip = scene.rng("picture").spawn(9), Tip(scene)
    camera, sensor = draw_camera(contacts(scene, tip), streams[0]), Sensor(streams[7])
    for stroke in scene.strokes:
      matrix = sensor.matrix(stroke.time_s)
      x, y = matrix[:, :2] @ tip_pixel(camera, tip, stroke.time_s) + matrix[:, 2]
      assert 15 < x < WIDTH - 15 and 15 < y < HEIGHT - 15


def test_stick_is_at_the_contact_in_the_nearest_frame_and_not_before():
  changes = []
  for index in range(10, 17):
    scene = draw_scene("train", 0, index)
    stage = Stage(scene)
    stage.distractors, stage.shadow = [], NoShadow()
    time_s = scene.strokes[0].time_s
    x, y = np.round(tip_pixel(stage.camera, stage.tip, time_s)).astype(int)
    lit, dim = stage.still.lit.copy(), stage.still.dim.copy()
    early, before, contact = (
      compose(stage, lit, dim, t)[y - 4 : y + 5, x - 4 : x + 5].astype(float)
      for t in (time_s - 0.23, time_s - 0.2, time_s)
    )
    changes.append((np.abs(contact - before).mean(), np.abs(before - early).mean()))
  contact, before = np.median(changes, axis=0)
  assert contact > 12 and contact > 4 * before


def test_clutter_is_common_and_never_before_a_contact():
  found = 0
  for index in range(12):
    stage = Stage(draw_scene("val", 0, index))
    found += len(stage.clutter) > 0
    spots = contacts(stage.scene, stage.tip)
    x, y = np.round(stage.camera.project(spots)).astype(int).T
    assert np.all(stage.still.kind[y, x] != maps.CLUTTER)
    level = stage.still.world[y, x][:, :2] - spots[:, :2]
    assert np.median(np.hypot(*level.T)) < 0.02  # the pixel shows the spot itself
  assert found > 4


@pytest.mark.parametrize(("material", "form"), FORMS, ids=[f"{m}-{f.shape}" for m, f in FORMS])
def test_every_form_of_every_material_is_drawn(material, form):
  scene = draw_scene("val", 0, FORMS.index((material, form)))
  length, aspect, height = form.length[0], form.aspect[0], form.height[1]
  reaction = MATERIALS[material].reactions[0]
  thing = Thing(material, form.shape, length, length * aspect, height, form.wall[0], 0.4, reaction)
  scene = dataclasses.replace(scene, thing=thing, frames=4, strokes=(Stroke(1.0, 0.5),))
  stage = Stage(scene)
  canvas = compose(stage, stage.still.lit.copy(), stage.still.dim.copy(), 0.0)
  for picture in (stage.still.lit, stage.still.dim, stage.sensor.frame(canvas, 0.0, 1.0, 0)):
    assert picture.dtype == np.uint8 and picture.std() > 2
  assert np.isfinite(stage.still.world).all()
  assert stage.still.lit.mean() > stage.still.dim.mean() + 2
  kinds = (maps.WATER,) if material == "water" else (maps.THING,)
  x, y = np.round(tip_pixel(stage.camera, stage.tip, scene.strokes[0].time_s)).astype(int)
  assert np.isin(stage.still.kind[y - 1 : y + 2, x - 1 : x + 2], kinds).any()


def test_distractors_move_in_half_of_the_videos_and_make_no_event():
  stage = Stage(draw_scene("val", 0, 2))
  lit, dim = stage.still.lit, stage.still.dim
  drawn = [draw_distractors(stage.camera, stage.light, 1.0, np.random.default_rng(k)) for k in range(40)]
  assert 0.3 < np.mean([len(some) > 0 for some in drawn]) < 0.75
  moved = {}
  for other in itertools.chain(*drawn):
    pictures = []
    for time_s in (0.0, 0.4, 2.1):
      cover = other.shade(np.zeros(lit.shape[:2], np.uint8), time_s)
      picture = lit - (lit.astype(float) - dim) * cover[..., None] / 255
      picture = (picture * other.gain(time_s)).clip(0, 255).astype(np.uint8)
      other.paint(picture, time_s)
      pictures.append(picture.astype(float))
    change = max(np.abs(p - pictures[0]).max() for p in pictures[1:])
    moved[type(other).__name__] = max(moved.get(type(other).__name__, 0), change)
  assert len(moved) == 6 and min(moved.values()) > 4
  assert [e.time_s for e in stage.scene.events()] == [s.time_s for s in stage.scene.strokes]
