import cv2
import numpy as np
import pytest

from data_pipelines.builders import unpacked
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees
from tests.data_pipelines.media import making


@pytest.mark.parametrize("resize", ["area", "bicubic"])
def test_pictures_come_in_order(tmp_path, resize):
  frames = unpacked.read_pictures(trees.pictures(tmp_path / "frames", 20), 15, 32, resize=resize)
  assert frames.shape == (20, 32, 32, 3) and frames.dtype == np.uint8
  assert making.indices(frames).tolist() == list(range(20))


@pytest.mark.parametrize(("fps", "shown"), [(5, [1, 4, 7]), (30, [0, 0, 1, 1, 2, 2]), (24, [0, 0, 1])])
def test_other_rates_show_the_picture_of_the_middle_of_each_frame(tmp_path, fps, shown):
  frames = unpacked.read_pictures(trees.pictures(tmp_path / "frames", 9), fps, 32, resize="area")
  assert len(frames) == round(9 / 15 * fps)
  assert making.indices(frames)[: len(shown)].tolist() == shown


def test_colours_are_not_swapped(tmp_path):
  folder = trees.pictures(tmp_path / "frames", 1)
  cv2.imwrite(str(folder / "frame000001.jpg"), np.full((8, 8, 3), (0, 0, 255), np.uint8))  # OpenCV's red
  red, green, blue = unpacked.read_pictures(folder, 15, 4, resize="area")[0, 0, 0]
  assert red > 200 and green < 50 and blue < 50


def test_unusable_pictures_are_named(tmp_path):
  folder = trees.pictures(tmp_path / "frames", 3)
  (folder / "frame000002.jpg").write_bytes(b"no picture")
  with pytest.raises(InputError, match=r"frame000002\.jpg: is no JPEG"):
    unpacked.read_pictures(folder, 15, 8, resize="area")
  (folder / "frame000002.jpg").write_bytes(b"")
  with pytest.raises(InputError, match=r"frame000002\.jpg: is no JPEG"):
    unpacked.read_pictures(folder, 15, 8, resize="area")
  (folder / "frame000002.jpg").unlink()
  with pytest.raises(InputError, match=r"frame000002\.jpg: missing, later pictures are there"):
    unpacked.list_pictures(folder)
  with pytest.raises(InputError, match=r"no frame000001\.jpg in it"):
    unpacked.list_pictures(tmp_path)


def test_sound_is_mixed_resampled_cut_and_padded(tmp_path):
  path = trees.wav(tmp_path / "a.wav", 1.0)
  short = unpacked.read_sound(path, 22050, 11025)
  assert short.shape == (11025,) and short.dtype == np.float32
  assert short[1000:-1000] == pytest.approx(0.125, abs=1e-3)
  long = unpacked.read_sound(path, 22050, 44100)
  assert long.shape == (44100,) and not long[22050:].any()
  assert unpacked.read_sound(path, 96000, 96000) == pytest.approx(0.125)


def test_unusable_sound_is_named(tmp_path):
  with pytest.raises(InputError, match=r"none\.wav: no such file"):
    unpacked.read_sound(tmp_path / "none.wav", 22050, 1)
  (tmp_path / "a.wav").write_text("no sound")
  with pytest.raises(InputError, match=r"a\.wav: cannot be read as sound; give a wav") as caught:
    unpacked.read_sound(tmp_path / "a.wav", 22050, 1)
  assert trees.one_line(caught)
  with pytest.raises(InputError, match=r"b\.wav: no sound in it"):
    unpacked.read_sound(trees.wav(tmp_path / "b.wav", 0), 22050, 1)
  with pytest.raises(InputError, match=r"c\.wav: 0\.5 s of sound to 2\.0 s of pictures; check"):
    unpacked.read_sound(trees.wav(tmp_path / "c.wav", 0.5), 22050, 44100)
