import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import records
from data_pipelines.builders.events import Event

EVENTS = st.builds(
  Event,
  st.floats(min_value=0, max_value=1e4),
  st.sampled_from(["metal", "plastic-bag", "None"]),
  st.sampled_from(["hit", "scratch"]),
  st.text(max_size=5),
)


def segment(**changes):
  fields = {
    "video": "vidéo 1", "segment": 3, "fps": 2, "sample_rate": 4, "video_frames": 8, "valid_frames": 1,
    "frames": (b"a", b"b"), "audio": np.array([-32768, -1, 0, 32767], np.int16), "events": (),
    "source": "vidéo 1.mp4", "source_sha256": "ab" * 32,
  }  # fmt: skip
  return records.Segment(**{**fields, **changes})


@given(st.lists(EVENTS, max_size=4))
@settings(max_examples=40, deadline=None)
def test_segment_comes_back_exactly(events):
  original = segment(events=tuple(events))
  record = records.encode(original)
  back = records.decode(record)
  np.testing.assert_array_equal(back.audio, original.audio)
  assert dataclasses.replace(back, audio=None) == dataclasses.replace(original, audio=None)
  assert records.encode(back) == record


def test_picture_keeps_colours_and_place():
  picture = np.zeros((32, 32, 3), np.uint8)
  picture[:16, :, 0] = 200
  picture[16:, :16, 2] = 150
  back = records.decode_frame(records.encode_frame(picture)).astype(int)
  assert back.shape == (32, 32, 3)
  assert np.abs(back - picture).mean() < 3
  np.testing.assert_allclose(back[8, 8], [200, 0, 0], atol=6)
  np.testing.assert_allclose(back[24, 6], [0, 0, 150], atol=6)


@given(st.integers(1, 20).map(lambda half: 2 * half), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_grey_pictures_of_any_even_side_come_back_nearly_exactly(side, seed):
  grey = np.random.default_rng(seed).integers(0, 256, (side, side, 1), np.uint8).repeat(3, 2)
  back = records.decode_frame(records.encode_frame(grey)).astype(int)
  assert np.abs(back - grey).max() <= 2


@pytest.mark.parametrize("planes", [b"", b"12345", bytes(3 * 3 * 3 // 2)])
def test_what_is_no_picture_is_refused(planes):
  with pytest.raises(ValueError, match=f"a picture of {len(planes)} bytes"):
    records.decode_frame(planes)


def test_pcm_clips_and_comes_back():
  audio = np.array([-2, -1, -0.5, 0, 0.25, 1, 2], np.float32)
  np.testing.assert_allclose(records.from_pcm(records.to_pcm(audio)), audio.clip(-1, 1), atol=1 / 32768)
  assert records.from_pcm(records.to_pcm(audio)).dtype == np.float32
