"""The mel that models are trained on, and the phases of the VQGAN's stage."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.augmentation.sound import SoundAugmentation
from condfoley_jax.clip import MINI
from condfoley_jax.conventions import OURS
from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.weights import folder, tree
from configs import transformer, vqgan


def test_the_discriminator_plays_from_its_start_on():
  config = vqgan.get_config("mini").to_dict() | {"discriminator_start": 10}
  stage = registry.create(config)
  assert list(stage.losses(stage.phase(9))) == ["vqgan"]
  assert list(stage.losses(stage.phase(10))) == ["vqgan", "discriminator"]
  # So that its rate ends with the run, too.
  assert stage.steps_of("vqgan") - stage.steps_of("discriminator") == 10


def test_published_models_are_trained_on_the_central_mel_frames_at_the_published_level():
  stages = [registry.create(c.get_config("paper_gh").to_dict()) for c in (vqgan, transformer)]
  audio = jnp.asarray(np.random.default_rng(0).standard_normal((2, stages[0].clip.samples)) * [[0.01], [0.02]])
  mels = [jax.jit(stage.mel)(audio) for stage in stages]
  assert all(mel.shape == (2, 80, 160) for mel in mels)
  # A unit of mel is 50 dB.
  as_it_is, to_rms = (50 * float((mel[1] - mel[0]).mean()) for mel in mels)
  assert abs(as_it_is - 6) < 1 and abs(to_rms) < 1


def test_no_augmentation_removes_the_changes_of_sound_and_nothing_else():
  base, without = (transformer.get_config(name).to_dict() for name in ("mini", "mini,no_augmentation"))
  assert without.pop("sound") == dataclasses.asdict(SoundAugmentation()) != base.pop("sound")
  assert without == base


@pytest.mark.slow
def test_training_begins_with_the_transformer_that_is_named(tmp_path):
  config = transformer.get_config("mini,model.transformer.layers=1").to_dict()
  config["pretrained"] |= dict.fromkeys(("vqgan", "video_encoder", "vocoder"), str(folder.SHIPPED))
  given = registry.create(config).build("transformer", Keys(1))
  given.set_codebook(folder.load(folder.SHIPPED, only=("vqgan",)).components["vqgan"].quantizer.codebook[...])
  folder.save(tmp_path, MINI, {"transformer": given}, conventions=OURS)
  config["pretrained"]["transformer"] = str(tmp_path)
  found, wanted = (tree.flatten(model) for model in (registry.create(config).create(Keys(0)).transformer, given))
  assert found.keys() == wanted.keys()
  for name, value in wanted.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-2, atol=1e-6)  # Stored in 16 bits.
  config["model"]["transformer"]["layers"] = 2
  with pytest.raises(ValueError, match=f"{tmp_path}: the transformer's layers is 1, not 2; name another"):
    registry.create(config).create(Keys(0))
