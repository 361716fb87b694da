"""Properties of temperature, top-k, top-p, min-p and guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from condfoley_jax.sampling.logits import Sampling, filter_logits, guide, sample

VOCAB = 9
LOGITS = hnp.arrays(np.float32, (2, VOCAB), elements=st.floats(-8, 8, width=32, allow_subnormal=False))
FILTER, SAMPLE = jax.jit(filter_logits), jax.jit(sample)
PROPERTY = settings(max_examples=60, deadline=None)


def kept(logits, **sampling):
  return np.isfinite(FILTER(logits, Sampling(**sampling)))


@PROPERTY
@given(LOGITS, st.integers(1, VOCAB + 3))
def test_top_k_keeps_the_k_largest_and_their_ties(logits, k):
  smallest = np.sort(logits)[:, ::-1][:, min(k, VOCAB) - 1 :][:, :1]
  np.testing.assert_array_equal(kept(logits, top_k=k), logits >= smallest)


@PROPERTY
@given(LOGITS, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_sufficient_set(logits, p):
  keep = kept(logits, top_p=p)
  probabilities = np.asarray(jax.nn.softmax(logits))
  for row, chosen, x in zip(probabilities, keep, logits, strict=True):
    assert row[chosen].sum() >= p - 1e-5
    assert row[chosen & (x > x[chosen].min())].sum() < p + 1e-5
    assert x[chosen].min() >= x[~chosen].max(initial=-np.inf)


@PROPERTY
@given(LOGITS, st.integers(0, 2**31 - 1), st.integers(1, 4), st.floats(0.1, 1.0), st.floats(0.1, 3.0))
def test_a_draw_is_always_one_of_the_kept(logits, seed, k, p, temperature):
  keys = jax.random.split(jax.random.key(seed), 2)
  codes = SAMPLE(logits, keys, Sampling(temperature, k, p))
  assert kept(logits, temperature=temperature, top_k=k, top_p=p)[np.arange(2), codes].all()


@PROPERTY
@given(LOGITS, st.integers(0, 2**31 - 1))
def test_temperature_zero_is_argmax_whatever_the_key(logits, seed):
  keys = jax.random.split(jax.random.key(seed), 2)
  np.testing.assert_array_equal(SAMPLE(logits, keys, Sampling(temperature=0.0, top_k=2)), logits.argmax(-1))


@PROPERTY
@given(LOGITS)
def test_limits_that_are_off_change_nothing(logits):
  np.testing.assert_array_equal(FILTER(logits, Sampling(1.0, 0, 1.0)), logits)
  np.testing.assert_array_equal(FILTER(logits, Sampling(1.0, VOCAB, 1.0)), logits)


def test_top_p_counts_what_top_k_left():
  logits = np.log([[0.4, 0.3, 0.2, 0.1]]).astype(np.float32)
  # Of the two kept the first has 4/7 of the mass, so it suffices for p = 0.5 though its own probability is 0.4.
  assert kept(logits, top_k=2, top_p=0.5).tolist() == [[True, False, False, False]]
  assert kept(logits, top_p=0.5).tolist() == [[True, True, False, False]]


@PROPERTY
@given(LOGITS, st.floats(0.01, 1.0))
def test_min_p_keeps_what_is_likely_beside_the_likeliest(logits, p):
  keep, probabilities = kept(logits, min_p=p), np.asarray(jax.nn.softmax(logits), np.float64)
  share = probabilities / probabilities.max(axis=1, keepdims=True)
  assert keep[share > p * (1 + 1e-5)].all() and not keep[share < p * (1 - 1e-5)].any()
  assert keep.any(axis=1).all()


# Probabilities 0.4, 0.3, 0.15, 0.1, 0.05, and what each limit leaves of them.
SHARES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
LEFT = {
  "all": (Sampling(), SHARES),
  "temperature": (Sampling(temperature=0.5), SHARES**2),
  "top-k": (Sampling(top_k=3), SHARES * (SHARES >= 0.15)),
  "top-p": (Sampling(top_p=0.8), SHARES * (SHARES >= 0.15)),
  "min-p": (Sampling(min_p=0.3), SHARES * (SHARES >= 0.12)),
  "together": (Sampling(0.5, 4, 0.99, 0.1), SHARES**2 * (SHARES >= 0.14)),
}


@pytest.mark.parametrize("name", LEFT)
def test_draws_have_the_distribution_of_what_is_left(name):
  """Chi-square: codes that are left out never come, the others as often as they should."""
  sampling, expected = LEFT[name]
  keys = jax.random.split(jax.random.key(7), 50_000)
  codes = SAMPLE(np.tile(np.log(SHARES).astype(np.float32), (len(keys), 1)), keys, sampling)
  counts = np.bincount(codes, minlength=len(SHARES))
  left = expected > 0
  assert not counts[~left].any()
  assert stats.chisquare(counts[left], len(keys) * expected[left] / expected.sum()).pvalue > 1e-3


def test_guidance_goes_beyond_the_condition():
  given, missing = jnp.array([[1.0, 3.0]]), jnp.array([[1.0, 2.0]])
  for guidance, expected in ((0.0, missing), (1.0, given), (3.0, jnp.array([[1.0, 5.0]]))):
    np.testing.assert_allclose(guide(given, missing, guidance), expected)


def test_a_take_depends_on_its_own_key_alone():
  logits = jnp.zeros((6, VOCAB))
  keys = jax.random.split(jax.random.key(1), 6)
  together = SAMPLE(logits, keys, Sampling())
  alone = [SAMPLE(logits[:1], keys[i : i + 1], Sampling())[0] for i in range(6)]
  np.testing.assert_array_equal(together, alone)


def test_other_settings_do_not_recompile():
  traces = []

  @jax.jit
  def traced(logits, keys, sampling):
    traces.append(1)
    return sample(logits, keys, sampling)

  keys = jax.random.split(jax.random.key(0), 2)
  for sampling in (Sampling(), Sampling(0.0, 5, 0.5), Sampling(0.7, 1, 0.9, 0.2)):
    traced(jnp.zeros((2, VOCAB)), keys, sampling)
  assert len(traces) == 1
