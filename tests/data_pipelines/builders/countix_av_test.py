import json

import pytest

from data_pipelines.builders import countix_av
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees

# "-aaaaaaaa_B" is cut twice; both cuts are in the published training list, one in the published validation list.
TWICE = ["-aaaaaaaa_B_0000_0010", "-aaaaaaaa_B_0007_0017"]
TRAIN = ["trainaaaaa1_0003_0013", *TWICE, "trainaaaaa2_0100_0110"]
VAL, TEST = ["valaaaaaaa1_0001_0011", TWICE[0]], ["testaaaaaa1_0001_0011"]


def timings(start, end):
  return json.dumps({name: [start, end] for name in TRAIN})


@pytest.fixture
def folder(tmp_path):
  trees.countix_lists(tmp_path, train=TRAIN, val=VAL, test=TEST)
  trees.touch(tmp_path, f"{TRAIN[0]}.mp4", f"sawing wood/{TWICE[0]}.webm", f"{TWICE[1]}.mkv", f"x/{TRAIN[3]}.mp4")
  trees.touch(tmp_path, f"{VAL[0]}.mp4", f"{TEST[0]}.mp4")
  return tmp_path


def test_sources_hold_class_and_interval_and_are_denoised(folder):
  one, *_ = countix_av.sources(folder, "published_train")
  assert (one.id, one.video, one.audio) == (TRAIN[0], folder / f"{TRAIN[0]}.mp4", None)
  assert (one.label, one.span_s, one.denoise, one.events) == ("sawing wood", (1.5, 4.0), True, ())
  (test,) = countix_av.sources(folder, "test")
  assert test.label is None and test.span_s == (1.5, 4.0)


def test_published_splits_are_the_lists(folder):
  ids = {s: [x.id for x in countix_av.sources(folder, s)] for s in countix_av.PUBLISHED_SPLITS}
  assert ids == {"published_train": TRAIN, "published_val": VAL, "published_test": TEST}


def test_ours_share_no_youtube_video(folder):
  ids = {s: [x.id for x in countix_av.sources(folder, s)] for s in countix_av.SPLITS}
  assert ids == {"train": [TRAIN[0], TRAIN[3]], "val": VAL, "test": TEST}
  assert countix_av.ids("train", folder) == ids["train"]


def test_videos_that_are_gone_are_left_out(folder):
  (folder / f"{TRAIN[0]}.mp4").unlink()
  assert [x.id for x in countix_av.sources(folder, "train")] == [TRAIN[3]]
  assert countix_av.ids("train", folder) == [TRAIN[0], TRAIN[3]]


def test_layout_of_the_published_code(tmp_path):
  trees.countix_lists(tmp_path / "lists", train=TRAIN, val=VAL, test=TEST)
  trees.touch(tmp_path / "data" / TEST[0], "frames/frame000001.jpg", f"audio/{TEST[0]}_resampled.wav")
  (one,) = countix_av.sources(tmp_path / "data", "test", tmp_path / "lists")
  assert one.video == tmp_path / "data" / TEST[0] / "frames" and one.audio.name == f"{TEST[0]}_resampled.wav"
  assert one.denoise


def test_pictures_without_their_sound_are_left_out_and_told(tmp_path):
  trees.countix_lists(tmp_path, train=TRAIN, val=VAL, test=TEST)
  for name in (TRAIN[0], TRAIN[3]):
    trees.touch(tmp_path / name, "frames/frame000001.jpg")
  with pytest.raises(InputError, match=r"pictures without <id>/audio/<id>_resampled\.wav alone; get"):
    countix_av.sources(tmp_path, "train")
  trees.touch(tmp_path / TRAIN[3], f"audio/{TRAIN[3]}_resampled.wav")
  assert [x.id for x in countix_av.sources(tmp_path, "train")] == [TRAIN[3]]
  report = countix_av.check(tmp_path)
  sound = report.parts[3]
  assert (sound.expected, sound.found, sound.missing) == (2, 1, (TRAIN[0],)) and not report.complete
  assert f"1 of 2; missing: {TRAIN[0]}" in report.text()


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("countixAV_train.json", "[", r"countixAV_train\.json: is not JSON; fetch"),
    ("countixAV_train.json", '["a", "a"]', r"countixAV_train\.json: lists a twice; fetch"),
    ("countixAV_train_timing.json", "{}", rf"train_timing\.json: {TRAIN[0]} has no \[start, end\]"),
    ("countixAV_train_timing.json", timings("4", "1"), "goes from 4.0 to 1.0 s; fetch"),
    ("countixAV_train_timing.json", timings("x", "1"), "has no .start, end."),
    ("countixAV_train_timing.json", timings("0", "nan"), "goes from 0.0 to nan"),
    ("countixAV_train_class.json", '{"a": 1}', r"train_class\.json: the class of a is no text"),
  ],
)
def test_damaged_lists(folder, name, content, message):
  (folder / name).write_text(content)
  with pytest.raises(InputError, match=message) as caught:
    countix_av.sources(folder, "train")
  assert trees.one_line(caught)


def test_other_bad_input(folder):
  with pytest.raises(InputError, match="no split `all`"):
    countix_av.sources(folder, "all")
  trees.touch(folder, f"again/{TRAIN[0]}.webm")
  with pytest.raises(InputError, match=rf"{TRAIN[0]}\.mp4.*rename or remove|{TRAIN[0]}\.webm.*rename or remove"):
    countix_av.sources(folder, "train")
  (folder / "countixAV_test.json").unlink()
  with pytest.raises(InputError, match=r"countixAV_test\.json: no such file; fetch it from"):
    countix_av.sources(folder, "train")


def test_folder_without_its_videos(tmp_path):
  trees.countix_lists(tmp_path, train=TRAIN, val=VAL, test=TEST)
  with pytest.raises(InputError, match="no videos in it; get the named seconds"):
    countix_av.sources(tmp_path, "train")
  trees.touch(tmp_path, "trainaaaaa1.mp4")
  with pytest.raises(InputError, match=r"trainaaaaa1\.mp4 and the others are not named by the lists; get"):
    countix_av.sources(tmp_path, "train")


def test_check_counts_and_names_by_split(folder):
  (folder / f"{VAL[0]}.mp4").unlink()
  (folder / "countixAV_val_class.json").unlink()
  trees.touch(folder, "holiday.mp4")
  report = countix_av.check(folder)
  train, val, test, lists = report.parts
  assert [(p.expected, p.found) for p in (train, val, test)] == [(798, 4), (240, 1), (465, 1)]
  assert (train.missing, val.missing) == ((), (VAL[0],))
  assert (lists.expected, lists.found, lists.missing) == (8, 7, ("countixAV_val_class.json",))
  assert report.unknown == ("holiday.mp4",) and not report.complete
  assert "1 of 240; missing: valaaaaaaa1" in report.text() and "no tool for it" in report.text()


def test_check_without_lists(tmp_path):
  trees.touch(tmp_path, f"{TRAIN[0]}.mp4")
  report = countix_av.check(tmp_path)
  assert [p.found for p in report.parts] == [0, 0, 0, 0]
  assert len(report.parts[-1].missing) == 8
