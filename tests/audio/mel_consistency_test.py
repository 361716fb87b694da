"""Sound is brought nearer to a mel, and left alone where it has that mel."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.mel_consistency import closer_to_mel
from condfoley_jax.clip import MINI, PAPER

KEY = jax.random.key(0)
FRAMES = 60


def ringing(spec, pitch=1.0):
  """Partials that decay, struck twice, and a little noise, float32 [2, N]."""
  seconds = jnp.arange(FRAMES * spec.hop) / spec.sample_rate
  partials = sum(jnp.exp(-12 * seconds) * jnp.sin(2 * jnp.pi * f * pitch * seconds) for f in (440.0, 1130.0, 3210.0))
  struck = partials + jnp.roll(partials, len(seconds) // 2)
  return jnp.stack([0.2 * struck, 0.05 * struck]) + 1e-4 * jax.random.normal(KEY, (2, len(seconds)))


def distance(audio, mel, spec):
  return float(jnp.abs(log_mel(audio, spec)[..., : mel.shape[-1]] - mel).mean())


@pytest.mark.parametrize("spec", [MINI, PAPER], ids=["same", "center"])
def test_each_pass_brings_other_sound_nearer_to_the_mel(spec):
  """Through noise, which has nothing of it, and through sound that is a little off."""
  mel = log_mel(ringing(spec), spec)[..., :FRAMES]
  closer = jax.jit(functools.partial(closer_to_mel, spec=spec), static_argnames="passes")
  for start in (0.01 * jax.random.normal(KEY, (2, FRAMES * spec.hop)), ringing(spec, 1.03)):
    made = [closer(start, mel, passes=n) for n in (0, 1, 2, 4)]
    np.testing.assert_array_equal(made[0], start)
    assert all(x.shape == start.shape for x in made)
    off = [distance(x, mel, spec) for x in made]
    assert off == sorted(off, reverse=True) and off[-1] < 0.7 * off[0]


def test_sound_that_has_the_mel_stays():
  audio = ringing(MINI)
  np.testing.assert_allclose(closer_to_mel(audio, log_mel(audio, MINI), MINI, 2), audio, atol=2e-4)


def test_what_no_band_reaches_and_what_is_below_the_floor_stay():
  """20 Hz lies below the first band; silence under a silent mel is not made louder."""
  seconds = np.arange(FRAMES * MINI.hop) / MINI.sample_rate
  hum = 0.1 * np.sin(2 * np.pi * 20 * seconds)[None].astype(np.float32)
  silent = np.full((1, MINI.n_mels, FRAMES), -1, np.float32)
  quiet = 1e-7 * jax.random.normal(KEY, hum.shape)
  middle = slice(MINI.n_fft, -MINI.n_fft)
  made = np.asarray(closer_to_mel(quiet, silent, MINI, 3))
  assert np.abs(made).max() <= 1.01 * np.abs(quiet).max()
  left = np.asarray(closer_to_mel(hum, silent, MINI, 3))[0, middle]
  # In the bins of 0 and 22 Hz; what the window spreads to the bands above goes.
  assert 0.05 < np.abs(left).max() < 0.11
