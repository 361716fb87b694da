"""Properties of temperature, top-k and top-p."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from condfoley_jax.sampling.logits import Sampling, filter_logits, sample

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


def test_frequencies_match_the_softmax_of_the_kept():
  logits = jnp.array([1.0, 0.2, -0.3, 0.5, -2.0])
  takes = 40_000
  keys = jax.random.split(jax.random.key(0), takes)
  codes = SAMPLE(jnp.tile(logits, (takes, 1)), keys, Sampling(temperature=0.7, top_k=4))
  expected = jax.nn.softmax(jnp.where(logits > -1, logits / 0.7, -jnp.inf))
  np.testing.assert_allclose(np.bincount(codes, minlength=5) / takes, expected, atol=0.01)


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
  for sampling in (Sampling(1.0, 0, 1.0), Sampling(0.0, 5, 0.5), Sampling(0.7, 1, 0.9)):
    traced(jnp.zeros((2, VOCAB)), keys, sampling)
  assert len(traces) == 1
