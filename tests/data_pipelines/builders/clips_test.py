import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.builders import clips
from data_pipelines.errors import InputError
from data_pipelines.pairs import event_frame
from tests.data_pipelines.builders import trees

VIDEOS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1)


@given(VIDEOS, st.integers(0, 10**9))
def test_sample_clip_round_trip(video, sample):
  clip = clips.parse_sample_clip(f"{video}_{sample}", "list")
  assert (clip.video, round(clip.start_s * 22050)) == (video, sample)


@pytest.mark.parametrize("frame", range(0, 1000, 7))
def test_times_of_whole_frames_that_were_rounded_are_exact(frame):
  assert event_frame(clips.exact(round(frame / 15, 4)), 15) == frame
  assert clips.exact(frame / 15) == frame / 15


@given(st.floats(0, 1e4).filter(lambda time_s: 1e-3 < time_s * 15 % 1 < 1 - 1e-3))
def test_other_times_stay(time_s):
  assert clips.exact(time_s) == time_s


@given(VIDEOS, st.integers(0, 10**7))
def test_second_clip_round_trip(video, ticks):
  text = f"{video}_{ticks / 10000:.4f}"
  clip = clips.parse_second_clip(text, "list")
  assert f"{clip.video}_{clip.start_s:.4f}" == text


@pytest.mark.parametrize("text", ["", "a", "a_", "_5", "a_-5", "a_1.5", "a_x", "a_²", "a_1e3"])
def test_no_sample_clip(text):
  with pytest.raises(InputError, match=r"my list: .*<video>_<sample>.*fetch"):
    clips.parse_sample_clip(text, "my list")


@pytest.mark.parametrize("text", ["", "a", "a_", "_5", "a_-5", "a_nan", "a_inf", "a_x"])
def test_no_second_clip(text):
  with pytest.raises(InputError, match=r"my list: .*<video>_<second>.*fetch"):
    clips.parse_second_clip(text, "my list")


def test_reads_a_list_in_its_order(tmp_path):
  path = trees.write_json(tmp_path / "l.json", ["2015-03-12-18-38-49_271215", "b_c_0"])
  assert clips.read_clips(path, "fetch it") == [clips.Clip("2015-03-12-18-38-49", 12.3), clips.Clip("b_c", 0.0)]
