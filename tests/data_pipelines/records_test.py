import contextlib
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import records
from data_pipelines.builders.events import Event

INT64 = st.integers(-(2**63), 2**63 - 1)
EVENTS = st.builds(Event, st.floats(allow_nan=False), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))


@st.composite
def _segments(draw):
  frames = draw(st.lists(st.binary(max_size=9), max_size=3).map(tuple))
  audio = np.array(draw(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=9)), np.int16)
  return records.Segment(
    video=draw(st.text(max_size=9)),
    segment=draw(INT64),
    fps=len(frames),
    sample_rate=len(audio),
    video_frames=draw(INT64),
    valid_frames=draw(INT64),
    frames=frames,
    audio=audio,
    events=draw(st.lists(EVENTS, max_size=4).map(tuple)),
    source=draw(st.text(max_size=9)),
    source_sha256=draw(st.text(max_size=9)),
  )


SEGMENTS = _segments()


@given(SEGMENTS)
@settings(max_examples=100, deadline=None)
def test_any_segment_comes_back_exactly(original):
  record = records.encode(original)
  back = records.decode(record)
  np.testing.assert_array_equal(back.audio, original.audio)
  assert dataclasses.replace(back, audio=None) == dataclasses.replace(original, audio=None)
  assert records.encode(back) == record


@given(SEGMENTS, INT64.filter(lambda version: version != records.SCHEMA_VERSION))
@settings(max_examples=30, deadline=None)
def test_a_record_of_another_schema_is_refused(segment, version):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(records, "SCHEMA_VERSION", version)
    record = records.encode(segment)
  with pytest.raises(ValueError, match=rf"schema \[{version}\], expected {records.SCHEMA_VERSION}"):
    records.decode(record)


@given(SEGMENTS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_record_is_read_or_refused_and_nothing_else(segment, data):
  record = bytearray(records.encode(segment))
  at = data.draw(st.integers(0, len(record) - 1))
  record[at] ^= data.draw(st.integers(1, 255))
  with contextlib.suppress(ValueError):
    assert isinstance(records.decode(bytes(record)), records.Segment)


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_what_is_no_segment_is_refused(record):
  with pytest.raises(ValueError, match=r"no segment of a video|schema"):
    records.decode(record)


@pytest.mark.parametrize("change", [{"fps": 2}, {"sample_rate": 4}])
def test_a_record_without_all_its_frames_or_samples_is_refused(change):
  whole = records.Segment("v", 0, 1, 3, 1, 1, (b"",), np.zeros(3, np.int16), (), "s", "h")
  assert records.decode(records.encode(whole)).frames == (b"",)
  with pytest.raises(ValueError, match=r"no segment of a video \(1 frames, 3 samples\)"):
    records.decode(records.encode(dataclasses.replace(whole, **change)))


def test_picture_keeps_colours_and_place():
  picture = np.zeros((32, 32, 3), np.uint8)
  picture[:16, :, 0] = 200
  picture[16:, :16, 2] = 150
  (back,) = records.decode_frames([records.encode_frame(picture)]).astype(int)
  assert back.shape == (32, 32, 3)
  assert np.abs(back - picture).mean() < 3
  np.testing.assert_allclose(back[8, 8], [200, 0, 0], atol=6)
  np.testing.assert_allclose(back[24, 6], [0, 0, 150], atol=6)


@given(st.integers(1, 20).map(lambda half: 2 * half), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_grey_pictures_of_any_even_side_come_back_nearly_exactly(side, seed):
  grey = np.random.default_rng(seed).integers(0, 256, (side, side, 1), np.uint8).repeat(3, 2)
  (back,) = records.decode_frames([records.encode_frame(grey)]).astype(int)
  assert np.abs(back - grey).max() <= 2


@pytest.mark.parametrize("planes", [b"", b"12345", bytes(3 * 3 * 3 // 2)])
def test_what_is_no_picture_is_refused(planes):
  with pytest.raises(ValueError, match=f"a picture of {len(planes)} bytes"):
    records.decode_frames([planes])


def test_pictures_of_two_sizes_are_refused():
  planes = [records.encode_frame(np.zeros((side, side, 3), np.uint8)) for side in (16, 32)]
  with pytest.raises(ValueError, match="a picture of 1536 bytes"):
    records.decode_frames(planes)


def test_pcm_clips_and_comes_back():
  audio = np.array([-2, -1, -0.5, 0, 0.25, 1, 2], np.float32)
  np.testing.assert_allclose(records.from_pcm(records.to_pcm(audio)), audio.clip(-1, 1), atol=1 / 32768)
  assert records.from_pcm(records.to_pcm(audio)).dtype == np.float32
