"""Random gain, and the phases of the VQGAN's stage."""

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import draw_gain, random_gain
from configs import vqgan


def test_gain_is_drawn_per_clip_within_its_range():
  gain = 20 * np.log10(np.asarray(draw_gain(500, jax.random.key(0), (-12.0, 6.0))))
  assert gain.shape == (500, 1)
  assert -12 <= gain.min() < -11
  assert 5 < gain.max() <= 6


def test_audio_is_clipped_after_the_gain():
  audio = random_gain(jnp.full((4, 8), 0.9), jax.random.key(0), (6.0, 6.0))
  assert np.allclose(audio, 1)


def test_the_discriminator_plays_from_its_start_on():
  config = vqgan.get_config("mini").to_dict() | {"discriminator_start": 10}
  stage = registry.create(config)
  assert list(stage.losses(stage.phase(9))) == ["vqgan"]
  assert list(stage.losses(stage.phase(10))) == ["vqgan", "discriminator"]
