"""The noise gate of Countix-AV."""

import numpy as np
import pytest

from data_pipelines.denoise import denoise
from tests import golden

RATE = 22050


def test_noise_goes_and_clicks_stay():
  rng = np.random.default_rng(0)
  audio = (0.01 * rng.standard_normal(2 * RATE)).astype(np.float32)
  audio[RATE : RATE + 400] += 0.5 * rng.standard_normal(400).astype(np.float32)
  clean = denoise(audio, RATE)
  assert clean.shape == audio.shape and clean.dtype == np.float32
  assert np.std(clean[: RATE // 2]) < 0.2 * np.std(audio[: RATE // 2])
  assert np.abs(clean).max() > 0.5 * np.abs(audio).max()


@pytest.mark.parametrize("samples", [1, RATE, 30 * RATE])
def test_digital_silence_stays_silence_and_spoils_nothing(samples):
  clicks = np.random.default_rng(0).standard_normal(2000).astype(np.float32) * 0.1
  clean = denoise(np.concatenate([np.zeros(samples, np.float32), clicks]), RATE)
  assert np.isfinite(clean).all() and np.abs(clean[-2000:]).max() > 0.05
  assert np.abs(denoise(np.zeros(samples, np.float32), RATE)).max() < 1e-8


@pytest.mark.golden
@pytest.mark.parametrize("clip", ["hitting_metal", "chopping"])
def test_it_equals_the_published_gate(clip):
  vectors = golden.load("denoise.npz")
  clean = denoise(vectors[f"{clip}_in"].astype(np.float32) / 32768, RATE)
  np.testing.assert_allclose(clean, vectors[f"{clip}_out"], atol=1e-4 * np.abs(vectors[f"{clip}_out"]).max())
