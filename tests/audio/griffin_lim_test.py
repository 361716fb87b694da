import jax
import numpy as np
import pytest

from condfoley_jax.audio import mel
from condfoley_jax.audio.griffin_lim import griffin_lim, mel_to_magnitude
from condfoley_jax.clip import MINI, PAPER

FRAMES = 30
SPECS = pytest.mark.parametrize("spec", [MINI, PAPER], ids=["mini", "paper"])
invert = jax.jit(griffin_lim, static_argnums=1)
log_mel = jax.jit(mel.log_mel, static_argnums=1)


def struck(spec):
  """Two decaying tones, the second struck in mid-clip."""
  t = np.arange(FRAMES * spec.hop) / spec.sample_rate
  strike = lambda start, hertz: (t >= start) * np.exp(-12 * (t - start)) * np.sin(2 * np.pi * hertz * (t - start))
  return (0.4 * (strike(0.05, 600) + strike(0.2, 1500)))[None].astype(np.float32)


@SPECS
def test_magnitudes_have_the_mel_asked_for(spec):
  target = jax.jit(mel.mel_magnitude, static_argnums=1)(struck(spec), spec)
  magnitude = np.asarray(jax.jit(mel_to_magnitude, static_argnums=1)(target, spec))
  assert (magnitude >= 0).all()
  again = np.einsum("bmq,fq->bfm", magnitude, mel.mel_bank(spec))
  assert np.linalg.norm(again - target) < 0.03 * np.linalg.norm(target)


@SPECS
def test_mel_of_the_audio_is_close_to_the_mel_given(spec):
  target = log_mel(struck(spec), spec)[..., :FRAMES]
  audio = invert(target, spec, jax.random.key(0))
  assert audio.shape == (1, FRAMES * spec.hop)
  target = np.asarray(target)
  error = np.abs(np.asarray(log_mel(audio, spec))[..., :FRAMES] - target)
  loud = target > -0.6
  assert 50 * error[loud].mean() < 3.0, "more than 3 dB off where there is sound"


def test_key_sets_the_phase():
  target = log_mel(struck(MINI), MINI)
  first, again, other = (invert(target, MINI, jax.random.key(seed)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.abs(np.asarray(first) - np.asarray(other)).max() > 1e-3
