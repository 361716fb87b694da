"""Augmentation and scores of the video encoder's stage."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from condfoley_jax.stages.video_encoder import augment_frames, average_precision


@given(st.lists(st.booleans(), min_size=20, max_size=20).filter(any), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_average_precision_is_that_of_scikit_learn(labels, seed):
  scores = np.random.default_rng(seed).normal(size=20).astype(np.float32)
  ours = average_precision(jax.numpy.asarray(scores), jax.numpy.asarray(labels, np.float32))
  assert float(ours) == pytest.approx(average_precision_score(labels, scores), abs=1e-5)


def test_average_precision_without_labels_is_0():
  assert float(average_precision(jax.numpy.ones(5), jax.numpy.zeros(5))) == 0


def test_augmentation_is_the_same_for_all_frames_of_a_clip_and_repeats():
  rng = np.random.default_rng(0)
  still = np.repeat(rng.integers(0, 256, (2, 1, 16, 16, 3), np.uint8), 5, axis=1)
  first = np.asarray(augment_frames(still, jax.random.key(0), 3))
  assert first.shape == still.shape
  assert first.dtype == np.uint8
  assert (first == first[:, :1]).all()
  assert np.array_equal(first, augment_frames(still, jax.random.key(0), 3))
  assert not np.array_equal(first, augment_frames(still, jax.random.key(1), 3))


def test_augmentation_shifts_by_at_most_what_is_asked():
  dot = np.zeros((1, 1, 33, 33, 3), np.uint8)
  dot[0, 0, 16, 16] = 255
  for seed in range(20):
    image = np.asarray(augment_frames(dot, jax.random.key(seed), 3))[0, 0, :, :, 0]
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert abs(row - 16) <= 3
    assert abs(column - 16) <= 3
