"""Random gain, the mel that models are trained on, and the phases of the VQGAN's stage."""

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import draw_gain, random_gain
from configs import transformer, vqgan


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


def test_published_models_are_trained_on_the_central_mel_frames_at_the_published_level():
  stages = [registry.create(c.get_config("paper_gh").to_dict()) for c in (vqgan, transformer)]
  audio = jnp.asarray(np.random.default_rng(0).standard_normal((2, stages[0].clip.samples)) * [[0.01], [0.02]])
  mels = [jax.jit(stage.mel)(audio) for stage in stages]
  assert all(mel.shape == (2, 80, 160) for mel in mels)
  # A unit of mel is 50 dB.
  as_it_is, to_rms = (50 * float((mel[1] - mel[0]).mean()) for mel in mels)
  assert abs(as_it_is - 6) < 1 and abs(to_rms) < 1
