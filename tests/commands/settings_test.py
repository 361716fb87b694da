"""Examples as a user names them, and the stretches of the query that they are for."""

from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from condfoley_jax.commands.settings import SHORTEST_S, Example, bounds, parse_example
from data_pipelines.errors import InputError

QUERY = Path("q.mp4")


@pytest.mark.parametrize(
  ("text", "meant"),
  [
    ("a.mp4", Example(Path("a.mp4"))),
    ("a.mp4@0-4", Example(Path("a.mp4"), None, 0.0, 4.0)),
    ("a.mp4@4.5-", Example(Path("a.mp4"), None, 4.5)),
    ("me@home.mp4", Example(Path("me@home.mp4"))),
    ("me@1-2.mp4", Example(Path("me@1-2.mp4"))),
    ("me@1-2.mp4@3-4", Example(Path("me@1-2.mp4"), None, 3.0, 4.0)),
    ("@0-4", Example(Path("@0-4"))),
    ("-a.mp4@0-", Example(Path("-a.mp4"), None, 0.0)),
  ],
)
def test_what_a_name_means(text, meant):
  assert parse_example(text) == meant


def test_a_file_of_that_very_name_is_meant(tmp_path):
  path = tmp_path / "a@0-4"
  path.touch()
  assert parse_example(str(path)) == Example(path)


@pytest.mark.parametrize("stretch", ["", "a-b", "4", "4-b", "-4"])
def test_what_follows_a_file_and_is_no_stretch_is_one_line(tmp_path, stretch):
  path = tmp_path / "a.wav"
  path.touch()
  with pytest.raises(InputError, match=f"a.wav@{stretch}: `{stretch}` is no stretch"):
    parse_example(f"{path}@{stretch}")


def _examples(*stretches):
  return [Example(Path(f"{i}.mp4"), None, *stretch) for i, stretch in enumerate(stretches)]


@pytest.mark.parametrize(
  ("stretches", "told"),
  [
    ([(1.0, None)], "from 0 to 1 s there is no example; let each"),
    ([(0.0, 4.0)], "from 4 to 10.00 s there is no example; leave out where"),
    ([(0.0, 4.0), (5.0, None)], "from 4 to 5 s there is no example"),
    ([(0.0, 4.0), (3.0, None)], "from 3 to 4 s there is more than one example"),
    ([(0.0, 4.0), (4.0, 4.2), (4.2, None)], "1.mp4 is for 0.20 s of 10.00"),
    ([(0.0, 12.0), (12.0, None)], "1.mp4 is for 0.00 s of 10.00"),
    ([(0.0, 4.0), (4.0, 3.0)], "1.mp4 is for 0.00 s"),
  ],
)
def test_stretches_that_do_not_fit_are_one_line(stretches, told):
  with pytest.raises(InputError) as raised:
    bounds(QUERY, 10.0, _examples(*stretches))
  assert str(raised.value).startswith("q.mp4: ") and told in str(raised.value) and "\n" not in str(raised.value)


@hypothesis.given(st.lists(st.integers(3, 40), min_size=1, max_size=5), st.booleans())
def test_stretches_in_a_row_meet_where_they_were_named(tenths, open_end):
  ends = [sum(tenths[: i + 1]) / 10 for i in range(len(tenths))]
  starts = [0.0, *ends[:-1]]
  stretches = list(zip(starts, ends, strict=True))
  if open_end:
    stretches[-1] = (starts[-1], None)
  found = bounds(QUERY, ends[-1], _examples(*stretches))
  assert found == starts[1:]
  assert all(end - start >= SHORTEST_S - 1e-9 for start, end in zip(starts, ends, strict=True))
