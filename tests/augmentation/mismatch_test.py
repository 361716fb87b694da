"""Sounds with a mistake: which, how often, and only where the picture tells it."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.augmentation.mismatch import Events, mismatched

RATE, SAMPLES = 1000, 2000
LENGTH = 40  # Of a strike, less than events are apart.


def strikes(times):
  """A strike of another height for each time, samples."""
  audio = np.zeros(SAMPLES, np.float32)
  for height, at in enumerate(times, 1):
    audio[at : at + LENGTH] = height / 20
  return audio


def heard(audio):
  """(time, height) of the strikes in a sound."""
  starts = np.flatnonzero((audio != 0) & (np.roll(audio, 1) == 0))
  return {(int(t), round(20 * float(audio[t]))) for t in starts}


def made(times, first=0, end=SAMPLES, rows=200, seed=0):
  """What becomes of rows of these strikes; every other row is a sound of noise, which has no event."""
  noise = np.random.default_rng(0).uniform(0.5, 1, SAMPLES).astype(np.float32)
  audio = np.stack([strikes(times), noise] * (rows // 2))
  at = np.zeros((rows, 6), np.int32)
  at[:, : len(times)] = times
  there = np.zeros_like(at, bool)
  there[::2, : len(times)] = True
  bounds = (np.full(rows, x, np.int32) for x in (first, end))
  found = mismatched(audio, Events(at, there, *bounds), RATE, jax.random.key(seed))
  return audio, np.asarray(found)


def kind(before, row):
  """Which mistake was made of these strikes in a row."""
  if (row >= 0.5).all():
    return "other"
  after = heard(row)
  gone, new = before - after, after - before
  return {(1, 0): "missing", (0, 1): "extra", (1, 1): "moved"}[len(gone), len(new)]


TIMES = st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True).map(lambda at: [200 * k for k in sorted(at)])


@settings(max_examples=25, deadline=None)
@given(TIMES, st.integers(0, 9), st.sampled_from([(0, SAMPLES), (500, SAMPLES), (0, 1500)]))
def test_every_row_has_one_mistake_that_its_picture_tells(times, seed, span):
  first, end = span
  audio, found = made(times, first, end, rows=16, seed=seed)
  before, visible = heard(audio[0]), [t for t in times if first <= t - 10 < end - 100]
  for row in found[::2]:
    what = kind(before, row)
    assert what == "other" or visible
    changed = before ^ heard(row) if what != "other" else set()
    assert all(first <= t < end for t, _ in changed)
    for t, _ in changed - before:
      assert min(abs(t - other) for other in times) >= 140, "no strike where there is one"
  for row, of in enumerate(range(0, 16, 2)):
    np.testing.assert_array_equal(found[2 * row + 1], audio[of], err_msg="without events it is another's sound")


def test_all_mistakes_are_made_as_often():
  audio, found = made([300, 900, 1500], rows=800)
  kinds = [kind(heard(audio[0]), row) for row in found[::2]]
  for name in ("missing", "extra", "moved", "other"):
    assert 60 <= kinds.count(name) <= 140, name
  gone = {
    t for row, what in zip(found[::2], kinds, strict=True) if what != "other" for t, _ in heard(audio[0]) - heard(row)
  }
  assert gone == {300, 900, 1500}


def test_what_is_heard_until_the_next_event_goes_with_the_event():
  audio = np.full((2, SAMPLES), 0.5, np.float32)
  events = Events(np.array([[500, 1200]] * 2), np.ones((2, 2), bool), np.zeros(2, np.int32), np.full(2, SAMPLES))
  silent = set()
  for seed in range(40):
    quiet = np.flatnonzero(np.asarray(mismatched(audio, events, RATE, jax.random.key(seed)))[0] == 0)
    silent |= {(quiet[0], quiet[-1])} if quiet.size else set()
  assert {(490, 1189), (1190, 1999)} <= silent


@pytest.mark.parametrize("seed", [0, 1])
def test_a_draw_repeats(seed):
  np.testing.assert_array_equal(made([300, 900], seed=seed)[1], made([300, 900], seed=seed)[1])
