import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.builders import folder
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees

ALL = {"train": 1.0}
HEADER = "file,time_s,material,action,reaction\n"


@pytest.fixture
def videos(tmp_path):
  trees.touch(tmp_path, "a.mp4", "kitchen/a.mov", "kitchen/take 1.webm")
  return tmp_path


def labels(folder, text):
  path = folder / "labels.csv"
  path.write_text(text)
  return path


def test_videos_at_any_depth_with_and_without_times(videos):
  trees.touch(videos, "kitchen/a_times.txt")
  sources = folder.sources(videos, "train", shares=ALL)
  assert [s.id for s in sources] == ["a", "kitchen/a", "kitchen/take 1"]
  assert [len(s.events) for s in sources] == [0, 2, 0]
  assert sources[1].video == videos / "kitchen" / "a.mov"
  assert all(s.audio is s.label is s.span_s is None and not s.denoise for s in sources)


def test_labels_from_csv(videos):
  path = labels(videos, f"\ufeff{HEADER}a.mp4,1.5,wood,hit,static\r\n\nkitchen/take 1.webm,0,,, \na.mp4,0.5,metal,,\n")
  events = [s.events for s in folder.sources(videos, "train", shares=ALL, labels=path)]
  assert events == [
    (Event(1.5, "wood", "hit", "static"), Event(0.5, "metal", "None", "None")),
    (),
    (Event(0.0, "None", "None", "None"),),
  ]


def test_columns_may_come_in_another_order(videos):
  path = labels(videos, "action,file,reaction,time_s,material\nhit,a.mp4,static,1,wood\n")
  assert folder.sources(videos, "train", shares=ALL, labels=path)[0].events == (Event(1.0, "wood", "hit", "static"),)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", r"labels\.csv: line 1 is not the header file,time_s,material,action,reaction; add it, with commas"),
    ("file,time_s,material,action,reaction,action\n", r"labels\.csv: line 1 is not the header"),
    ("a.mp4,1,wood,hit,static\n", r"labels\.csv: line 1 is not the header"),
    (f"{HEADER}a.mp4,1,wood,hit,static\nb.mp4,1,wood,hit,static\n", r"labels\.csv: line 3 is of `b\.mp4`, no video of"),
    (f"{HEADER}a.mp4,1,wood,hit\n", r"labels\.csv: line 2 has not 5 columns"),
    (f"{HEADER}a.mp4,1,wood,hit,static,more\n", r"labels\.csv: line 2 has not 5 columns"),
    (f"{HEADER}a.mp4,x,wood,hit,static\n", r"labels\.csv: line 2 has the time x; give seconds"),
    (f"{HEADER}a.mp4,-1,wood,hit,static\n", r"labels\.csv: line 2 has the time -1"),
    (f"{HEADER}a.mp4,1,jelly,hit,static\n", r"labels\.csv: line 2 names no known material"),
    (f'{HEADER}"a.mp4,1,wood,hit,static\n', r"labels\.csv: line 2 is not CSV \(unexpected end of data\)"),
  ],
)
def test_csv_errors_name_file_and_line(videos, text, message):
  with pytest.raises(InputError, match=message) as caught:
    folder.sources(videos, "train", shares=ALL, labels=labels(videos, text))
  assert trees.one_line(caught)


def test_other_bad_input(videos):
  with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
    folder.sources(videos, "train", shares=ALL, labels=videos / "none.csv")
  (videos / "b.csv").write_bytes(b"\xff\xfe\x00")
  with pytest.raises(InputError, match=r"b\.csv: is not UTF-8; save it as that"):
    folder.sources(videos, "train", shares=ALL, labels=videos / "b.csv")
  trees.touch(videos, "a_times.txt")
  with pytest.raises(InputError, match=r"a_times\.txt: the CSV file labels the same video; remove one"):
    folder.sources(videos, "train", shares=ALL, labels=labels(videos, f"{HEADER}a.mp4,1,wood,hit,static\n"))
  trees.touch(videos, "a.mkv")
  with pytest.raises(InputError, match=r"a\.mp4: has the same name as .*a\.mkv; rename or remove"):
    folder.sources(videos, "train", shares=ALL)
  with pytest.raises(InputError, match="no split `val`; choose one of train"):
    folder.sources(videos, "val", shares=ALL)
  (videos / "empty").mkdir()
  with pytest.raises(InputError, match=r"empty: no \.mp4, \.mov, \.mkv, \.webm files in it; put the videos there"):
    folder.sources(videos / "empty", "train", shares=ALL)


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "val": -0.5}, {"train": float("nan")}])
def test_shares_that_do_not_add_up(videos, shares):
  with pytest.raises(InputError, match="make them add up to 1"):
    folder.sources(videos, "train", shares=shares)


def test_splits_are_disjoint_complete_and_do_not_move(tmp_path):
  names = [f"{k:03d}" for k in range(200)]
  trees.touch(tmp_path, *(f"{name}.mp4" for name in names))
  shares = {"train": 0.8, "val": 0.1, "test": 0.1}
  ids = {split: {s.id for s in folder.sources(tmp_path, split, shares=shares)} for split in shares}
  assert sorted(x for split in ids.values() for x in split) == names
  assert 140 < len(ids["train"]) < 180 and ids["val"] and ids["test"]
  trees.touch(tmp_path, *(f"more-{name}.mp4" for name in names))
  assert {s.id for s in folder.sources(tmp_path, "val", shares=shares)} & set(names) == ids["val"]


@given(st.text(), st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any))
def test_every_name_has_a_split_with_a_share(name, weights):
  shares = {str(k): w / sum(weights) for k, w in enumerate(weights)}
  assert shares[folder.split_of(name, shares)] > 0
