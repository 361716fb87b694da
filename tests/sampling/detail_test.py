"""Detail of the example: whose frame each frame of a take gets it from, and how much."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling.detail import with_detail


def mels(seed, frames, rows=2, bins=5):
  return np.random.default_rng(seed).uniform(-1, 1, (rows, bins, frames)).astype(np.float32)


def test_a_take_that_sounds_like_the_example_becomes_it():
  example, decoded = mels(0, 20), mels(1, 20)
  np.testing.assert_allclose(with_detail(decoded, example, decoded, 7), example, atol=1e-6)


def test_what_comes_at_another_time_gets_its_detail_there():
  example, decoded = mels(0, 20), mels(1, 20)
  made = with_detail(np.roll(decoded, 4, 2), example, decoded, 3)
  # But for the frames that see an end, or where the roll joins both ends.
  np.testing.assert_allclose(made[..., 5:-1], np.roll(example, 4, 2)[..., 5:-1], atol=1e-6)


def test_frames_around_decide_between_frames_that_are_alike():
  decoded = np.array([[[0, 1, 0, 5, 1, 5]]], np.float32)
  example = decoded + np.array([[[0, 10, 0, 0, 20, 0]]], np.float32)
  take = np.array([[[5, 1, 5]]], np.float32)
  assert with_detail(take, example, decoded, 1)[0, 0, 1] == 11, "of equals the first"
  assert with_detail(take, example, decoded, 3)[0, 0, 1] == 21


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([(4, 9), (12, 3), (7, 7)]), st.sampled_from([1, 3, 5]))
def test_it_is_the_nearest_by_plain_search(seed, lengths, span):
  (frames, others), half = lengths, span // 2
  takes, example, decoded = mels(seed, frames), mels(seed + 100, others), mels(seed + 200, others)
  around = lambda mel, t: mel[:, np.clip(np.arange(t - half, t + half + 1), 0, mel.shape[1] - 1)]
  made = with_detail(takes, example, decoded, span)
  for row in range(len(takes)):
    for t in range(frames):
      far = [np.sum((around(takes[row], t) - around(decoded[row], e)) ** 2) for e in range(others)]
      e = int(np.argmin(far))
      np.testing.assert_allclose(made[row, :, t], takes[row, :, t] + (example - decoded)[row, :, e], atol=1e-5)


@pytest.mark.parametrize("frames", [2, -1, 3.0])
def test_an_even_number_of_frames_is_refused(frames):
  with pytest.raises(ValueError, match=r"Conventions\.detail_frames"):
    Conventions(detail_frames=frames)
