"""Distances of sounds: closed forms, and what they do not hear."""

import jax
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.audio.spectral_loss import spectral_loss
from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import sound_scores

RATE = 22050


def noise(seed=0, level=0.1, seconds=1.0):
  return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def moved(seed, shift=0.0, scale=1.0, count=4000, dimensions=3):
  """Gaussian embeddings whose sample mean and covariance are exactly `shift` and scale ** 2 times one."""
  x = np.random.default_rng(seed).standard_normal((count, dimensions))
  x -= x.mean(0)
  return scale * x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T + shift


@pytest.mark.parametrize(("order", "heard"), [(1, True), (13, True), (14, False)])
def test_a_cosine_over_the_bands_is_its_amplitude_in_db_up_to_the_thirteenth(monkeypatch, order, heard):
  # A result whose ln |mel| has `amplitude` times a cosine more than the target's, and another level.
  amplitude, cosine = 0.5, np.cos(np.pi * order * (np.arange(80) + 0.5) / 80)
  mels = {"result": np.exp(amplitude * cosine + 1), "target": np.ones(80)}
  monkeypatch.setattr(sound_scores, "_magnitude", lambda audio, *_: mels["result" if audio[0] else "target"][:, None])
  monkeypatch.setattr(sound_scores, "_mel_bank", lambda *_: np.eye(80))
  expected = heard * 20 / np.log(10) * np.std(amplitude * cosine)
  assert sound_scores.mcd(np.ones(4096), np.zeros(4096), RATE) == pytest.approx(expected, abs=1e-9)


def test_mcd_hears_colour_and_time_but_no_gain():
  target = noise()
  assert sound_scores.mcd(target, target, RATE) == 0
  assert sound_scores.mcd(0.5 * target, target, RATE) == pytest.approx(0, abs=1e-4)
  dull = np.convolve(target, np.ones(8) / 8, "same")
  assert sound_scores.mcd(dull, target, RATE) > 2 * sound_scores.mcd(noise(1), target, RATE)
  thump = np.zeros(RATE)
  thump[5000:5100] = 0.5
  assert sound_scores.mcd(np.roll(thump, 4000), thump, RATE) > 0.5


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_mcd_is_much_the_same_at_any_rate(rate):
  def distance(rate):
    time, hiss = np.arange(rate) / rate, 0.001 * np.random.default_rng(0).standard_normal(rate)
    return sound_scores.mcd(*(0.3 * np.sin(2 * np.pi * hertz * time) + hiss for hertz in (300, 3000)), rate)

  assert distance(rate) == pytest.approx(distance(RATE), rel=0.15)


@pytest.mark.parametrize("score", [lambda a, b: sound_scores.mcd(a, b, RATE), sound_scores.stft_distance])
def test_sounds_of_other_lengths_or_too_short_are_refused(score):
  for pair in ((noise(), noise()[1:]), (np.zeros(2047), np.zeros(2047)), (np.zeros((2, 4096)),) * 2):
    with pytest.raises(ValueError, match="one length"):
      score(*pair)


def test_stft_distance_of_a_gain_is_its_logarithm():
  target = noise(level=0.3)
  convergence, log_magnitude = distance = sound_scores.stft_distance(0.5 * target, target)
  assert convergence == pytest.approx(0.5) and log_magnitude == pytest.approx(np.log(2), abs=1e-3)
  assert distance.total == convergence + log_magnitude


def test_stft_distance_ranks_the_oracle_before_noise_before_silence():
  target, silence = noise(), np.zeros(RATE)
  oracle, like, none = (sound_scores.stft_distance(x, target) for x in (target, noise(1), silence))
  assert oracle == (0, 0) and oracle.total < like.total < none.total and none.convergence == pytest.approx(1)
  assert sound_scores.stft_distance(silence, silence) == (0, 0)
  assert np.isfinite(sound_scores.stft_distance(target, silence).total)


def test_stft_distance_is_what_the_vocoder_is_trained_on():
  # Silent ends, since the two pad them differently.
  result, target = (np.pad(noise(seed, seconds=0.5), 2048) for seed in (1, 2))
  loss = jax.jit(spectral_loss, static_argnums=2)(*(x[None].astype(np.float32) for x in (result, target)), MINI)
  ours = sound_scores.stft_distance(result, target)
  np.testing.assert_allclose(ours, (loss["convergence"], loss["log_magnitude"]), rtol=1e-3)


def test_a_shift_of_the_mean_is_its_square_and_a_scale_that_of_the_difference():
  first = moved(0)
  assert sound_scores.frechet_distance(first, moved(1)) == pytest.approx(0, abs=1e-9)
  assert sound_scores.frechet_distance(first, moved(1, shift=2.0)) == pytest.approx(3 * 4)
  assert sound_scores.frechet_distance(first, moved(1, scale=3.0)) == pytest.approx(3 * (3 - 1) ** 2)


def test_frechet_distance_is_the_formula_for_covariances_that_do_not_commute():
  rng = np.random.default_rng(0)
  first, second = (rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4)) for _ in range(2))
  one, two = (np.cov(x, rowvar=False) for x in (first, second))
  means = np.sum((first.mean(0) - second.mean(0)) ** 2)
  formula = means + np.trace(one + two - 2 * scipy.linalg.sqrtm(one @ two).real)
  assert sound_scores.frechet_distance(first, second) == pytest.approx(formula)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 6), st.integers(1, 8), st.floats(-3, 3))
def test_frechet_distance_is_symmetric_and_knows_no_origin_also_for_few_embeddings(seed, count, dimensions, shift):
  rng = np.random.default_rng(seed)
  first, second = rng.standard_normal((count, dimensions)), rng.standard_normal((count + 1, dimensions))
  there = sound_scores.frechet_distance(first, second)
  assert there >= 0 and 0 <= sound_scores.frechet_distance(first, first) < 1e-6
  assert there == pytest.approx(sound_scores.frechet_distance(second, first), abs=1e-6)
  assert there == pytest.approx(sound_scores.frechet_distance(first + shift, second + shift), abs=1e-6)


def test_sets_that_spread_along_different_axes_have_nothing_in_common():
  line = np.linspace(-1, 1, 50)
  first, second = np.stack([2 * line, 0 * line], 1), np.stack([0 * line, 3 * line], 1)
  assert sound_scores.frechet_distance(first, second) == pytest.approx((2**2 + 3**2) * np.var(line, ddof=1))


def test_frechet_distance_does_not_see_which_belongs_to_which():
  first = np.random.default_rng(0).standard_normal((50, 4))
  assert sound_scores.frechet_distance(np.random.default_rng(1).permutation(first), first) == pytest.approx(0, abs=1e-9)


def test_embeddings_that_have_no_distance_are_refused():
  good = np.zeros((3, 2))
  for bad in (np.zeros((1, 2)), np.zeros((3, 4)), np.zeros(3), np.full((3, 2), np.nan)):
    with pytest.raises(ValueError, match="embeddings"):
      sound_scores.frechet_distance(good, bad)
