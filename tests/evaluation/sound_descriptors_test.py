"""Descriptors of a sound at its onsets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.evaluation import sound_descriptors
from condfoley_jax.evaluation.sound_descriptors import Descriptors

RATE = 22050
TIME = np.arange(2 * RATE) / RATE
SOUNDS = st.builds(Descriptors, st.floats(0.005, 5), st.floats(50, 10_000), st.floats(-100, 0))
NONE = Descriptors(np.nan, np.nan, np.nan)


def struck(onsets_s, *, fall_s=0.1, hertz=2000.0, peak=0.5):
  """Tones that fall by 20 dB in `fall_s`, each from its onset on."""
  since = [np.where(t <= TIME, TIME - t, np.inf) for t in onsets_s]
  return sum((peak * np.sin(2 * np.pi * hertz * TIME) * 10 ** (-s / fall_s) for s in since), np.zeros(len(TIME)))


@pytest.mark.parametrize("fall_s", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("hertz", [500.0, 4000.0])
def test_a_struck_tone_has_its_own_decay_pitch_and_level(fall_s, hertz):
  found = sound_descriptors.describe(struck([0.5], fall_s=fall_s, hertz=hertz), np.array([0.5]), RATE)
  assert found.decay_s == pytest.approx(fall_s, rel=0.15) and found.centroid_hz == pytest.approx(hertz, rel=0.1)
  # Energy of the tone in 100 ms, spread over the 125 ms that count.
  energy = 0.5**2 / 2 * fall_s / (2 * np.log(10)) * (1 - 100 ** (-0.1 / fall_s))
  assert found.level_db == pytest.approx(10 * np.log10(energy / 0.125), abs=0.2)


def test_a_decay_that_the_next_onset_hides_is_extrapolated():
  onsets = np.array([0.2, 0.4, 0.6, 0.8])
  found = sound_descriptors.describe(struck(onsets, fall_s=0.4), onsets, RATE)
  assert found.decay_s == pytest.approx(0.4, rel=0.3)


def test_what_does_not_fall_has_the_longest_decay_and_a_click_the_shortest():
  steady = np.where(TIME > 0.5, 0.1 * np.sin(3000 * TIME), 0)
  click = np.zeros(len(TIME))
  click[RATE // 2] = 0.5
  assert sound_descriptors.describe(steady, np.array([0.5]), RATE).decay_s > 4.5
  assert sound_descriptors.describe(click, np.array([0.5]), RATE).decay_s == 0.005
  constant, last = np.full(len(TIME), 0.1), np.where(TIME > 1.995, 0.1, 0)
  assert sound_descriptors.describe(constant, np.array([0.5]), RATE).decay_s == 5
  assert sound_descriptors.describe(last, np.array([1.99]), RATE).decay_s == 5
  dips = np.select([TIME < 0.5, TIME < 0.515, TIME < 0.53], [0, 0.1, 0.02], 0.099) * np.sin(20_000 * TIME)
  assert sound_descriptors.describe(dips, np.array([0.5]), RATE).decay_s == 5


def test_what_swells_later_without_an_onset_is_no_part_of_a_decay():
  sound = struck([0.5], fall_s=0.1, peak=0.1) + np.where(TIME > 1.2, 0.5 * np.sin(3000 * TIME), 0)
  assert sound_descriptors.describe(sound, np.array([0.5]), RATE).decay_s == pytest.approx(0.1, rel=0.15)


def test_onsets_weigh_the_same_however_loud():
  sound = struck([0.3, 0.8], hertz=1000.0, peak=0.01) + struck([1.4], hertz=6000.0, peak=0.9)
  found = sound_descriptors.describe(sound, np.array([0.3, 0.8, 1.4]), RATE)
  assert found.centroid_hz == pytest.approx(1000, rel=0.1)


def test_a_gain_changes_the_level_alone():
  onsets = np.array([0.3, 1.0])
  loud, quiet = (sound_descriptors.describe(g * struck(onsets), onsets, RATE) for g in (1.0, 0.1))
  change = sound_descriptors.differences(quiet, loud)
  np.testing.assert_allclose(change, (0, 0, -20), atol=1e-6)


@pytest.mark.parametrize("onset", [0.0, 1.999])
def test_an_onset_at_an_end_is_described(onset):
  tone = 0.1 * np.sin(2 * np.pi * 2000 * TIME)
  assert np.isfinite(sound_descriptors.describe(tone, np.array([onset]), RATE)).all()


def test_onsets_closer_than_any_window_are_described():
  tone = 0.1 * np.sin(2 * np.pi * 2000 * TIME)
  assert np.isfinite(sound_descriptors.describe(tone, np.array([0.01, 0.5, 0.504]), RATE)).all()


def test_silence_and_sound_without_onsets_have_none():
  for sound, onsets in ((np.zeros(len(TIME)), np.array([0.5])), (struck([0.5]), np.zeros(0))):
    assert np.isnan(sound_descriptors.describe(sound, onsets, RATE)).all()


def test_differences_are_octaves_and_db():
  example = Descriptors(0.1, 1000.0, -20.0)
  assert sound_descriptors.differences(Descriptors(0.2, 500.0, -26.0), example) == pytest.approx((1, -1, -6))
  alike = sound_descriptors.similarity(Descriptors(0.2, 500.0, -26.0), example)
  assert alike == pytest.approx((0.5, 0.5, 0.501), abs=1e-3)


@settings(deadline=None)
@given(SOUNDS, SOUNDS)
def test_similarity_is_mutual_and_1_for_the_same_alone(one, other):
  there, back = sound_descriptors.similarity(one, other), sound_descriptors.similarity(other, one)
  assert there == pytest.approx(back) and all(0 < s <= 1 for s in there)
  assert sound_descriptors.similarity(one, one) == (1, 1, 1)
  away = sound_descriptors.differences(one, other)
  assert all((s == 1) <= (abs(d) < 1e-6) for s, d in zip(there, away, strict=True))


def test_a_silent_result_is_not_alike_and_a_silent_example_is_left_out():
  sound = Descriptors(0.1, 1000.0, -20.0)
  assert sound_descriptors.similarity(NONE, sound) == (0, 0, 0)
  assert np.isnan(sound_descriptors.similarity(sound, NONE)).all()
  assert np.isnan(sound_descriptors.differences(NONE, sound)).all()
