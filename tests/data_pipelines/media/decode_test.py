from fractions import Fraction

import numpy as np
import pytest

from condfoley_jax.clip import PAPER
from condfoley_jax.models.video_encoder import prepare_frames
from data_pipelines import media
from data_pipelines.errors import InputError
from data_pipelines.media.decode import bicubic
from tests import golden
from tests.data_pipelines.media import making

_VARIABLE = [Fraction(int(ms), 1000) for ms in np.cumsum(np.random.default_rng(0).integers(8, 140, 60))]


def _expected(times_s, fps, start_s, count):
  """Picture shown at each frame's centre, counted from the first picture."""
  since_first = np.array([float(t - times_s[0]) for t in times_s])
  centres = start_s + (np.arange(count) + 0.5) / fps
  return np.maximum(np.searchsorted(since_first, centres + 1e-5, side="right") - 1, 0)


@pytest.mark.parametrize(
  "times_s",
  [
    making.constant(10, 25),
    making.constant(24, 60),
    making.constant(Fraction(30000, 1001), 70),
    making.constant(30, 70),
    making.constant(60, 140),
    _VARIABLE,
    [t + 3 for t in making.constant(24, 60)],
  ],
  ids=["10", "24", "29.97", "30", "60", "variable", "late"],
)
def test_frames_are_those_shown(tmp_path, times_s):
  # Key frames far apart and B-frames, so that the seek has to decode its way to the span.
  path = making.write(tmp_path / "a.mp4", times_s, options={"g": "40", "bf": "3"})
  for span in ({}, {"start_s": 1.3, "duration_s": 0.8}, {"start_s": 1.9, "duration_s": 0.4}):
    frames = media.decode_frames(path, 15, 16, **span)
    duration_s = span.get("duration_s", media.probe(path).duration_s)
    assert frames.shape == (round(duration_s * 15), 16, 16, 3)
    expected = _expected(times_s, 15, span.get("start_s", 0.0), len(frames))
    np.testing.assert_array_equal(making.indices(frames), expected)


def test_a_reader_gives_the_same_frames_and_holds_few(tmp_path):
  path = making.write(tmp_path / "a.mp4", _VARIABLE, options={"g": "40", "bf": "3"})
  whole = media.decode_frames(path, 15, 16)
  reader = media.FrameReader(path, 15, 16)
  assert len(reader) == len(whole)
  for first in range(0, len(whole), 7):
    reader.forget(first)
    found = reader.read(first, 20)
    np.testing.assert_array_equal(found, whole[np.minimum(np.arange(first, first + 20), len(whole) - 1)])
    assert len(reader._held) <= 20
  np.testing.assert_array_equal(reader.read(len(whole) + 3, 2), whole[[-1, -1]])
  with pytest.raises(ValueError, match="frame 0 is forgotten"):
    reader.read(0, 1)


@pytest.mark.parametrize(
  ("suffix", "codec", "size"),
  [(".mkv", "libx264", (48, 64)), (".webm", "libvpx-vp9", (47, 63)), (".webm", "libvpx", (47, 63))],
)
def test_millisecond_time_stamps(tmp_path, suffix, codec, size):
  """mkv rounds to 1 ms: a picture stored 0.3 ms late is still the one shown at its true time."""
  path = making.write(tmp_path / f"a{suffix}", making.constant(30, 60), ticks=1000, codec=codec, size=size)
  for start_s in (0.0, 1.2):
    frames = media.decode_frames(path, 15, 16, start_s=start_s, duration_s=0.8)
    np.testing.assert_array_equal(making.indices(frames), round(start_s * 30) + 2 * np.arange(12) + 1)


def test_upscaling_and_one_frame(tmp_path):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 3))
  frames = media.decode_frames(path, 15, 128, duration_s=0.01)
  assert frames.shape == (1, 128, 128, 3)
  assert making.indices(frames)[0] == 1


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_turned_upright(tmp_path, degrees):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 200)[150:180], rotation=degrees)
  upright = media.decode_frames(path, 15, 16)
  stored = np.rot90(upright, -degrees // 90, axes=(1, 2))
  np.testing.assert_array_equal(making.indices(stored), 2 * np.arange(15) + 1)


def test_edit_list_hides_the_pictures_before_it(tmp_path):
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 60))
  frames = media.decode_frames(making.trim(whole, tmp_path / "a.mp4", Fraction(1, 2)), 30, 16)
  np.testing.assert_array_equal(making.indices(frames), np.arange(15, 60))


def test_last_picture_is_held(tmp_path):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 30))
  np.testing.assert_array_equal(making.indices(media.decode_frames(path, 15, 16, duration_s=3)[15:]), 29)


def test_start_past_the_end(tmp_path):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 30), sound=np.zeros((1, 48000)))
  for span in ({}, {"duration_s": 1.0}):
    with pytest.raises(InputError, match=r"a\.mp4: 1\.\d+ s long"):
      media.decode_frames(path, 15, 16, start_s=5.0, **span)
  with pytest.raises(InputError, match=r"a\.mp4: 1\.\d+ s long"):
    media.decode_audio(path, 22050, start_s=5.0)
  with pytest.raises(ValueError, match="start_s"):
    media.decode_frames(path, 15, 16, start_s=-1.0)


def test_colours(tmp_path):
  """Red, green, blue come out in that order."""
  path = making.write(tmp_path / "a.mp4", making.constant(30, 4), paint=lambda _: np.full((48, 64, 3), (220, 60, 20)))
  assert np.abs(media.decode_frames(path, 15, 16)[0].mean((0, 1)) - (220, 60, 20)).max() < 6


