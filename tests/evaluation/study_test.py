"""Lists of trials are balanced, and the same again with the same seed."""

import collections
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.evaluation import study
from condfoley_jax.evaluation.study import CHECKS, COUNTED, PRACTICE, SILENT, TRIALS, TRUE

SIZES = {"systems": st.integers(2, 9), "clips": st.integers(1, 60), "seed": st.integers(0, 2**32 - 1)}


def lists_of(systems: int, clips: int, seed: int, reference: str | None = "s0") -> list[list[study.Trial]]:
  names = [f"c{i}" for i in range(clips)]
  kinds = study.Clips([f"p{i}" for i in range(PRACTICE)], ["k0", "k1"], names)
  return study.make_lists(study.pairs_of([f"s{i}" for i in range(systems)], reference), kinds, seed)


def all_equal(counts: collections.Counter, kinds: int) -> bool:
  return len(counts) == kinds and len(set(counts.values())) == 1


def pair(trial: study.Trial) -> frozenset:
  return frozenset((trial.left, trial.right))


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_at_each_place_each_pair_is_equally_often_and_has_either_side_equally_often(systems, clips, seed):
  for reference, pairs in (("s0", systems - 1), (None, systems * (systems - 1) // 2)):
    lists = lists_of(systems, clips, seed, reference)
    assert len(lists) == 2 * pairs
    for place in zip(*lists, strict=True):
      if place[0].kind != "check":
        assert all_equal(collections.Counter(map(pair, place)), pairs)
        assert all_equal(collections.Counter((t.left, t.right) for t in place), 2 * pairs)


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_each_system_of_a_pair_is_equally_often_left_with_each_clip(systems, clips, seed):
  seen = collections.Counter((t.clip, t.left, t.right) for trials in lists_of(systems, clips, seed) for t in trials)
  assert all(seen[clip, right, left] == count for (clip, left, right), count in seen.items())


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_one_list_is_as_even_as_it_can_be(systems, clips, seed):
  for trials in lists_of(systems, clips, seed):
    for kind, total in (("counted", COUNTED), ("practice", PRACTICE)):
      own = [t for t in trials if t.kind == kind]
      assert len(own) == total
      pairs = collections.Counter(map(pair, own))
      assert max(pairs.values()) - min(pairs[p] for p in pairs) <= 1
      assert len(pairs) == min(systems - 1, total)
      for p in pairs:
        reference_left = sum(t.left == "s0" for t in own if pair(t) == p)
        assert abs(2 * reference_left - pairs[p]) <= 1
      assert abs(2 * sum(t.left == "s0" for t in own) - total) <= 1


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_clips_are_equally_often_shown_and_not_twice_to_one_participant(systems, clips, seed):
  lists = lists_of(systems, clips, seed)
  for trials in lists:
    for kind, total in (("counted", min(clips, COUNTED)), ("practice", PRACTICE)):
      assert len({t.clip for t in trials if t.kind == kind}) == total
  shown = collections.Counter(t.clip for trials in lists for t in trials if t.kind == "counted")
  counts = [shown[f"c{i}"] for i in range(clips)]
  assert max(counts) - min(counts) <= 2  # a list and its mirror image


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_every_list_has_practice_first_then_a_check_in_either_half(systems, clips, seed):
  for trials in lists_of(systems, clips, seed):
    assert len(trials) == TRIALS and all(t.kind == "practice" for t in trials[:PRACTICE])
    scored = trials[PRACTICE:]
    checks = [i for i, t in enumerate(scored) if t.kind == "check"]
    assert len(checks) == CHECKS and 0 < checks[0] < len(scored) / 2 <= checks[1]
    assert [{t.left, t.right} for t in scored if t.kind == "check"] == [{TRUE, SILENT}] * CHECKS
    assert sorted(t.left for t in scored if t.kind == "check") == sorted((TRUE, SILENT))


def test_the_seed_decides_and_the_mirror_image_follows():
  lists = lists_of(4, 20, 7)
  assert lists == lists_of(4, 20, 7) and lists != lists_of(4, 20, 8)
  assert [t.mirrored() for t in lists[0]] == lists[1]


def test_what_comes_before_a_pair_varies():
  before = collections.defaultdict(set)
  for trials in lists_of(8, 40, 0):
    own = [pair(t) for t in trials if t.kind == "counted"]
    for a, b in itertools.pairwise(own):
      before[b].add(a)
  assert all(len(others) >= 4 for others in before.values())


def test_the_example_of_a_check_is_the_true_video():
  trials = lists_of(3, 20, 0)[0]
  assert {(t.kind, t.example) for t in trials} == {("practice", "examples"), ("counted", "examples"), ("check", TRUE)}


def test_pairs_are_with_the_reference_or_all():
  assert study.pairs_of(["c", "b", "a"], "b") == [("b", "a"), ("b", "c")]
  assert study.pairs_of(["c", "b", "a"], None) == [("a", "b"), ("a", "c"), ("b", "c")]
  with pytest.raises(ValueError, match="two systems"):
    study.pairs_of(["a"], "a")
