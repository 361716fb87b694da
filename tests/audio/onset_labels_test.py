"""Onset labels on the device are those of `detect_onsets` on the host."""

import jax
import numpy as np
import pytest

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.onset_labels import onset_envelope, onset_labels, pick_peaks
from condfoley_jax.audio.onsets import detect_onsets
from tests import golden

RATE, FPS, FRAMES = 22050, 15, 30


def strikes(seed, rate=RATE):
  """2 s with a few decaying bursts over faint noise."""
  rng = np.random.default_rng(seed)
  audio = 1e-3 * rng.standard_normal(2 * rate)
  for start in rng.uniform(0, 1.95, 5):
    burst = rng.uniform(0.05, 0.4) * rng.standard_normal(2 * rate) * np.exp(-np.arange(2 * rate) / (0.05 * rate))
    audio[int(start * rate) :] += burst[: 2 * rate - int(start * rate)]
  return audio.astype(np.float32)


def expected_labels(audio, rate=RATE):
  labels = np.zeros(FRAMES, np.float32)
  labels[np.minimum(np.rint(detect_onsets(audio, rate) * FPS).astype(int), FRAMES - 1)] = 1
  return labels


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_labels_are_those_of_the_detected_onsets(rate):
  audio = np.stack([*(strikes(seed, rate) for seed in range(6)), np.zeros(2 * rate, np.float32)])
  labels = jax.jit(lambda x: onset_labels(x, rate, FPS, FRAMES))(audio)
  np.testing.assert_array_equal(labels, [expected_labels(x, rate) for x in audio])
  assert labels[:-1].sum() > 10 and not labels[-1].any()


def test_envelope_is_that_of_librosa():
  audio = strikes(0)
  envelope = jax.jit(lambda x: onset_envelope(x, RATE))(audio[None])[0]
  np.testing.assert_allclose(envelope, librosa().onset.onset_strength(y=audio, sr=RATE), atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_peaks_are_those_of_librosa(seed):
  envelope = np.random.default_rng(seed).gamma(0.3, size=200).astype(np.float32)
  found = np.flatnonzero(jax.jit(lambda x: pick_peaks(x, RATE))(envelope))
  np.testing.assert_array_equal(found, librosa().onset.onset_detect(onset_envelope=envelope, sr=RATE, delta=0.3))


@pytest.mark.golden
@pytest.mark.parametrize("clip", ["hitting_metal", "chopping"])
def test_labels_of_real_clips_are_the_published_onsets(clip):
  vectors = golden.load("onsets.npz")
  audio = vectors[f"{clip}_wav_int16_first2s"] / np.float32(32768)
  labels = jax.jit(lambda x: onset_labels(x, RATE, FPS, FRAMES))(audio[None])[0]
  times = vectors[f"{clip}_first2s_onset_samples"] / RATE
  np.testing.assert_array_equal(np.flatnonzero(labels), np.unique(np.minimum(np.rint(times * FPS), FRAMES - 1)))