_FORMATS = {
  "mp4 aac": (".mp4", "libx264", "aac", 30000),
  "mov pcm": (".mov", "libx264", "pcm_s16le", 30000),
  "mkv flac": (".mkv", "libx264", "flac", 1000),
  "webm opus": (".webm", "libvpx-vp9", "libopus", 1000),
}


@pytest.mark.parametrize("late_s", [Fraction(0), Fraction(1, 2)])
@pytest.mark.parametrize("kind", _FORMATS)
def test_click_is_at_its_flash(tmp_path, kind, late_s):
  """Stereo 48 kHz, a click and picture 32 (the first strip white) at the same moment."""
  suffix, codec, sound_codec, ticks = _FORMATS[kind]
  times_s = [t + late_s for t in making.constant(30, 60)]
  flash_s = Fraction(32, 30)
  sound = np.zeros((2, 3 * 48000), np.float32)
  sound[:, round((flash_s + late_s) * 48000)] = 0.9
  path = making.write(tmp_path / f"a{suffix}", times_s, codec=codec, ticks=ticks, sound=sound, sound_codec=sound_codec)
  for start_s in (0.0, 0.4):
    heard = media.decode_audio(path, 22050, start_s=start_s, duration_s=1.5)
    assert heard.dtype == np.float32
    assert heard.shape == (33075,)
    assert np.abs(heard).argmax() / 22050 + start_s == pytest.approx(float(flash_s), abs=0.001)
    seen = making.indices(media.decode_frames(path, 30, 16, start_s=start_s, duration_s=1.5))
    assert (seen >= 32).argmax() / 30 + start_s == pytest.approx(float(flash_s), abs=1 / 30)


def test_channels_are_averaged_and_level_kept(tmp_path):
  tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000).astype(np.float32)
  path = making.write(
    tmp_path / "a.mkv", making.constant(30, 30), ticks=1000, sound=np.stack([tone, 0 * tone]), sound_codec="flac"
  )
  heard = media.decode_audio(path, 22050)
  expected = 0.25 * np.sin(2 * np.pi * 1000 * np.arange(heard.size) / 22050)
  np.testing.assert_allclose(heard[2000:-2000], expected[2000:-2000], atol=1e-3)


def test_silence_before_and_after_the_sound(tmp_path):
  """Sound from 0.5 to 1 s in 2 s of video."""
  path = making.write(
    tmp_path / "a.mov",
    making.constant(30, 60),
    sound=np.full((1, 24000), 0.5),
    sound_codec="pcm_s16le",
    sound_start_s=Fraction(1, 2),
  )
  heard = media.decode_audio(path, 48000)
  loud = np.flatnonzero(heard)
  assert heard.size == round(media.probe(path).duration_s * 48000)
  assert (loud[0], loud[-1], loud.size) == (24000, 47999, 24000)


def test_gap_in_the_sound_stays_silent(tmp_path):
  path = making.write(tmp_path / "a.mkv", making.constant(30, 60), ticks=1000)
  making.add_sound_with_gap(path, tmp_path / "gap.mkv")
  heard = np.abs(media.decode_audio(tmp_path / "gap.mkv", 48000, duration_s=2.0))
  assert heard[:24000].min() > 0.4
  assert heard[24100:71900].max() == 0
  assert heard[72100:95900].min() > 0.4


def test_span_equals_slice_of_the_whole():
  for path in making.real_clips():
    whole = media.decode_audio(path, 22050)
    span = media.decode_audio(path, 22050, start_s=3.0, duration_s=2.0)
    np.testing.assert_allclose(span, whole[66150:110250], atol=1e-3)
    frames = media.decode_frames(path, 15, 64, start_s=3.0, duration_s=2.0)
    np.testing.assert_array_equal(frames, media.decode_frames(path, 15, 64, duration_s=6.0)[45:75])


def test_no_sound(tmp_path):
  with pytest.raises(InputError, match=r"a\.mp4: has no audio stream; "):
    media.decode_audio(making.write(tmp_path / "a.mp4", making.constant(30, 5)), 22050)


def test_bicubic_frames_differ_from_area_ones_and_shrink_without_aliasing(tmp_path):
  stripes = np.tile(np.array([[0], [255]], np.uint8), (64, 96))[..., None].repeat(3, 2)
  small = bicubic(stripes, 16)
  assert small.shape == (16, 16, 3) and np.abs(small.astype(int) - 127).max() < 16
  path = making.write(tmp_path / "a.mp4", making.constant(15, 15), size=(96, 128))
  frames = [media.decode_frames(path, 15, 24, duration_s=0.5, resize=r) for r in ("area", "bicubic")]
  assert frames[0].shape == frames[1].shape and 0 < np.abs(frames[0].astype(int) - frames[1]).mean() < 8


@pytest.mark.golden
def test_bicubic_frames_equal_the_published_ones():
  vectors = golden.load("frame.npz")
  small = bicubic(vectors["frame_rgb_u8"], PAPER.frame_resize)
  np.testing.assert_array_equal(small, vectors["resized128_u8"])
  edge = (PAPER.frame_resize - PAPER.frame_size) // 2
  seen = prepare_frames(small[edge:-edge, edge:-edge])
  golden.assert_close(seen, vectors["out"].transpose(1, 2, 0))
