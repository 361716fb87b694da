import shutil
import subprocess
import sys

import av
import numpy as np
import pytest
from scipy import signal

from data_pipelines import media
from data_pipelines.builders import events
from data_pipelines.builders.drumstick import render
from data_pipelines.builders.drumstick.acoustics import render_sound
from data_pipelines.builders.drumstick.picture import render_frames
from data_pipelines.builders.drumstick.render import Coding, draw_coding, render_videos, write_mp4
from data_pipelines.builders.drumstick.scene import draw_scene
from data_pipelines.errors import InputError


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
  out = tmp_path_factory.mktemp("world")
  seen = []
  paths = render_videos(out, split="test", seed=4, count=2, workers=1, progress=lambda *done: seen.append(done))
  assert seen == [(1, 2), (2, 2)]
  return paths


def test_files_have_their_names_and_nothing_else_is_left(rendered):
  assert [p.name for p in rendered] == ["drumstick-v1-test-4-0000.mp4", "drumstick-v1-test-4-0001.mp4"]
  names = {p.name for p in rendered[0].parent.iterdir()}
  assert names == {p.name for p in rendered} | {events.times_path(p).name for p in rendered}


def test_media_have_the_scenes_rate_and_length(rendered):
  for index, path in enumerate(rendered):
    scene, info = draw_scene("test", 4, index), media.probe(path)
    assert info.has_audio and (info.width, info.height) == (256, 192)
    assert info.fps == pytest.approx(float(scene.fps), rel=1e-4)
    assert info.duration_s == pytest.approx(scene.duration_s, abs=2e-3)


def test_decoded_sound_is_where_it_was_rendered_and_as_loud(rendered):
  for index, path in enumerate(rendered):
    scene = draw_scene("test", 4, index)
    rendered_, decoded = render_sound(scene), media.decode_audio(path, scene.sample_rate)
    size = min(len(rendered_), len(decoded))
    together = signal.correlate(decoded[:size], rendered_[:size], "same")
    assert abs(np.argmax(together) - size // 2) <= 1
    assert np.std(decoded) == pytest.approx(np.std(rendered_), rel=0.01)


def test_decoded_frames_are_the_rendered_ones_in_their_places(rendered):
  scene = draw_scene("test", 4, 1)
  with av.open(str(rendered[1])) as file:
    decoded = np.array([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)], np.float32)
  made = np.array(list(render_frames(scene)), np.float32)
  assert len(decoded) == len(made) == scene.frames
  own = np.abs(decoded[1:-1] - made[1:-1]).mean(axis=(1, 2, 3))
  for other in (made[:-2], made[2:]):
    moved = np.abs(made[1:-1] - other).mean(axis=(1, 2, 3))
    most = moved > np.quantile(moved, 0.8)
    away = np.abs(decoded[1:-1] - other).mean(axis=(1, 2, 3))
    assert np.all(own[most] < away[most]) and own.mean() < away.mean()
  grey = np.abs((decoded - made).mean(axis=(0, 3)))
  assert grey.max() < 12


def test_events_are_to_the_microsecond(rendered):
  for index, path in enumerate(rendered):
    told, scene = events.read_events(events.times_path(path)), draw_scene("test", 4, index)
    assert told == scene.events() and len(told) > 3
    assert any(e.time_s * 1000 % 1 for e in told)


def test_compression_differs_between_videos():
  drawn = [draw_coding(draw_scene("train", 0, index)) for index in range(50)]
  assert min(c.crf for c in drawn) < 21 and max(c.crf for c in drawn) > 29
  assert len({c.bit_rate for c in drawn}) == 50


def test_bytes_repeat_whatever_the_number_of_workers(rendered, tmp_path):
  again = render_videos(tmp_path, split="test", seed=4, count=2, workers=2)
  for old, new in zip(rendered, again, strict=True):
    assert old.read_bytes() == new.read_bytes()
    assert events.times_path(old).read_bytes() == events.times_path(new).read_bytes()


def test_what_is_there_is_kept_and_counted(rendered, monkeypatch):
  monkeypatch.setattr(render, "render_scene", lambda *_: pytest.fail("rendered again"))
  seen = []
  kept = render_videos(
    rendered[0].parent, split="test", seed=4, count=2, workers=1, progress=lambda *done: seen.append(done)
  )
  assert kept == rendered and seen == [(1, 2), (2, 2)]


def _cut_off(path):
  path.write_bytes(path.read_bytes()[:-1000])


def _shorten(path):
  scene = draw_scene("test", 4, 0)
  write_mp4(
    path, [np.zeros((192, 256, 3), np.uint8)] * 9, scene.fps, np.zeros(9999, np.float32), 22050, Coding(30, 9999)
  )


def _remove_events(path):
  events.times_path(path).unlink()


def _edit_events(path):
  told = events.times_path(path)
  told.write_text(told.read_text().replace("\n", "\n1.0 wood hit static\n", 1))


def _garble_events(path):
  events.times_path(path).write_text("what is this\n")


@pytest.mark.parametrize("damage", [_cut_off, _shorten, _remove_events, _edit_events, _garble_events])
def test_a_video_that_is_not_whole_is_rendered_again(rendered, tmp_path, monkeypatch, damage):
  for path in rendered:
    shutil.copy(path, tmp_path)
    shutil.copy(events.times_path(path), tmp_path)
  damage(tmp_path / rendered[0].name)
  again = []
  monkeypatch.setattr(render, "_render_into", lambda out, aside, *scene: again.append(scene))
  render_videos(tmp_path, split="test", seed=4, count=2, workers=1)
  assert again == [("test", 4, 0)]


def test_worlds_are_not_mixed_and_folders_are_no_videos(rendered, tmp_path):
  with pytest.raises(InputError, match=r"0000\.mp4: is of another split, seed or version"):
    render_videos(rendered[0].parent, split="test", seed=5, count=1, workers=1)
  events.times_path(tmp_path / rendered[1].name).mkdir()
  with pytest.raises(InputError, match=r"0001_times\.txt: a folder has the name"):
    render_videos(tmp_path, split="test", seed=4, count=2, workers=1)
  assert len(list(tmp_path.iterdir())) == 1


def test_workers_do_not_import_jax():
  code = "import sys, data_pipelines.builders.drumstick.render; sys.exit('jax' in sys.modules)"
  assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
