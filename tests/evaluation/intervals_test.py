"""Intervals and tests by video."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.evaluation import intervals

ITEMS = st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), min_size=1, max_size=30)


def rng():
  return np.random.default_rng(0)


def unzip(items):
  return (np.array(column) for column in zip(*items, strict=True))


def clustered(seed, *, videos=97, each=6, within=0.1):
  """Items of videos that differ, nearly alike within one: true mean 0."""
  draw = np.random.default_rng(seed)
  values = draw.standard_normal((videos, 1)) + within * draw.standard_normal((videos, each))
  return values.ravel(), np.repeat(np.arange(videos), each)


@settings(deadline=None)
@given(ITEMS)
def test_an_interval_holds_the_mean_and_lies_within_the_items(items):
  values, videos = unzip(items)
  found = intervals.mean(values, videos, rng(), 2000)
  assert found.value == pytest.approx(values.mean()) and found.n == len(values)
  assert values.min() - 1e-9 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high
  assert found.high <= values.max() + 1e-9


@settings(deadline=None)
@given(ITEMS, st.sampled_from([0.05, 0.5, 0.95]))
def test_a_quantile_is_numpys_and_within_its_interval_s_items(items, q):
  values, videos = unzip(items)
  found = intervals.quantile(values, videos, q, rng(), 1200)
  assert found.value == np.quantile(values, q, method="inverted_cdf")
  assert values.min() <= found.low <= found.high <= values.max()


@settings(deadline=None)
@given(ITEMS, st.floats(-10, 10), st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_the_items(items, shift, scale):
  values, videos = unzip(items)
  before, after = (intervals.mean(v, videos, rng(), 500) for v in (values, scale * values + shift))
  np.testing.assert_allclose(after[:3], scale * np.array(before[:3]) + shift, atol=1e-9)


def test_intervals_are_those_of_a_plain_bootstrap_of_videos_with_unlike_numbers_of_items():
  draw = np.random.default_rng(1)
  by_video = [np.sqrt(k) + draw.standard_normal(k) for k in draw.integers(1, 9, 30)]
  values, videos = np.concatenate(by_video), np.repeat(np.arange(30), [len(x) for x in by_video])
  plain = [np.concatenate([by_video[v] for v in draw.integers(0, 30, 30)]) for _ in range(4000)]
  for found, of_each in (
    (intervals.mean(values, videos, rng()), [x.mean() for x in plain]),
    (intervals.quantile(values, videos, 0.5, rng()), [np.quantile(x, 0.5, method="inverted_cdf") for x in plain]),
    (intervals.statistic(lambda i: values[i].std(), videos, rng(), 4000), [x.std() for x in plain]),
  ):
    np.testing.assert_allclose((found.low, found.high), np.quantile(of_each, (0.025, 0.975)), atol=0.03)


def test_the_median_of_two_items_is_the_lower_one():
  assert intervals.quantile(np.array([1.0, 0.0]), np.zeros(2), 0.5, rng()) == (0, 0, 0, 2)


def test_more_copies_of_a_video_s_items_make_an_interval_no_narrower():
  values, videos = clustered(2, each=1)
  once, six = (intervals.mean(np.repeat(values, k), np.repeat(videos, k), rng()) for k in (1, 6))
  np.testing.assert_allclose(six[:3], once[:3])
  apart = intervals.mean(np.repeat(values, 6), np.arange(6 * len(values)), rng())
  assert apart.high - apart.low < 0.5 * (six.high - six.low)


def test_nineteen_of_twenty_intervals_hold_the_true_mean():
  found = [intervals.mean(*clustered(seed), rng(), 1000) for seed in range(200)]
  assert 0.9 <= np.mean([low <= 0 <= high for _, low, high, _ in found]) <= 0.985


def test_the_same_seed_gives_the_same_numbers_and_another_does_not():
  items = clustered(3)
  one, again, other = (intervals.mean(*items, np.random.default_rng(s)) for s in (1, 1, 2))
  assert one == again and one.low != other.low


def test_items_that_are_not_there_are_left_out():
  values, videos = np.array([1.0, np.nan, 3.0, np.nan]), np.array(["a", "a", "b", "c"])
  assert intervals.mean(values, videos, rng()) == intervals.mean(values[[0, 2]], videos[[0, 2]], rng())
  assert intervals.mean(values, videos, rng())[::3] == (2, 2)
  nothing = intervals.mean(np.full(3, np.nan), np.arange(3), rng())
  assert nothing.n == 0 and np.isnan(nothing[:3]).all()
  assert intervals.quantile(np.zeros(0), np.zeros(0), 0.5, rng()).n == 0
  assert intervals.statistic(len, np.zeros(0), rng(), 10).n == 0


def test_a_single_video_has_an_interval_without_width():
  assert intervals.mean(np.array([0.0, 1.0]), np.array([7, 7]), rng()) == (0.5, 0.5, 0.5, 2)


def test_a_system_does_not_differ_from_itself():
  values, videos = clustered(4)
  assert intervals.paired(values, values, videos, rng()) == ((0, 0, 0, len(values)), 1)


def test_the_order_of_the_systems_is_the_sign_of_the_difference_alone():
  first, videos = clustered(5)
  second = clustered(6)[0]
  there, back = intervals.paired(first, second, videos, rng()), intervals.paired(second, first, videos, rng())
  assert there.p == back.p
  np.testing.assert_allclose(there.difference[:3], -np.array(back.difference)[[0, 2, 1]])


def test_p_of_few_videos_is_the_share_of_swaps_that_are_as_large():
  # Of the 8 arrangements of 1, 2 and 4 only two reach 7; of 1, 1 and 1 as well.
  for sums in ((1, 2, 4), (1, 1, 1)):
    assert intervals.paired(np.array(sums), np.zeros(3), np.arange(3), rng()).p == pytest.approx(0.25, abs=0.02)
  # 10 of the 16 arrangements reach 0.6, most of them up to rounding.
  tied = np.array([0.1, 0.2, -0.3, 0.6])
  assert intervals.paired(tied, 0 * tied, np.arange(4), rng()).p == pytest.approx(0.625, abs=0.02)
  # 4 + 2 - 1 = 5 is reached by 4 arrangements: 7, 5 and their opposites.
  assert intervals.paired(np.array([-1, 2, 4]), np.zeros(3), np.arange(3), rng()).p == pytest.approx(0.5, abs=0.02)


def test_a_difference_in_every_video_is_found_and_one_by_chance_in_one_of_twenty():
  first, videos = clustered(7)
  assert intervals.paired(first + 0.1, first, videos, rng()).p == pytest.approx(1 / 10_001)
  found = [intervals.paired(*(clustered(s + k)[0] for k in (0, 1000)), videos, rng(), 500).p for s in range(200)]
  assert 0.015 <= np.mean(np.array(found) < 0.05) <= 0.1


def test_items_missing_in_one_system_are_left_out_of_both():
  first, second = np.array([1.0, np.nan, 0.5, 0.2]), np.array([0.0, 1.0, np.nan, 0.1])
  found = intervals.paired(first, second, np.arange(4), rng())
  assert found.difference.n == 2 and found.difference.value == pytest.approx(0.55)
  assert np.isnan(intervals.paired(first[1:2], second[1:2], np.arange(1), rng()).p)


def test_items_without_videos_are_refused():
  with pytest.raises(ValueError, match="videos"):
    intervals.mean(np.zeros(3), np.zeros(2), rng())
