import jax
import jax.numpy as jnp
import pytest

from condfoley_jax.audio.spectral_loss import spectral_loss
from condfoley_jax.clip import MINI

SAMPLES = 4900


@pytest.fixture(scope="module")
def loss():
  return jax.jit(lambda predicted, target: spectral_loss(predicted, target, MINI))


def tone(hertz, amplitude=0.3):
  return amplitude * jnp.sin(2 * jnp.pi * hertz * jnp.arange(SAMPLES) / MINI.sample_rate)[None]


def test_identical_audio_has_no_loss(loss):
  assert loss(tone(440), tone(440))["total"] < 1e-4


def test_total_is_the_sum_of_the_terms(loss):
  terms = loss(tone(440), tone(880))
  assert set(terms) == {"convergence", "log_magnitude", "mel", "total"}
  assert terms["total"] == pytest.approx(float(terms["convergence"] + terms["log_magnitude"] + terms["mel"]), rel=1e-6)


def test_every_term_grows_with_the_error_in_level(loss):
  near, far = (loss(tone(440, amplitude), tone(440, 0.3)) for amplitude in (0.25, 0.1))
  assert all(near[name] < far[name] for name in near)


def test_polarity_is_free_but_pitch_is_not(loss):
  assert loss(-tone(440), tone(440))["total"] < 1e-3
  assert loss(tone(466), tone(440))["total"] > 0.1


def test_gradient_is_finite_for_silence_against_sound_and_back():
  grad = jax.jit(jax.grad(lambda predicted, target: spectral_loss(predicted, target, MINI)["total"]))
  silence, sound = jnp.zeros((1, SAMPLES)), 0.1 * jax.random.normal(jax.random.key(0), (1, SAMPLES))
  assert jnp.isfinite(grad(silence, sound)).all() and jnp.isfinite(grad(silence, silence)).all()
  assert jnp.isfinite(grad(sound, silence)).all() and jnp.abs(grad(sound, silence)).max() > 0


def test_total_is_least_at_the_target_level(loss):
  noise = jax.random.normal(jax.random.key(0), (1, SAMPLES))
  totals = [loss(gain * noise, 0.1 * noise)["total"] for gain in (0.05, 0.08, 0.1, 0.12, 0.2)]
  assert totals[0] > totals[1] > totals[2] < totals[3] < totals[4]
