"""The published annotation files themselves, where they are beside the checkout."""

import collections

import pytest

from data_pipelines.builders import countix_av, greatest_hits, hit_records, protocol
from data_pipelines.builders.events import MATERIALS
from data_pipelines.builders.source import read_table
from data_pipelines.pairs import event_frame
from tests.data_pipelines.builders import trees


@pytest.fixture(scope="module")
def folder():
  return trees.annotations()


@pytest.fixture(scope="module")
def events(folder):
  return hit_records.read_hit_records(hit_records.find_hit_records(folder))


@pytest.fixture(scope="module")
def clips(folder):
  return {split: greatest_hits.clips(split, folder) for split in greatest_hits.PUBLISHED_SPLITS}


@pytest.fixture(scope="module")
def videos(clips):
  return {split: {c.video for c in listed} for split, listed in clips.items()}


def test_all_hit_records_are_read_without_loss(events):
  listed = [e for video in events.values() for e in video]
  assert (len(events), len(listed)) == (977, 39_950)
  assert {e.material for e in listed} == {*MATERIALS, "None"}
  assert collections.Counter(e.action for e in listed) == {"hit": 16_826, "scratch": 7_735, "None": 15_389}
  assert len({(e.material, e.action) for e in listed}) == 54


def test_every_contact_lies_in_its_own_frame(events):
  times = [e.time_s * 15 for video in events.values() for e in video]
  assert [event_frame(t / 15, 15) for t in times] == [round(t) for t in times]
  assert all(abs(t - round(t)) < 1e-9 for t in times)


def test_clip_lists(clips, videos):
  assert [len(listed) for listed in clips.values()] == [33_231, 1_955, 4_093]
  assert [len(listed) for listed in videos.values()] == [873, 753, 97]
  assert videos["published_val"] <= videos["published_train"]
  assert not videos["published_test"] & videos["published_train"]


def test_every_clip_begins_half_a_second_before_a_labelled_event(clips, events):
  # The lists were made of rounded times.
  starts = {(video, int((round(e.time_s, 4) - 0.5) * 22050)) for video, listed in events.items() for e in listed}
  assert {(c.video, round(c.start_s * 22050)) for listed in clips.values() for c in listed} <= starts


def test_our_greatest_hits_splits(videos, events):
  test = videos["published_test"]
  ours = collections.Counter(greatest_hits.split_of(video, test) for video in events)
  assert ours == {"train": 827, "val": 53, "test": 97}
  assert {v for v in events if greatest_hits.split_of(v, test) == "test"} == test


def test_check_names_all_videos(folder):
  report = greatest_hits.check(folder)
  assert [(p.expected, p.found, len(p.missing)) for p in report.parts] == [(977, 0, 977), (977, 977, 0), (3, 3, 0)]
  report = countix_av.check(folder)
  assert [(p.expected, p.found, len(p.missing)) for p in report.parts] == [
    (798, 0, 798),
    (240, 0, 240),
    (465, 0, 465),
    (8, 8, 0),
  ]


def test_countix_splits(folder):
  ids = {s: countix_av.ids(s, folder) for s in (*countix_av.SPLITS, *countix_av.PUBLISHED_SPLITS)}
  assert {s: len(listed) for s, listed in ids.items()} == {
    "train": 796,
    "val": 240,
    "test": 465,
    "published_train": 798,
    "published_val": 240,
    "published_test": 465,
  }
  assert len(set(ids["published_train"]) & set(ids["published_val"])) == 2
  youtube = [{name[:11] for name in ids[s]} for s in countix_av.SPLITS]
  assert sum(map(len, youtube)) == len(set.union(*youtube))
  assert {x for s in countix_av.SPLITS for x in ids[s]} == {x for s in countix_av.PUBLISHED_SPLITS for x in ids[s]}


def test_countix_sources(folder, tmp_path):
  trees.touch(tmp_path, *(f"{name}.mp4" for s in countix_av.SPLITS for name in countix_av.ids(s, folder)))
  sources = {s: countix_av.sources(tmp_path, s, folder) for s in countix_av.PUBLISHED_SPLITS}
  assert [len(listed) for listed in sources.values()] == [798, 240, 465]
  assert all(0 <= s.span_s[0] < s.span_s[1] <= 10.01 and s.denoise for listed in sources.values() for s in listed)
  classes = [{s.label for s in listed} - {None} for listed in sources.values()]
  assert [len(c) for c in classes] == [22, 21, 0]


def test_protocol(folder, videos):
  trials = protocol.read_protocol(folder)
  assert (len(trials), sum(t.match for t in trials), len({t.target for t in trials})) == (582, 197, 194)
  assert set(collections.Counter(t.target for t in trials).values()) == {3}
  assert {t.target.video for t in trials} | {t.condition.video for t in trials} == videos["published_test"]
  assert all(t.target.video != t.condition.video for t in trials)


def test_match_says_that_the_same_actions_are_labelled(folder):
  types = read_table(folder / "AMT_test_set_type_dict.json", "")
  for trial in protocol.read_protocol(folder):
    target, condition = (set(types[f"{c.video}_{c.start_s:.4f}"]) - {"None"} for c in (trial.target, trial.condition))
    assert trial.match == (target == condition)
