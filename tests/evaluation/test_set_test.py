import dataclasses
import json

import numpy as np
import pytest
from etils import epath

from condfoley_jax.clip import MINI
from condfoley_jax.evaluation.test_set import TestSet
from data_pipelines.builders.events import MATERIALS, Event
from data_pipelines.dataset import open_dataset
from data_pipelines.errors import InputError
from tests.evaluation import trials


@pytest.fixture
def directory(world, tmp_path):
  return trials.made(world, tmp_path / "test")


def change(directory, function):
  for name in ("AMT_test_set.json", "AMT_test_set_match_dict.json"):
    path = directory / name
    path.write_text(function(path.read_text()))


def test_an_item_is_what_its_trial_names(directory):
  tests = TestSet(directory, MINI)
  assert len(tests) == len(tests.names) == len(set(tests.names)) > 10
  trial, item = tests.trials[0], tests[0]
  assert item.name == tests.names[0] and item.video == trial.target.video and item.match == trial.match
  assert item.name.startswith(item.target) and item.example_video == trial.condition.video
  assert item.query.shape == (30, 64, 64, 3) and item.query.dtype == np.uint8
  assert len(item.sounds.target.audio_N) == len(item.example.audio) == MINI.samples
  assert item.material in MATERIALS and tests.example_kinds()[0] == item.material
  # A clip begins in the frame of a contact.
  assert 0 <= item.contacts_s[0] < 1 / MINI.fps
  assert tests.onsets_hz() > 0.5


def test_a_clip_begins_in_the_frame_that_its_rounded_time_is_of(directory):
  target = next(iter(json.loads((directory / "AMT_test_set.json").read_text())))
  # 32 / 15 s, of which the list has four decimals; the other contact lies just after the clip.
  change(directory, lambda text: text.replace(target, target.rpartition("_")[0] + "_2.1333"))
  tests = TestSet(directory, MINI)
  video = tests._videos[target.rpartition("_")[0]]
  contacts = tuple(Event(frame / MINI.fps, "wood", "hit") for frame in (31, 32, 32 + MINI.frames))
  tests._videos[video.id] = dataclasses.replace(video, events=contacts)
  item = next(item for item in tests if item.target.endswith("_2.1333"))
  np.testing.assert_array_equal(item.contacts_s, [0])
  window = tests._data.read_window(video, 32, MINI.frames)
  np.testing.assert_array_equal(item.query, window.frames)
  np.testing.assert_array_equal(item.sounds.target.audio_N, window.audio)


@pytest.mark.parametrize("lists", [True, False])
def test_a_test_split_in_a_bucket(directory, world, bucket, lists):
  here = directory if lists else world
  copy = epath.Path(bucket, directory.parent.name)
  for path in here.glob("*.*"):
    (copy / path.name).write_bytes(path.read_bytes())
  there, here = TestSet(str(copy), MINI), TestSet(here, MINI)
  assert (there.names, there.identity) == (here.names, here.identity)
  np.testing.assert_array_equal(there[1].query, here[1].query)
  assert there.described()["directory"] == str(copy)


def test_items_repeat(directory):
  one, two = (TestSet(directory, MINI)[3] for _ in range(2))
  np.testing.assert_array_equal(one.sounds.target.audio_N, two.sounds.target.audio_N)
  assert TestSet(directory, MINI).identity == TestSet(directory, MINI).identity


def test_videos_that_no_list_is_about_are_covered(world):
  tests = TestSet(world, MINI)
  videos = {video.id: video for video in open_dataset(world, MINI).videos}
  covered = {(t.target.video, t.target.start_s) for t in tests.trials}
  assert covered == {(name, 2.0 * n) for name, v in videos.items() for n in range(v.frames // MINI.frames)}
  assert len(tests) == 3 * len(covered)
  assert all(t.target.video != t.condition.video for t in tests.trials)
  assert len(tests[len(tests) - 1].sounds.target.audio_N) == MINI.samples


def test_a_list_without_trials(directory):
  change(directory, lambda text: "{}")
  with pytest.raises(InputError, match=r"AMT_test_set\.json: no trial; a test split needs 2 videos"):
    TestSet(directory, MINI)


def test_a_video_that_is_not_there(directory):
  change(directory, lambda text: text.replace("-0001_", "-0009_"))
  with pytest.raises(InputError, match=r"0009 is not in .*; prepare all videos"):
    TestSet(directory, MINI)


def test_a_clip_beyond_the_end(directory):
  target = next(iter(json.loads((directory / "AMT_test_set.json").read_text())))
  change(directory, lambda text: text.replace(target, target.rpartition("_")[0] + "_99.0000"))
  with pytest.raises(InputError, match=r"99\.0000 reaches beyond the video's end"):
    TestSet(directory, MINI)


def test_a_target_that_is_listed_twice(directory):
  path = directory / "AMT_test_set.json"
  target, *_ = json.loads(path.read_text())
  path.write_text(path.read_text().replace("{", f'{{"{target}": [], ', 1))
  with pytest.raises(InputError, match=rf"AMT_test_set\.json: has the key {target} twice; prepare the test split"):
    TestSet(directory, MINI)


def test_two_items_of_one_name(directory):
  path = directory / "AMT_test_set.json"
  table = json.loads(path.read_text())
  first = next(iter(table))
  table[first] = [table[first][0]] * 2
  path.write_text(json.dumps(table))
  with pytest.raises(InputError, match=r"has .* twice; remove one of them"):
    TestSet(directory, MINI)


def test_onsets_are_counted_by_ear_where_none_is_labelled(directory):
  tests = TestSet(directory, MINI)
  labelled = tests.onsets_hz()
  heard = {trial.target: len(tests[i].sounds.target.onsets_s) for i, trial in enumerate(tests.trials)}
  tests._data.videos = tuple(dataclasses.replace(video, events=()) for video in tests._data.videos)
  assert tests.onsets_hz() == pytest.approx(sum(heard.values()) / (2 * len(heard))) != labelled
