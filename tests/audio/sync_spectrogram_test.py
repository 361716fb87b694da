"""What the synchronisation network hears: published numbers, standardising, silence."""

import jax
import numpy as np
import pytest

from condfoley_jax.audio.resample import resample
from condfoley_jax.audio.sync_spectrogram import SAMPLES, sync_spectrogram
from tests import golden

run = jax.jit(sync_spectrogram)


def noise(samples):
  return 0.1 * np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)


@pytest.mark.golden
def test_spectrogram_equals_the_published_one():
  spectrogram = run(resample(golden.load("mel.npz")["wav"][None], 22050, 16000))[0]
  assert spectrogram.shape == (257, 626)
  golden.assert_close(spectrogram[:, ::8], golden.load("sparsesync_audio.npz")["spec_every8"])


def test_each_frequency_is_standardised_over_time():
  spectrogram = np.asarray(run(noise(SAMPLES)))
  assert spectrogram.shape == (2, 257, 626) and spectrogram.dtype == np.float32
  np.testing.assert_allclose(spectrogram.mean(-1), 0, atol=1e-5)
  np.testing.assert_allclose(spectrogram.std(-1, ddof=1), 1, atol=1e-4)


def test_short_audio_is_followed_by_silence():
  audio = noise(32000)
  padded = np.pad(audio, ((0, 0), (0, SAMPLES - 32000)))
  spectrogram = np.asarray(run(audio))
  np.testing.assert_array_equal(spectrogram, run(padded))
  assert (spectrogram[..., :245] > 0).mean() > 0.99 and (spectrogram[..., 255:] < 0).all()


def test_silence_is_zero():
  np.testing.assert_array_equal(run(np.zeros((1, 100), np.float32)), np.zeros((1, 257, 626)))


def test_rows_do_not_depend_on_each_other():
  np.testing.assert_allclose(run(noise(32000))[1:], run(noise(32000)[1:]), atol=1e-4)


def test_audio_longer_than_what_the_network_hears_is_an_error():
  with pytest.raises(ValueError, match="80001 samples"):
    jax.eval_shape(sync_spectrogram, jax.ShapeDtypeStruct((1, SAMPLES + 1), np.float32))
