"""Pictures and sound that cannot be decoded: which are told of, what is shown and heard instead, what is refused."""

import numpy as np
import pytest

from data_pipelines import media
from data_pipelines.errors import InputError
from data_pipelines.media import decode
from tests.data_pipelines.media import making


@pytest.fixture(params=[1, 3, 16], autouse=True)
def threads(request, monkeypatch):
  """As on machines of so many cores."""
  monkeypatch.setattr(decode, "_THREADS", request.param)


def _scrambled(folder, count, numbers, *, fps=30, **options):
  whole = making.write(folder / "whole.mp4", making.constant(fps, count), **options)
  return making.scramble(whole, folder / "damaged.mp4", numbers)


_FAST = {"preset": "ultrafast"}


@pytest.mark.parametrize("numbers", [range(20, 25), [58, 59], [59], [2, 57]])
def test_the_times_are_those_of_the_damaged_pictures(tmp_path, numbers):
  path, damaged_s = _scrambled(tmp_path, 60, numbers, options=_FAST), []
  frames = media.decode_frames(path, 30, 16, damaged_s=damaged_s)
  assert damaged_s == pytest.approx([number / 30 for number in numbers], abs=1e-3)
  assert len(frames) == 60
  with pytest.raises(InputError, match=r"damaged\.mp4: truncated, damaged"):
    media.decode_frames(path, 30, 16)


def test_all_other_pictures_are_shown(tmp_path):
  path, damaged_s = _scrambled(tmp_path, 15, [3], options=_FAST | {"g": "1"}), []
  frames = media.decode_frames(path, 30, 16, damaged_s=damaged_s)
  np.testing.assert_array_equal(making.indices(frames), [0, 1, 2, 2, *range(4, 15)])
  assert damaged_s == pytest.approx([0.1])


@pytest.mark.parametrize(
  ("suffix", "codec", "options"),
  [
    (".mp4", "libx264", {"g": "20", "bf": "3"}),
    (".mp4", "libx265", {"x265-params": "log-level=none:keyint=20"}),
    (".mp4", "libvpx-vp9", {"g": "20"}),
  ],
)
def test_a_span_and_a_reader_give_what_one_thread_gives(tmp_path, monkeypatch, suffix, codec, options):
  whole = making.write(tmp_path / f"whole{suffix}", making.constant(30, 120), codec=codec, options=options, ticks=1000)
  path = making.scramble(whole, tmp_path / f"damaged{suffix}", [13, 70, 71, 118])

  def read():
    reader, found = media.FrameReader(path, 15, 16, damaged_s=(damaged_s := [])), []
    frames = reader.read(0, len(reader))
    return frames, damaged_s, media.decode_frames(path, 15, 16, start_s=2.2, duration_s=1.0, damaged_s=found), found

  several = read()
  monkeypatch.setattr(decode, "_THREADS", 1)
  for ours, one in zip(several, read(), strict=True):
    np.testing.assert_array_equal(ours, one)


def test_what_is_damaged_for_long_before_a_span_is_told_once(tmp_path):
  path, damaged_s = _scrambled(tmp_path, 90, range(30, 71), options=_FAST | {"g": "1"}), []
  frames = media.decode_frames(path, 30, 16, start_s=2.2, duration_s=0.5, damaged_s=damaged_s)
  np.testing.assert_array_equal(making.indices(frames), [29] * 5 + [*range(71, 81)])
  assert damaged_s == pytest.approx([number / 30 for number in range(30, 71)], abs=1e-3)


@pytest.mark.parametrize("fps", [30, 60])
def test_most_of_a_whole_video_is_refused(tmp_path, fps):
  path = _scrambled(tmp_path, 120, range(3, 111), fps=fps, options=_FAST | {"g": "3", "bf": "0"})
  with pytest.raises(InputError, match="most of its pictures cannot be decoded"):
    media.decode_frames(path, 15, 16, damaged_s=[])


def test_of_a_damaged_end_the_last_picture_is_held(tmp_path):
  path = _scrambled(tmp_path, 120, range(60, 120), options=_FAST | {"g": "10", "bf": "0"})
  for start_s in (1.9, 2.02, 3.5):
    (frame,) = media.decode_frames(path, 15, 16, start_s=start_s, duration_s=1 / 15, damaged_s=[])
    assert making.indices(frame[None])[0] == min(round((start_s + 1 / 30) * 30), 59)
  with pytest.raises(InputError, match=r"4\.00 s long; choose a start before that"):
    media.decode_frames(path, 15, 16, start_s=4.5, duration_s=1 / 15, damaged_s=[])


def test_damaged_sound_does_not_count_as_pictures(tmp_path):
  sound = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 72000)).astype(np.float32)
  whole = making.write(tmp_path / "whole.mp4", making.constant(15, 22), sound=sound)
  path, damaged_s = making.scramble(whole, tmp_path / "a.mp4", range(2, 60), kind="audio"), []
  media.decode_audio(path, 22050, damaged_s=damaged_s)
  assert len(damaged_s) > 40
  assert len(media.decode_frames(path, 15, 16, damaged_s=damaged_s)) == 22
