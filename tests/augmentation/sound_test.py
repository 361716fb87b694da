"""Augmentation of sound: what is drawn, what is shared, and that off means off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.augmentation import sound
from condfoley_jax.augmentation.sound import SoundAugmentation

KEY = jax.random.key(0)
N = 22050


def tone(hz, rows=4):
  return jnp.tile(0.5 * jnp.sin(2 * jnp.pi * hz * jnp.arange(N) / N), (rows, 1))


def peak_hz(audio):
  """Loudest frequency of each row; a bin is 1 Hz."""
  return np.abs(np.fft.rfft(np.asarray(audio) * np.hanning(N))).argmax(1)


def level_db(audio):
  return 20 * np.log10(np.sqrt(np.mean(np.asarray(audio) ** 2, 1)))


def test_off_changes_nothing():
  a, b = sound.augment((tone(300), tone(500)), KEY, SoundAugmentation())
  np.testing.assert_array_equal(a, tone(300))
  np.testing.assert_array_equal(b, tone(500))
  mel = jax.random.uniform(KEY, (2, 8, 10))
  np.testing.assert_array_equal(sound.mask_mel(mel, KEY, SoundAugmentation()), mel)


def test_both_clips_of_a_pair_share_level_and_speed():
  change = SoundAugmentation(gain_db=(-12, 0), speed=0.05)
  a, b = sound.augment((tone(400, 16), tone(400, 16)), KEY, change)
  np.testing.assert_allclose(a, b, atol=1e-6)
  assert np.ptp(level_db(a)) > 3 and np.ptp(peak_hz(a)) > 10


def test_gain_is_drawn_per_clip_within_its_range():
  gain = 20 * np.log10(np.asarray(sound.draw_gain(500, KEY, (-12.0, 6.0))))
  assert gain.shape == (500, 1) and -12 <= gain.min() < -11 and 5 < gain.max() <= 6
  assert np.allclose(sound.random_gain(jnp.full((4, 8), 0.9), KEY, (6.0, 6.0)), 1)


@pytest.mark.parametrize("speed", [0.97, 1.0, 1.03])
def test_speed_moves_pitch_and_keeps_the_middle(speed):
  played = sound.change_speed(tone(1000), jnp.full(4, speed))
  assert np.abs(peak_hz(played) - 1000 * speed).max() <= 1
  click = jnp.zeros((1, 1001)).at[0, 500].set(1.0).at[0, 900].set(1.0)
  found = np.flatnonzero(np.asarray(sound.change_speed(click, jnp.array([speed])))[0] > 0.4)
  assert found[0] == 500 and abs(found[-1] - (500 + 400 / speed)) <= 1


def test_what_lies_beyond_the_clip_is_silent():
  fast = np.asarray(sound.change_speed(jnp.ones((1, 1000)), jnp.array([1.1])))[0]
  assert not fast[:40].any() and not fast[-40:].any() and (fast[60:-60] > 0.99).all()


def test_noise_has_the_level_asked_for_and_slopes_down():
  made = np.asarray(sound.noise(KEY, KEY, (64, N), (-60.0, -40.0)))
  levels = level_db(made)
  assert -60.1 < levels.min() < -57 and -43 < levels.max() < -39.9
  power = np.abs(np.fft.rfft(made)) ** 2
  slope = 10 * np.log10(power[:, 50:500].mean(1) / power[:, 5000:10000].mean(1))
  assert -1 < slope.min() < 4 and 8 < slope.max() < 20


def test_noise_of_both_clips_is_as_loud_and_as_dull_but_not_the_same():
  clips = (jnp.zeros((32, N)),) * 2
  a, b = (np.asarray(x) for x in sound.augment(clips, KEY, SoundAugmentation(noise_db=(-60, -40))))
  assert np.abs(a - b).max(1).min() > 1e-4
  np.testing.assert_allclose(level_db(a), level_db(b), atol=0.3)
  assert np.ptp(level_db(a)) > 10
  dullness = lambda x: level_db(np.diff(x)) - level_db(x)
  np.testing.assert_allclose(dullness(a), dullness(b), atol=1)
  assert np.ptp(dullness(a)) > 3


def test_masks_are_one_stripe_of_each_kind_up_to_the_widest():
  change = SoundAugmentation(mask_frames=6, mask_bins=3)
  masked = np.asarray(sound.mask_mel(jnp.ones((200, 20, 30)), KEY, change)) == -1
  frames, bins = masked.all(1).sum(1), masked.all(2).sum(1)
  assert set(frames) == set(range(7)) and set(bins) == set(range(4))
  assert (masked == (masked.all(1)[:, None] | masked.all(2)[:, :, None])).all()
  for stripe in masked.all(1):
    where = np.flatnonzero(stripe)
    assert not where.size or where[-1] - where[0] + 1 == where.size
