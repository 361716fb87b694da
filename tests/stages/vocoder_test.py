"""The vocoder's stage: crops of mel and sound that belong together, both recipes, and losses that go down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.melgan import feature_distance, fooling_loss
from condfoley_jax.stages import registry
from configs import vocoder
from tests.fill import filled
from tests.stages.descent import metrics_of_steps

SIZES = {
  "istft_vocoder": {"n_mels": 80, "n_fft": 1024, "hop": 245, "width": 16, "hidden": 16, "layers": 1},
  "melgan": {"n_mels": 80, "width": 2, "residual_layers": 1, "ratios": (16, 16)},
  "melgan_discriminator": {"scales": 1, "width": 4, "layers": 1, "factor": 4, "max_width": 8},
}


def stage_of(preset, **changes):
  return registry.create(vocoder.get_config(preset).to_dict() | {"model": SIZES, "dtype": "float32"} | changes)


def sound(clip, clips=3):
  """Swelling tones over noise."""
  t = np.arange(clip.samples) / clip.sample_rate
  rows = [0.3 * np.sin(2 * np.pi * 400 * (i + 1) * t) * np.exp(-((t - 1) ** 2) / 0.1) for i in range(clips)]
  return (np.stack(rows) + 0.01 * np.random.default_rng(0).standard_normal((clips, clip.samples))).astype(np.float32)


@pytest.mark.parametrize("preset", ["mini", "paper_gh"])
def test_a_crop_is_a_piece_of_sound_and_its_part_of_the_mel(preset):
  stage = stage_of(preset, sound={"gain_db": (0.0, 0.0)}, peaks=None)
  frames, hop, audio = stage.config["crop_frames"], stage.clip.hop, sound(stage.clip)
  mel, cut = jax.jit(stage.crops)(audio, jax.random.key(0))
  whole = np.asarray(log_mel(jnp.asarray(audio), stage.clip))
  starts = []
  for row in range(3):
    fits = [np.array_equal(audio[row, at * hop :][: frames * hop], cut[row]) for at in range(whole.shape[2] - frames)]
    starts += list(np.flatnonzero(fits))
    np.testing.assert_allclose(mel[row], whole[row, :, starts[row] :][:, :frames], atol=1e-4)
  assert len(set(starts)) == 3, "each clip has a place of its own"


def test_published_crops_are_8192_samples_at_a_peak_from_a_range():
  stage = stage_of("paper_gh")
  _, cut = jax.jit(stage.crops)(sound(stage.clip), jax.random.key(0))
  leveled = jax.jit(stage._leveled)(sound(stage.clip), jax.random.key(0))
  assert cut.shape[1] == 8192
  peaks = np.abs(leveled).max(1)
  assert (peaks >= 0.285 - 1e-6).all() and (peaks <= 0.95 + 1e-6).all() and np.ptp(peaks) > 0


@pytest.mark.slow
def test_published_loss_is_adversarial_alone_and_its_discriminators_learn():
  stage = stage_of("paper_gh", crop_frames=8)
  assert list(stage.losses(stage.phase(0))) == ["discriminator", "vocoder"]
  model, audio = filled(lambda: stage.create(Keys(0))), sound(stage.clip, 2)
  mel, cut = jax.jit(stage.crops)(audio, jax.random.key(0))

  @nnx.jit
  def both(model, mel, cut):
    outputs = [model.discriminator(x) for x in (cut, model.vocoder(mel))]
    expected = fooling_loss(outputs[1]) + 10 * feature_distance(*outputs)
    return stage.objective("adversarial", model, mel, cut)[0], expected

  np.testing.assert_allclose(*both(model, mel, cut), rtol=1e-5)
  steps = metrics_of_steps(stage, model, {"audio": audio}, steps=24, rate=2e-2)
  assert steps[-1]["discriminator_loss"] < 0.98 * steps[0]["discriminator_loss"]


def test_discriminators_join_the_spectral_distances_at_their_start():
  stage = stage_of("mini", discriminator_start=10)
  # The discriminators' rate is to end with the run, too.
  assert stage.steps_of("vocoder") - stage.steps_of("discriminator") == 10
  assert list(stage.losses(stage.phase(9))) == ["vocoder"]
  assert list(stage.losses(stage.phase(10))) == ["discriminator", "vocoder"]
  shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 80, 8), (1, 8 * stage.clip.hop))]
  model = nnx.eval_shape(lambda: stage.create(Keys(0)))
  terms = nnx.eval_shape(lambda *args: stage.objective("adversarial", *args), model, *shapes)[1]
  assert set(terms) == {"loss", "convergence", "log_magnitude", "mel", "fool", "features"}


@pytest.mark.parametrize("preset", ["mini", "paper_gh"])
def test_whole_clips_are_scored(preset):
  stage = stage_of(preset)
  model = filled(lambda: stage.create(Keys(0)))
  scores = jax.jit(lambda audio: stage.evaluate(model, {"audio": audio}, None))(sound(stage.clip, 1))
  assert set(scores) == {"loss", "convergence", "log_magnitude", "mel"} and np.isfinite(list(scores.values())).all()
