import itertools

import numpy as np

from data_pipelines.builders.drumstick import materials, picture, surface
from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH, render_frames
from data_pipelines.builders.drumstick.scene import draw_scene


def tip_pixel(scene, time_s):
  """Where the tip is in the frame at `time_s`, px [2], without the camera's shake (a few px)."""
  return picture._draw_camera(scene.rng("picture")).project(Tip(scene).position(np.array([time_s]))[0])


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
    for stroke in scene.strokes:
      x, y = tip_pixel(scene, stroke.time_s)
      assert 15 < x < WIDTH - 15 and 15 < y < HEIGHT - 15


def test_stick_is_at_the_contact_in_the_nearest_frame_and_not_before():
  changes = []
  for index in range(6):
    scene = draw_scene("train", 0, index)
    stroke = scene.strokes[0]
    nearest = round(stroke.time_s * scene.fps)
    frames = list(itertools.islice(render_frames(scene), nearest + 1))
    x, y = np.round(tip_pixel(scene, stroke.time_s)).astype(int)
    early, before, contact = (
      frames[k][y - 4 : y + 5, x - 4 : x + 5].astype(float) for k in (nearest - 7, nearest - 6, nearest)
    )
    changes.append((np.abs(contact - before).mean(), np.abs(before - early).mean()))
  contact, before = np.median(changes, axis=0)
  assert contact > 12 and contact > 4 * before


def test_every_material_has_a_texture_in_range():
  for row in materials.MATERIALS.values():
    texture = surface.surface_texture(row.look, np.random.default_rng(0))
    assert texture.shape == (surface.SIZE, surface.SIZE, 3) and texture.dtype == np.float32
    assert texture.min() >= 0 and texture.max() <= 255 and texture.std() > 1
