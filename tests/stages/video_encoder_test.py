"""Scores of the video encoder's stage."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from condfoley_jax.stages.video_encoder import average_precision


@given(st.lists(st.booleans(), min_size=20, max_size=20).filter(any), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_average_precision_is_that_of_scikit_learn(labels, seed):
  scores = np.random.default_rng(seed).normal(size=20).astype(np.float32)
  ours = average_precision(jax.numpy.asarray(scores), jax.numpy.asarray(labels, np.float32))
  assert float(ours) == pytest.approx(average_precision_score(labels, scores), abs=1e-5)


def test_average_precision_without_labels_is_0():
  assert float(average_precision(jax.numpy.ones(5), jax.numpy.zeros(5))) == 0
