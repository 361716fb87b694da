"""Every preset of every config is a stage whose losses can be computed, in the numbers that the design asks for."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import LARGE
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.vqgan import VQGANConfig
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Stage
from configs import common, models

STAGES = ("vqgan", "vocoder", "video_encoder", "transformer", "classifier", "onset", "sync")


def config_of(stage, arg):
  return importlib.import_module(f"configs.{stage}").get_config(arg)


def batch_of(stage: Stage, rows: int) -> dict:
  """Shapes of a batch."""
  return {name: jax.ShapeDtypeStruct((rows, *shape), dtype) for name, (dtype, shape) in stage.example_shapes().items()}


@pytest.mark.parametrize("preset", common.PRESETS)
@pytest.mark.parametrize("name", STAGES)
def test_every_preset_is_a_stage_that_can_be_shrunk_and_changed(name, preset):
  config = config_of(name, f"{preset},runlocal,batch_size=6,every.log=3,data.train=elsewhere")
  assert (config.steps, config.batch_size, config.every.log, config.data.train) == (8, 6, 3, "elsewhere")
  assert registry.create(config.to_dict()).clip == models.spec(preset)


@pytest.mark.parametrize("arg", ["mini,stepz=3", "mini,every.logg=3", "mini,steps=often", "mini,=3", "mini,every=3"])
def test_a_change_that_does_not_fit_is_refused(arg):
  with pytest.raises(ValueError, match="no such key of the config, or a value of another type"):
    config_of("vqgan", arg)


@pytest.mark.parametrize(("arg", "words"), [("tiny", "no preset `tiny`"), ("mini,fast", "no option `fast`")])
def test_unknown_words_are_refused(arg, words):
  with pytest.raises(ValueError, match=words):
    config_of("vqgan", arg)


# 24 layers one by one take long even as shapes; those of `large` are scanned.
_SHAPES = [
  pytest.param(name, preset, marks=[pytest.mark.slow] * ((name, preset) == ("transformer", "paper_gh")))
  for name in STAGES
  for preset in ("paper_gh", "large")
]


@pytest.mark.parametrize(("name", "preset"), _SHAPES)
def test_losses_and_parameters_are_float32(name, preset):
  # Layers are alike, and all of them take a while even as shapes.
  config = config_of(name, preset + ",model.transformer.layers=1" * (name == "transformer"))
  stage = registry.create(config.to_dict(), read=False)
  model = nnx.eval_shape(lambda: stage.create(Keys(0)))
  assert stage.dtype == jnp.bfloat16
  assert {x.dtype for x in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype(jnp.float32)}
  players = {p: loss for step in (0, config.steps) for p, loss in stage.losses(stage.phase(step)).items()}
  assert set(players) == set(config.optimizers)
  for loss in players.values():
    value, metrics = nnx.eval_shape(loss, model, batch_of(stage, 2), jax.random.key(0))
    assert {x.dtype for x in (value, *metrics.values())} == {jnp.dtype(jnp.float32)}
    assert all(hasattr(model, player) for player in players)


def test_large_is_what_a_pod_is_for():
  config, sizes = config_of("transformer", "large"), models.models("large")
  assert config.batch_size >= 1024 and LARGE.sample_rate == 44100 and LARGE.seconds >= 5
  transformer = config_tree.from_dict(TransformerConfig, sizes.transformer.to_dict())
  assert transformer.heads % 8 == 0 and transformer.width % (8 * 128) == 0 and transformer.vocab % (8 * 128) == 0

  def parameters(layers):
    config = dataclasses.replace(transformer, layers=layers)
    model = nnx.eval_shape(lambda: Transformer(config, rngs=Keys(0)))
    return sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param)))

  one = parameters(1)
  assert one + (transformer.layers - 1) * (parameters(2) - one) >= 1.5e9


@pytest.mark.parametrize("preset", common.PRESETS)
def test_models_of_a_preset_fit_each_other_and_its_clips(preset):
  clip, sizes = models.spec(preset), models.models(preset)
  vqgan = config_tree.from_dict(VQGANConfig, sizes.vqgan.to_dict())
  transformer = config_tree.from_dict(TransformerConfig, sizes.transformer.to_dict())
  assert vqgan.reduction == (clip.mel_per_row, clip.mel_per_column)
  assert transformer.length == clip.positions and transformer.vocab == vqgan.quantizer.vocab
  assert transformer.feature_width == sizes.video_encoder.widths[-1] == sizes.event_head.width
  assert sizes.onset_net.encoder == sizes.sync_net.encoder == sizes.video_encoder


def test_published_recipes():
  rates = {"vqgan": 1.44e-4, "discriminator": 1.44e-4}
  gan = config_of("vqgan", "paper_gh")
  assert {k: v.learning_rate for k, v in gan.optimizers.items()} == rates
  assert (gan.batch_size, gan.discriminator_start, gan.discriminator_weight) == (32, 30_001, 0.8)
  melgan = config_of("vocoder", "paper_gh")
  assert melgan.crop_frames * models.spec("paper_gh").hop == 8192 and melgan.vocoder == "melgan"
  for config in (gan, melgan):
    assert {(o.b1, o.b2, o.get("weight_decay", 0)) for o in config.optimizers.values()} == {(0.5, 0.9, 0)}
  net = config_of("transformer", "paper_gh")
  assert (net.batch_size, net.optimizers.transformer.learning_rate) == (32, 1.6e-4)
  assert net.optimizers.transformer.weight_decay == 0.01
  countix = config_of("transformer", "paper_countix")
  assert (countix.conventions.level, countix.conventions.denoise, countix.data.mode) == ("as_is", True, "uniform")
