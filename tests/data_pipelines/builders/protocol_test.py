import itertools
import json

import numpy as np
import pytest

from data_pipelines.builders import protocol
from data_pipelines.builders.clips import Clip
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees


def write(folder, conditions, matches):
  trees.write_json(folder / "AMT_test_set.json", conditions)
  trees.write_json(folder / "AMT_test_set_match_dict.json", matches)
  return folder


def test_trials_in_order(tmp_path):
  conditions = {"b_3.0667": ["c_1.0000", "d-e_2.5000"], "a_0.0000": ["b_3.0667"]}
  matches = {"b_3.0667": {"d-e_2.5000": True, "c_1.0000": False}, "a_0.0000": {"b_3.0667": True}}
  assert protocol.read_protocol(write(tmp_path, conditions, matches)) == [
    protocol.Trial(Clip("b", 3.0667), Clip("c", 1.0), False),
    protocol.Trial(Clip("b", 3.0667), Clip("d-e", 2.5), True),
    protocol.Trial(Clip("a", 0.0), Clip("b", 3.0667), True),
  ]


@pytest.mark.parametrize(
  ("conditions", "matches", "message"),
  [
    ({"a_1": ["b_1"]}, {}, "match_dict.json: no true or false for a_1 with b_1; prepare"),
    ({"a_1": ["b_1"]}, {"a_1": {"b_1": 1}}, "match_dict.json: no true or false"),
    ({"a_1": ["b_1"]}, {"a_1": []}, "match_dict.json: no true or false"),
    ({"a_1": "b_1"}, {}, "AMT_test_set.json: `a_1` has no list of condition clips; prepare"),
    ({"a": ["b_1"]}, {"a": {"b_1": True}}, "AMT_test_set.json: `a` is not `<video>_<second>`"),
    ([], {}, "AMT_test_set.json: is not a JSON object"),
  ],
)
def test_files_that_do_not_fit(tmp_path, conditions, matches, message):
  with pytest.raises(InputError, match=message) as caught:
    protocol.read_protocol(write(tmp_path, conditions, matches))
  assert trees.one_line(caught)


def test_missing_file(tmp_path):
  with pytest.raises(InputError, match=r"AMT_test_set\.json: no such file; prepare"):
    protocol.read_protocol(tmp_path)


@pytest.fixture(scope="module")
def videos():
  """97 videos of 8 s by id, each of hits, scratches or both."""
  rng = np.random.default_rng(0)
  made = {}
  for n in range(97):
    actions = (["hit"], ["scratch"], ["hit", "scratch"])[n % 3]
    times = np.sort(rng.uniform(0.5, 7.5, 14))
    made[f"v-{n}"] = (8.0, [Event(float(t), "wood", str(rng.choice(actions)), "static") for t in times])
  return made


def test_drawn_trials_are_like_the_published_ones(videos, tmp_path):
  trials = protocol.draw_protocol(videos, 0, 2.0)
  assert len(trials) == 582 and len({t.target for t in trials}) == 194
  assert all(t.target.video != t.condition.video for t in trials)
  for _, three in itertools.groupby(trials, lambda t: t.target):
    assert len({t.condition.video for t in three}) == 3
  assert 100 < sum(t.match for t in trials) < 400
  protocol.write_protocol(tmp_path, trials, videos, 2.0)
  assert protocol.read_protocol(tmp_path) == trials
  assert {p.name for p in tmp_path.iterdir()} == {
    "AMT_test_set.json",
    "AMT_test_set_match_dict.json",
    "AMT_test_set_type_dict.json",
  }


