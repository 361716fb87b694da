import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.builders import events
from data_pipelines.errors import InputError

EVENTS = st.builds(
  events.Event,
  time_s=st.floats(0, 1e4, allow_nan=False).map(lambda t: round(t, 6)),
  material=st.sampled_from((*events.MATERIALS, events.UNKNOWN)),
  action=st.sampled_from((*events.ACTIONS, events.UNKNOWN)),
  reaction=st.sampled_from(("static", "deform", "scatter", events.UNKNOWN)),
)


@given(st.lists(EVENTS, max_size=20))
def test_events_file_round_trip(tmp_path_factory, listed):
  path = tmp_path_factory.mktemp("events") / "a_times.txt"
  events.write_events(path, listed)
  assert events.read_events(path) == listed
  assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_line_reads_as_greatest_hits_writes_it(tmp_path):
  path = tmp_path / "a_times.txt"
  path.write_text("1.234 metal hit static\n\n2.5 None None None\n")
  assert events.read_events(path) == [
    events.Event(1.234, "metal", "hit", "static"),
    events.Event(2.5, "None", "None", "None"),
  ]


@pytest.mark.parametrize(
  "line",
  [
    "metal hit static",
    "1.0 metal hit",
    "-1 metal hit static",
    "nan metal hit static",
    "1_0 metal hit static",
    "x metal hit static",
    "1 jelly hit static",
  ],
)
def test_unusable_line_names_file_and_line(tmp_path, line):
  path = tmp_path / "a_times.txt"
  path.write_text(f"1.0 wood hit static\n{line}\n")
  with pytest.raises(InputError, match=r"a_times\.txt.*line 2") as caught:
    events.read_events(path)
  assert "\n" not in str(caught.value)


def test_missing_or_binary_file_is_an_input_error(tmp_path):
  with pytest.raises(InputError, match="none_times"):
    events.read_events(tmp_path / "none_times.txt")
  (tmp_path / "b_times.txt").write_bytes(b"\xff\xfe\x00\x80")
  with pytest.raises(InputError, match="b_times"):
    events.read_events(tmp_path / "b_times.txt")


def test_there_are_17_materials_in_the_data_sets_order():
  assert len(events.MATERIALS) == 17 and list(events.MATERIALS) == sorted(events.MATERIALS)
  assert events.times_path(pathlib.Path("x/take.1.mp4")) == pathlib.Path("x/take.1_times.txt")
