"""Intervals and tests by video."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.evaluation import intervals

ITEMS = st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), min_size=1, max_size=30)


SEED = 0


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
  found = intervals.mean(values, [videos], SEED, 2000)
  assert found.value == pytest.approx(values.mean()) and found.n == len(values)
  assert values.min() - 1e-9 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high
  assert found.high <= values.max() + 1e-9


@settings(deadline=None)
@given(ITEMS, st.sampled_from([0.05, 0.5, 0.95]))
def test_a_quantile_is_numpys_and_within_its_interval_s_items(items, q):
  values, videos = unzip(items)
  found = intervals.quantile(values, [videos], q, SEED, 1200)
  assert found.value == np.quantile(values, q, method="inverted_cdf")
  assert values.min() <= found.low <= found.high <= values.max()


@settings(deadline=None)
@given(ITEMS, st.floats(-10, 10), st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_the_items(items, shift, scale):
  values, videos = unzip(items)
  before, after = (intervals.mean(v, [videos], SEED, 500) for v in (values, scale * values + shift))
  np.testing.assert_allclose(after[:3], scale * np.array(before[:3]) + shift, atol=1e-9)


def test_intervals_are_those_of_a_plain_bootstrap_of_videos_with_unlike_numbers_of_items():
  draw = np.random.default_rng(1)
  by_video = [np.sqrt(k) + draw.standard_normal(k) for k in draw.integers(1, 9, 30)]
  values, videos = np.concatenate(by_video), np.repeat(np.arange(30), [len(x) for x in by_video])
  plain = [np.concatenate([by_video[v] for v in draw.integers(0, 30, 30)]) for _ in range(4000)]
  for found, of_each in (
    (intervals.mean(values, [videos], SEED), [x.mean() for x in plain]),
    (intervals.quantile(values, [videos], 0.5, SEED), [np.quantile(x, 0.5, method="inverted_cdf") for x in plain]),
    (intervals.jackknife(lambda i: values[i].std(), [videos], SEED), [x.std() for x in plain]),
  ):
    np.testing.assert_allclose((found.low, found.high), np.quantile(of_each, (0.025, 0.975)), atol=0.03)


def test_the_median_of_two_items_is_the_lower_one():
  assert intervals.quantile(np.array([1.0, 0.0]), [np.zeros(2)], 0.5, SEED) == (0, 0, 0, 2)


def test_more_copies_of_a_video_s_items_make_an_interval_no_narrower():
  values, videos = clustered(2, each=1)
  once, six = (intervals.mean(np.repeat(values, k), [np.repeat(videos, k)], SEED) for k in (1, 6))
  np.testing.assert_allclose(six[:3], once[:3])
  apart = intervals.mean(np.repeat(values, 6), [np.arange(6 * len(values))], SEED)
  assert apart.high - apart.low < 0.5 * (six.high - six.low)


def test_nineteen_of_twenty_intervals_hold_the_true_mean():
  found = [intervals.mean(values, [videos], SEED, 1000) for values, videos in map(clustered, range(200))]
  assert 0.9 <= np.mean([low <= 0 <= high for _, low, high, _ in found]) <= 0.985


def test_the_same_seed_gives_the_same_numbers_and_another_does_not():
  values, videos = clustered(3)
  one, again, other = (intervals.mean(values, [videos], seed) for seed in (1, 1, 2))
  assert one == again and one.low != other.low


def test_items_that_are_not_there_are_left_out():
  values, videos = np.array([1.0, np.nan, 3.0, np.nan]), np.array(["a", "a", "b", "c"])
  assert intervals.mean(values, [videos], SEED) == intervals.mean(values[[0, 2]], [videos[[0, 2]]], SEED)
  assert intervals.mean(values, [videos], SEED)[::3] == (2, 2)
  nothing = intervals.mean(np.full(3, np.nan), [np.arange(3)], SEED)
  assert nothing.n == 0 and np.isnan(nothing[:3]).all()
  assert intervals.quantile(np.zeros(0), [np.zeros(0)], 0.5, SEED).n == 0
  assert intervals.jackknife(len, [np.zeros(0)], SEED).n == 0


def test_a_single_video_has_an_interval_without_width():
  assert intervals.mean(np.array([0.0, 1.0]), [np.array([7, 7])], SEED) == (0.5, 0.5, 0.5, 2)


def test_a_system_does_not_differ_from_itself():
  values, videos = clustered(4)
  assert intervals.paired(values, values, [videos], SEED) == ((0, 0, 0, len(values)), 1)


def test_the_order_of_the_systems_is_the_sign_of_the_difference_alone():
  first, videos = clustered(5)
  second = clustered(6)[0]
  there, back = (intervals.paired(*pair, [videos], SEED) for pair in ((first, second), (second, first)))
  assert there.p == back.p
  np.testing.assert_allclose(there.difference[:3], -np.array(back.difference)[[0, 2, 1]])


def test_p_of_few_videos_is_the_share_of_swaps_that_are_as_large():
  # Of the 8 arrangements of 1, 2 and 4 only two reach 7; of 1, 1 and 1 as well.
  for sums in ((1, 2, 4), (1, 1, 1)):
    assert intervals.paired(np.array(sums), np.zeros(3), [np.arange(3)], SEED).p == pytest.approx(0.25, abs=0.02)
  # 10 of the 16 arrangements reach 0.6, most of them up to rounding.
  tied = np.array([0.1, 0.2, -0.3, 0.6])
  assert intervals.paired(tied, 0 * tied, [np.arange(4)], SEED).p == pytest.approx(0.625, abs=0.02)
  # 4 + 2 - 1 = 5 is reached by 4 arrangements: 7, 5 and their opposites.
  assert intervals.paired(np.array([-1, 2, 4]), np.zeros(3), [np.arange(3)], SEED).p == pytest.approx(0.5, abs=0.02)


def test_a_difference_in_every_video_is_found_and_one_by_chance_in_one_of_twenty():
  first, videos = clustered(7)
  assert intervals.paired(first + 0.1, first, [videos], SEED).p == pytest.approx(1 / 10_001)
  found = [intervals.paired(*(clustered(s + k)[0] for k in (0, 1000)), [videos], SEED, 500).p for s in range(200)]
  assert 0.015 <= np.mean(np.array(found) < 0.05) <= 0.1


def test_items_missing_in_one_system_are_left_out_of_both():
  first, second = np.array([1.0, np.nan, 0.5, 0.2]), np.array([0.0, 1.0, np.nan, 0.1])
  found = intervals.paired(first, second, [np.arange(4)], SEED)
  assert found.difference.n == 2 and found.difference.value == pytest.approx(0.55)
  assert np.isnan(intervals.paired(first[1:2], second[1:2], [np.arange(1)], SEED).p)


def test_items_without_videos_are_refused():
  with pytest.raises(ValueError, match="videos"):
    intervals.mean(np.zeros(3), [np.zeros(3), np.zeros(2)], SEED)


def crossed(seed, *, videos=40, each=6, of_target=0.0, of_example=1.0, within=0.3):
  """Items of target videos with examples drawn of as many; what two share is added up. True mean 0."""
  draw = np.random.default_rng(seed)
  targets, examples = np.repeat(np.arange(videos), each), draw.integers(0, videos, videos * each)
  values = of_target * draw.standard_normal(videos)[targets] + of_example * draw.standard_normal(videos)[examples]
  return values + within * draw.standard_normal(len(values)), targets, examples


@pytest.mark.parametrize(("of_target", "of_example"), [(0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_intervals_by_both_factors_hold_the_true_mean_whichever_matters(of_target, of_example):
  found, by_target = [], []
  for seed in range(150):
    values, targets, examples = crossed(seed, of_target=of_target, of_example=of_example)
    found.append(intervals.mean(values, [targets, examples], SEED, 1000))
    by_target.append(intervals.mean(values, [targets], SEED, 1000))
  holding = [np.mean([low <= 0 <= high for _, low, high, _ in rows]) for rows in (found, by_target)]
  assert 0.91 <= holding[0] <= 1
  # What the second factor is for.
  assert holding[1] < 0.85 or not of_example


def test_by_both_factors_where_one_matters_it_is_about_the_interval_by_that_one_alone():
  values, targets, examples = crossed(0, videos=97)
  both, one = (intervals.mean(values, factors, SEED) for factors in ([targets, examples], [examples]))
  assert both.low <= one.low and one.high <= both.high
  assert both.high - both.low < 1.25 * (one.high - one.low)


def test_by_both_factors_it_is_a_plain_bootstrap_in_which_two_videos_draws_are_multiplied():
  values, targets, examples = crossed(1, videos=30)
  draw, plain = np.random.default_rng(0), []
  for _ in range(4000):
    weights = np.prod([np.bincount(draw.integers(0, 30, 30), minlength=30)[f] for f in (targets, examples)], axis=0)
    plain.append(np.average(values, weights=weights))
  found = intervals.mean(values, [targets, examples], SEED)
  np.testing.assert_allclose((found.low, found.high), np.quantile(plain, (0.025, 0.975)), atol=0.03)


def test_a_difference_by_the_examples_alone_is_found_by_chance_in_one_of_twenty():
  found = {1: [], 2: []}
  for seed in range(200):
    values, *factors = crossed(seed)
    for count in found:
      found[count].append(intervals.paired(values, 0 * values, factors[:count], SEED, 500).p < 0.05)
  assert np.mean(found[1]) > 0.15 and np.mean(found[2]) <= 0.08
  values, *factors = crossed(0)
  assert intervals.paired(values + 2, 0 * values, factors, SEED).p < 0.001


def test_a_jackknife_of_the_mean_is_its_standard_error_and_holds_the_value_of_what_grows_with_repeats():
  values, videos = clustered(8, each=2)
  found = intervals.jackknife(lambda items: values[items].mean(), [videos], SEED, 97)
  by_video = values.reshape(-1, 2).mean(axis=1)
  assert found.high - found.value == pytest.approx(1.96 * by_video.std(ddof=1) / np.sqrt(97), rel=1e-4)
  distinct = intervals.jackknife(lambda items: 1 / len(set(values[items])), [videos], SEED)
  assert distinct.low <= distinct.value <= distinct.high and distinct.n == 194


def test_a_jackknife_adds_the_variances_of_both_factors():
  values, targets, examples = crossed(2)
  width = lambda *factors: np.ptp(intervals.jackknife(lambda items: values[items].mean(), factors, SEED)[1:3])
  assert width(targets, examples) ** 2 == pytest.approx(width(targets) ** 2 + width(examples) ** 2)
  assert width(np.zeros(len(values))) == 0


def test_holm_multiplies_the_least_p_by_all_and_the_largest_by_one_and_keeps_their_order():
  np.testing.assert_allclose(intervals.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
  np.testing.assert_allclose(intervals.holm([0.5, 0.9]), [1, 1])
  assert len(intervals.holm([])) == 0


def test_videos_are_drawn_once_for_all_metrics_of_a_test_set(monkeypatch):
  intervals._draws.cache_clear()
  made, draw = [], np.random.default_rng
  monkeypatch.setattr(np.random, "default_rng", lambda seed: made.append(seed) or draw(seed))
  for _ in range(3):
    intervals.mean(np.arange(8.0), [np.arange(8) // 2, np.arange(8) // 4], SEED, 100)
  assert made == [(SEED, 0), (SEED, 1)]