def test_clips_begin_at_contacts_and_match_by_their_actions(videos, tmp_path):
  def actions(clip):
    return {e.action for e in videos[clip.video][1] if 0 <= e.time_s - clip.start_s < 2}

  trials = protocol.draw_protocol(videos, 1, 2.0)
  assert trials != protocol.draw_protocol(videos, 0, 2.0) and trials == protocol.draw_protocol(videos, 1, 2.0)
  for trial in trials:
    assert trial.match == (actions(trial.target) == actions(trial.condition))
    for clip in (trial.target, trial.condition):
      assert clip.start_s <= 6 and min(abs(e.time_s - clip.start_s) for e in videos[clip.video][1]) < 2e-4
  protocol.write_protocol(tmp_path, trials, videos, 2.0)
  counts = json.loads((tmp_path / protocol.TYPES_FILE).read_text())
  for trial in trials:
    name = f"{trial.target.video}_{trial.target.start_s:.4f}"
    assert set(counts[name]) == actions(trial.target) and sum(counts[name].values()) >= 1


def test_two_videos_make_trials_and_one_makes_none(videos):
  two = {name: videos[name] for name in ("v-0", "v-1")}
  assert {t.condition.video for t in protocol.draw_protocol(two, 0, 2.0)} == {"v-0", "v-1"}
  assert protocol.draw_protocol({"v-0": videos["v-0"]}, 0, 2.0) == []


def test_clips_of_another_length_begin_where_they_fit_and_match_by_what_is_in_them():
  events = [Event(t, "wood", action, "static") for t, action in ((1.0, "hit"), (3.0, "scratch"), (7.0, "hit"))]
  videos = {"a": (9.0, events), "b": (9.0, events)}
  trials = protocol.draw_protocol(videos, 0, 5.2)
  assert {c for t in trials for c in (t.target.start_s, t.condition.start_s)} == {1.0, 3.0}
  assert all(t.match for t in trials), "both hits and scratches are in all clips, which are long enough"
  short = protocol.draw_protocol({name: (9.0, events[:2]) for name in "ab"}, 0, 1.5)
  assert {t.match for t in short} == {True, False}


def test_cover_goes_round_the_other_videos():
  hit, scratch = Event(0.5, "wood", "hit", "static"), Event(0.5, "wood", "scratch", "static")
  videos = {"a": (62, [hit]), "b": (90, [hit, Event(2.5, "wood", "hit")]), "c": (30, [scratch]), "short": (29, [])}
  trials = protocol.cover(videos, 30, 15)
  named = [(f"{t.target.video}{t.target.start_s:g}", f"{t.condition.video}{t.condition.start_s:g}") for t in trials]
  # Others of a: b0, c0, b2, b4; the second clip goes on where the first one ended.
  assert named[:6] == [("a0", "b0"), ("a0", "c0"), ("a0", "b2"), ("a2", "b4"), ("a2", "b0"), ("a2", "c0")]
  assert [t.match for t in trials[:3]] == [True, False, True]
  assert len(trials) == 3 * 6 and len(set(named)) == len(named)
  assert protocol.cover({"a": (135, [])}, 30, 15) == []
  two = protocol.cover({"a": (30, []), "b": (30, [])}, 30, 15)
  assert [(t.target.video, t.condition.video) for t in two] == [("a", "b"), ("b", "a")]


def test_clips_without_a_labelled_action_match_nothing_and_mismatch_nothing(tmp_path):
  hit = [Event(0.5, "wood", "hit")]
  videos = {"a": (30, hit), "b": (30, hit), "c": (30, []), "d": (30, [Event(0.5, "wood", "None")])}
  trials = protocol.cover(videos, 30, 15)
  known = {(t.target.video, t.condition.video): t.match for t in trials if t.match is not None}
  assert known == {("a", "b"): True, ("b", "a"): True}
  protocol.write_protocol(tmp_path, trials, videos, 2.0)
  assert protocol.read_protocol(tmp_path) == trials


@pytest.mark.parametrize("clips", range(1, 20))
def test_as_many_clips_as_fit(clips):
  # 5.2 s three times are 15.600000000000001 s, and the clips that fit are counted in frames.
  trials = protocol.cover({"a": (78 * clips, []), "b": (78 * clips + 77, [])}, 78, 15)
  assert len({t.target for t in trials}) == 2 * clips
