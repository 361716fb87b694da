import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.audio import mel
from condfoley_jax.audio.compiled import librosa
from condfoley_jax.clip import MINI, PAPER
from tests import golden

SLANEY_PAPER = dataclasses.replace(PAPER, mel_scale="slaney")
log_mel = jax.jit(mel.log_mel, static_argnums=1)
mel_magnitude = jax.jit(mel.mel_magnitude, static_argnums=1)


@pytest.fixture(scope="module")
def vectors():
  return golden.load("mel.npz")


def test_scale_spans_minus_80_to_20_decibels():
  np.testing.assert_allclose(mel.scale_mel(jnp.array([0.0, 1e-4, 1.0, 10.0, 99.0])), [-1, -1, 0.6, 1, 1], atol=1e-6)


def test_linear_mel_inverts_scale_mel():
  x = jnp.array([1e-4, 0.03, 1.0, 9.9])
  np.testing.assert_allclose(mel.linear_mel(mel.scale_mel(x)), x, rtol=1e-4)


@pytest.mark.parametrize("m", [0, 1, 90, 179])
def test_impulse_in_the_middle_of_a_hop_peaks_in_its_frame(m):
  audio = np.zeros((1, MINI.samples), np.float32)
  audio[0, MINI.hop * m + 122] = 1
  energy = np.asarray(mel_magnitude(audio, MINI)).sum(axis=1)[0]
  assert energy.shape == (180,)
  assert energy.argmax() == m


def test_crop_positions():
  frames = jnp.arange(173.0)[None, None]
  assert mel.crop_mel(frames, PAPER, "center")[0, 0, [0, -1]].tolist() == [6, 165]
  assert mel.crop_mel(frames, PAPER, "first")[0, 0, [0, -1]].tolist() == [0, 159]
  assert mel.crop_mel(frames, PAPER, "first", clips=2)[0, 0, [172, 173, 319]].tolist() == [172, 0, 0]
  whole = jnp.arange(180.0)[None, None]
  np.testing.assert_array_equal(mel.crop_mel(whole, MINI, "center"), whole)


@pytest.mark.parametrize(("spec", "scale"), [(PAPER, "slaney"), (SLANEY_PAPER, "htk")])
def test_rescaled_mel_is_near_that_of_the_other_scale(spec, scale):
  rng, time = np.random.default_rng(0), np.arange(22050) / 22050
  tones = sum(a * np.sin(2 * np.pi * f * time) for a, f in [(0.3, 300), (0.2, 1234), (0.1, 4000)])
  audio = (tones * np.exp(-4 * time) + 0.05 * rng.standard_normal(22050) * np.exp(-9 * time)).astype(np.float32)
  here, there = (log_mel(audio[None], s) for s in (spec, dataclasses.replace(spec, mel_scale=scale)))
  off = lambda mel_BxFxM: float(jnp.abs(mel_BxFxM - there).mean())
  assert off(mel.rescale_mel(here, spec, scale)) < 0.4 * off(here)
  np.testing.assert_array_equal(mel.rescale_mel(here, spec, spec.mel_scale), here)


@pytest.mark.golden
def test_rescaled_mel_of_a_real_clip_is_near_the_vocoders(vectors):
  htk, slaney = (log_mel(vectors["wav"][None], s) for s in (PAPER, SLANEY_PAPER))
  assert np.abs(mel.rescale_mel(htk, PAPER, "slaney") - slaney).mean() < 0.3 * np.abs(htk - slaney).mean()


def test_rms_normalise_is_per_row_and_leaves_silence():
  rows = jnp.stack([jnp.full(100, 0.4), jnp.full(100, 1e-6), jnp.zeros(100)])
  np.testing.assert_allclose(mel.rms_normalise(rows)[:, 0], [0.1, 1e-3, 0], rtol=1e-5)


def test_every_bank_row_of_both_specs_is_hit_by_some_bin():
  for spec in (MINI, PAPER):
    assert (mel.mel_bank(spec).max(axis=1) > 0).all()


@pytest.mark.parametrize("spec", [MINI, PAPER, SLANEY_PAPER], ids=["mini", "paper", "slaney"])
def test_a_bank_is_librosas(spec):
  given = {"sr": spec.sample_rate, "n_fft": spec.n_fft, "n_mels": spec.n_mels, "fmin": spec.fmin, "fmax": spec.fmax}
  expected = librosa().filters.mel(**given, htk=spec.mel_scale == "htk")
  np.testing.assert_allclose(mel.mel_bank(spec), expected, rtol=1e-6, atol=1e-8)


def test_gradient_is_finite_on_silence_and_noise():
  noise = 0.1 * jax.random.normal(jax.random.key(0), (1, 4900))
  grad = jax.jit(jax.grad(lambda a: mel.log_mel(a, MINI).sum()))
  assert not grad(jnp.zeros((1, 4900))).any()
  assert jnp.isfinite(grad(noise)).all() and jnp.abs(grad(noise)).max() > 0


@pytest.mark.golden
@pytest.mark.parametrize(("spec", "name"), [(PAPER, "fb_htk"), (SLANEY_PAPER, "fb_librosa")])
def test_banks_equal_the_published_ones(vectors, spec, name):
  expected = vectors[name].T if name == "fb_htk" else vectors[name]
  np.testing.assert_allclose(mel.mel_bank(spec), expected, atol=1e-6)


@pytest.mark.golden
def test_mel_equals_the_published_training_and_generation_mel(vectors):
  wav = vectors["wav"][None]
  np.testing.assert_allclose(mel_magnitude(wav, PAPER)[0], vectors["mel_lin"], atol=1e-4, rtol=1e-4)
  full = log_mel(wav, PAPER)
  np.testing.assert_allclose((full[0] + 1) / 2, vectors["gen_spec01"], atol=1e-4)
  np.testing.assert_allclose((mel.crop_mel(full, PAPER, "center")[0] + 1) / 2, vectors["train_spec01"], atol=1e-4)
  normalised = mel.crop_mel(log_mel(mel.rms_normalise(wav), PAPER), PAPER, "center")
  np.testing.assert_allclose((normalised[0] + 1) / 2, vectors["train_norm_spec01"], atol=1e-4)


@pytest.mark.golden
def test_slaney_mel_equals_the_published_vocoder_mel(vectors):
  np.testing.assert_allclose(
    (log_mel(vectors["wav"][None], SLANEY_PAPER)[0] + 1) / 2, vectors["librosa_spec01"], atol=1e-4
  )


@pytest.mark.golden
def test_padding_with_silence_differs_at_the_edges_alone(vectors):
  """Newer versions of librosa do; the published one, and ours, mirrors."""
  mel = (log_mel(vectors["wav"][None], SLANEY_PAPER)[0] + 1) / 2
  inner = slice(2, -2)
  np.testing.assert_allclose(mel[:, inner], vectors["librosa_spec01_zero_pad"][:, inner], atol=1e-4)
  assert np.abs(mel - vectors["librosa_spec01_zero_pad"]).max() > 1e-2
