"""Detail of the example: whose frame each frame of a take gets it from, and how much."""

import jax
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import detail
from condfoley_jax.sampling.detail import with_detail


def mels(seed, frames, rows=2, bins=5):
  return np.random.default_rng(seed).uniform(-1, 1, (rows, bins, frames)).astype(np.float32)


def made(takes, example, decoded, span, seed=0):
  keys = jax.random.split(jax.random.key(seed), len(takes))
  return np.asarray(with_detail(keys, takes, example, decoded, span))


def repeated(mel):
  """Each frame four times, far apart: it is among equals of which any may be drawn."""
  return np.tile(mel, 4)


def test_a_take_that_sounds_like_the_example_becomes_it():
  example, decoded = mels(0, 20), mels(1, 20)
  found = made(decoded, repeated(example), repeated(decoded), 1)
  np.testing.assert_allclose(found, example, atol=1e-6)


def test_frames_around_decide_between_frames_that_are_alike():
  decoded = repeated(np.array([[[0, 1, 0, 5, 1, 5]]], np.float32))
  example = decoded + repeated(np.array([[[0, 10, 0, 0, 20, 0]]], np.float32))
  take = np.array([[[5, 1, 5]]], np.float32)
  assert made(take, example, decoded, 3)[0, 0, 1] == 21
  assert {made(take, example, decoded, 1, seed)[0, 0, 1] for seed in range(9)} == {11, 21}, "of equals either"


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99), st.sampled_from([(4, 9), (12, 4), (7, 7)]), st.sampled_from([1, 3, 5]))
def test_it_is_one_frame_s_the_nearer_the_likelier(seed, lengths, span):
  (frames, others), half, draws = lengths, span // 2, 2000
  takes, example, decoded = (mels(seed + k, n, rows=1)[0] for k, n in ((0, frames), (100, others), (200, others)))
  around = lambda mel, t: mel[:, np.clip(np.arange(t - half, t + half + 1), 0, mel.shape[1] - 1)]
  many = [np.broadcast_to(x, (draws, *x.shape)) for x in (takes, example, decoded)]
  added = made(*many, span, seed) - takes
  for t in range(frames):
    far = np.array([np.mean((around(takes, t) - around(decoded, e)) ** 2) for e in range(others)])
    wanted = scipy.special.softmax(-far / (detail._SHARE * (far.min() + detail._ALIKE)))
    off = np.abs(added[:, :, t, None] - (example - decoded)).max(1)
    assert off.min(1).max() < 1e-5
    found = np.bincount(off.argmin(1), minlength=others) / draws
    np.testing.assert_allclose(found, wanted, atol=5 * np.sqrt(0.25 / draws))


def test_rounding_does_not_decide_between_frames_that_are_alike():
  rng = np.random.default_rng(0)
  quiet = (-1 + rng.normal(0, 1e-3, (1, 20, 200))).astype(np.float32)
  example = quiet + rng.normal(0, 0.1, quiet.shape).astype(np.float32)
  takes = quiet[:, :, ::-1] + rng.normal(0, 1e-3, quiet.shape).astype(np.float32)
  rounded = takes + rng.normal(0, 1e-7, takes.shape).astype(np.float32)
  assert np.array_equal(takes, rounded) is False
  np.testing.assert_allclose(made(takes, example, quiet, 7), made(rounded, example, quiet, 7), atol=1e-5)


def test_of_equals_all_are_drawn_by_the_key_of_the_take_alone():
  decoded = repeated(mels(1, 1, rows=3))
  example = decoded + np.arange(4, dtype=np.float32)
  takes = np.tile(decoded[..., :1], 50)
  found = made(takes, example, decoded, 1)
  added = np.round(found - takes)[:, 0]
  assert all(set(row) == {0, 1, 2, 3} for row in added) and not np.array_equal(added[0], added[1])
  np.testing.assert_array_equal(found, made(takes, example, decoded, 1))
  key = jax.random.split(jax.random.key(0), 3)[1:2]
  np.testing.assert_array_equal(found[1:2], with_detail(key, takes[1:2], example[1:2], decoded[1:2], 1))


def test_parts_of_a_take_are_as_in_the_whole():
  takes, example, decoded = mels(0, 40), mels(1, 20), mels(2, 20)
  keys = jax.random.split(jax.random.key(0), 2)
  whole = with_detail(keys, takes, example, decoded, 5)
  part = with_detail(keys, takes[:, :, 10:30], example, decoded, 5, first=10)
  np.testing.assert_allclose(part[:, :, 2:-2], whole[:, :, 12:28], atol=1e-6)


@pytest.mark.parametrize("frames", [2, -1, 3.0, 101])
def test_other_numbers_of_frames_are_refused(frames):
  with pytest.raises(ValueError, match=r"Conventions\.detail_frames"):
    Conventions(detail_frames=frames)


def test_it_goes_with_an_example_of_one_clip_alone():
  with pytest.raises(ValueError, match="needs windows sliding"):
    Conventions(detail_frames=7, windows="half")
