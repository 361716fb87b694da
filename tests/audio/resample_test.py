"""Resampling: published samples, tones at other rates, lengths."""

import jax
import numpy as np
import pytest

from condfoley_jax.audio.resample import resample
from tests import golden

run = jax.jit(resample, static_argnums=(1, 2))


def tone(rate, hertz=440.0, samples=6000):
  return np.sin(2 * np.pi * hertz * np.arange(samples) / rate).astype(np.float32)[None]


@pytest.mark.golden
def test_samples_equal_the_published_ones():
  ours = run(golden.load("mel.npz")["wav"][None], 22050, 16000)[0]
  golden.assert_close(ours, golden.load("sparsesync_audio.npz")["resampled16k"], 1e-6)


@pytest.mark.parametrize("rates", [(22050, 16000), (44100, 16000), (16000, 22050), (48000, 16000)])
def test_a_tone_stays_the_same_tone(rates):
  resampled = np.asarray(run(tone(rates[0]), *rates))
  expected = tone(rates[1], samples=resampled.shape[1])
  # At both ends half of the filter lies on silence.
  np.testing.assert_allclose(resampled[0, 50:-50], expected[0, 50:-50], atol=0.01)


def test_tones_above_the_new_band_are_lost():
  assert np.abs(run(tone(22050, 10_900), 22050, 16000)[0, 50:-50]).max() < 0.01


@pytest.mark.parametrize(("samples", "expected"), [(44100, 32000), (441, 320), (442, 321), (1, 1)])
def test_length_is_rounded_up(samples, expected):
  assert run(np.ones((2, samples), np.float32), 22050, 16000).shape == (2, expected)


def test_rows_do_not_depend_on_each_other():
  audio = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
  np.testing.assert_allclose(run(audio, 22050, 16000)[1:], run(audio[1:], 22050, 16000), atol=1e-6)


def test_audio_at_the_rate_wanted_comes_back():
  np.testing.assert_array_equal(run(tone(16000), 16000, 16000), tone(16000))
