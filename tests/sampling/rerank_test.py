"""Ranking of takes: alignment of onset curves, and the paper's rule."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.sampling.rerank import MAX_LAG_S, rank, sync_of

FPS = 15


def _curve(frames, length=60):
  curve = np.zeros(length)
  curve[list(frames)] = 1
  return curve


@pytest.mark.parametrize("lag", [-6, -1, 0, 1, 5])
def test_offset_is_how_much_later_the_sound_is(lag):
  frames = np.array([10, 17, 31, 45])
  sync = sync_of(_curve(frames), _curve(frames + lag), FPS)
  assert sync.offset_s == pytest.approx(lag / FPS)
  assert sync.confidence == pytest.approx(1, abs=1e-6)


def test_silence_has_no_confidence_and_no_offset():
  assert sync_of(_curve([10, 20]), np.zeros(60), FPS) == (0, 0)


def test_unrelated_curves_are_less_confident_than_related_ones():
  seen = _curve([10, 17, 31, 45])
  related, unrelated = _curve([10, 18, 31, 45]), _curve([3, 25, 38, 52])
  assert sync_of(seen, related, FPS).confidence > sync_of(seen, unrelated, FPS).confidence


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_short_curves_do_not_fail(length):
  sync = sync_of(np.linspace(0, 1, length), np.linspace(1, 0, length), FPS)
  assert abs(sync.offset_s) <= MAX_LAG_S
  assert -1 <= sync.confidence <= 1


def test_rule_of_the_paper():
  offsets = np.array([0.4, 0.0, -0.2, 0.2, -0.6])
  confidences = np.array([0.99, 0.3, 0.5, 0.4, 0.9])
  # In time within tau: 2, 3, 1 by confidence; then the late ones by |offset|.
  assert rank(offsets, confidences, 0.25).tolist() == [2, 3, 1, 0, 4]
  assert rank(offsets, confidences, 0.0)[0] == 1
  assert rank(offsets, confidences, 10.0)[0] == 0


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.2])
def test_means_that_are_tau_apart_but_for_rounding_are_in_time(tau):
  for steps in range(30):
    best = steps / 180  # Over three segments, in steps of 1/60 s.
    offsets = np.array([best, best + tau, best + tau + 1 / 180], np.float32)
    assert rank(offsets, np.array([0.1, 0.8, 0.9], np.float32), tau).tolist() == [1, 0, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.lists(st.integers(0, 40), min_size=2, max_size=8), st.integers(0, 2**31))
def test_late_takes_are_ordered_by_offset_and_alike_but_for_rounding_by_confidence(segments, steps, seed):
  rng = np.random.default_rng(seed)
  far = np.array([0, *(step / (60 * segments) + 1 for step in steps)])
  offsets = (far * (1 + rng.uniform(-1, 1, len(far)) * 1e-7)).astype(np.float32)
  confidences = rng.permutation(len(far)).astype(np.float32)
  expected = sorted(range(len(far)), key=lambda i: (round(far[i], 9), -confidences[i]))
  assert rank(offsets, confidences, 0.05).tolist() == expected


_float = functools.partial(st.floats, width=32, allow_subnormal=False)
_TAKES = st.lists(st.tuples(_float(-2, 2), _float(-1, 1)), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(_TAKES, _float(0, 1))
def test_rank_is_a_permutation_whose_first_is_in_time_and_most_confident(takes, tau):
  offsets, confidences = np.array(takes, np.float32).T
  order = rank(offsets, confidences, tau)
  assert sorted(order) == list(range(len(takes)))
  in_time = np.abs(offsets) <= np.abs(offsets).min() + tau + 1e-5
  assert in_time[order[0]]
  assert confidences[order[0]] == confidences[in_time].max()
