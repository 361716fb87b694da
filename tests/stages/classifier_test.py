"""Classifiers learn from clips of one material and one action alone, and are scored per class."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.weights import folder
from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS
from configs import classifier
from data_pipelines.builders.events import ACTIONS, MATERIALS
from tests.fill import filled
from tests.stages.descent import created, metrics_of_steps

SIZES = {"n_mels": 80, "widths": ((8,), (16,)), "pool": (4, 2), "hidden": 32}
MODEL = {"material_classifier": {"classes": 17, **SIZES}, "action_classifier": {"classes": 2, **SIZES}}


def stage_of(preset="mini", **changes):
  # Short tones in noise have no action.
  unchanged = {"model": MODEL, "dtype": "float32", "sound": {"gain_db": (-12.0, 6.0)}}
  return registry.create(classifier.get_config(preset).to_dict() | unchanged | changes)


def tones(clip, materials, actions):
  """A quarter of a second each: the material is the pitch, a hit decays and a scratch goes on."""
  t = np.arange(clip.sample_rate // 4) / clip.sample_rate
  rows = [
    0.3 * np.sin(2 * np.pi * 300 * (m % 17 + 1) * t) * np.exp(-20 * t * (a == 0))
    for m, a in zip(materials, actions, strict=True)
  ]
  return {"audio": np.stack(rows).astype(np.float32), "material": np.int32(materials), "action": np.int32(actions)}


@pytest.fixture(scope="module")
def trained():
  """A stage, its model, the metrics of its steps, and what it was trained on."""
  stage = stage_of()
  model, batch = created(stage), tones(stage.clip, [0, 4, 9, 14] * 4, [0] * 8 + [1] * 8)
  return stage, model, metrics_of_steps(stage, model, batch, steps=50, rate=1e-2), batch


@pytest.mark.parametrize("label", ["material", "action"])
def test_loss_goes_down(trained, label):
  steps = trained[2]
  assert np.mean([s[f"{label}_loss"] for s in steps[-5:]]) < 0.85 * steps[0][f"{label}_loss"]


@pytest.mark.parametrize(
  "change", [{"speed": 0.1}, {"noise_db": (-30.0, -30.0)}, {"mask_frames": 20}, {"mask_bins": 60}]
)
def test_it_hears_sound_that_is_changed_as_the_config_says(change):
  stages = [stage_of(sound=sound) for sound in ({}, change)]
  model, batch = filled(lambda: stages[0].create(Keys(0))), tones(stages[0].clip, [0, 4], [0, 1])
  loss_of = lambda stage: float(stage.losses("train")["material_classifier"](model, batch, jax.random.key(0))[0])
  plain, changed = map(loss_of, stages)
  assert changed != pytest.approx(plain, rel=1e-6)


def test_clips_of_several_materials_or_actions_do_not_count():
  stage = stage_of(sound={"gain_db": (0.0, 0.0)})
  model = filled(lambda: stage.create(Keys(0)))
  losses = jax.jit(lambda batch: [loss(model, batch, jax.random.key(0))[0] for loss in stage.losses("train").values()])
  whole = tones(stage.clip, [3, -1, 5, 7], [1, 0, -1, 0])
  np.testing.assert_allclose(losses(whole), losses({k: v[[0, 3, 0, 3]] for k, v in whole.items()}), rtol=1e-5)
  nothing = losses(tones(stage.clip, [-1] * 4, [-1] * 4))
  assert [float(x) for x in nothing] == [0, 0]


def test_scores_are_shares_of_the_clips_of_a_class(trained):
  stage, model, _, batch = trained
  evaluate = nnx.jit(stage.evaluate)
  batches = [{k: v[at] for k, v in batch.items()} for at in (slice(0, 8), slice(8, 16))]
  batches[1] = batches[1] | {"material": np.int32([0, 0, 0, 4, 9, -1, -1, -1])}
  told = [evaluate(model, b, None) for b in batches]
  scores = stage.scores({name: float(np.mean([x[name] for x in told])) for name in told[0]})
  right, labels = [], np.concatenate([b["material"] for b in batches])
  for b in batches:
    mel = stage.mel(b["audio"])
    right += list(np.asarray(nnx.jit(lambda m, x: m(x))(model.material_classifier, mel).argmax(-1)) == b["material"])
  right, known = np.array(right), labels >= 0
  np.testing.assert_allclose(scores["material_accuracy"], right[known].mean(), rtol=1e-5)
  for i in (0, 4, 9, 14):
    np.testing.assert_allclose(scores[f"material_accuracy/{MATERIALS[i]}"], right[labels == i].mean(), rtol=1e-5)
  assert "material_accuracy/water" not in scores
  assert {f"action_accuracy/{name}" for name in ACTIONS} < set(scores)


def test_pictures_say_what_is_heard(trained):
  stage, model, _, batch = trained
  images, _ = stage.pictures(model, batch, None)
  assert images["classifier"].ndim == 3


def test_published_recipe_standardises_by_the_numbers_of_vggsound():
  model = created(stage_of("paper_gh"))
  for network in (model.material_classifier, model.action_classifier):
    np.testing.assert_allclose(network.scaling.mean[...], MEANS, rtol=1e-6)
    np.testing.assert_allclose(network.scaling.deviation[...], DEVIATIONS, rtol=1e-6)


def test_convolutions_can_start_from_another_classifier(tmp_path):
  config = VGGishishConfig(5, 80, SIZES["widths"], (1, 1), 3)
  folder.save(tmp_path, stage_of().clip, {"vggishish": filled(lambda: VGGishish(config, rngs=Keys(0)))})
  stage = stage_of(pretrained={"vggishish": str(tmp_path)})
  found = folder.load(tmp_path).components["vggishish"]
  model = created(stage)
  for network in (model.material_classifier, model.action_classifier):
    np.testing.assert_array_equal(network.features.blocks[1][0].kernel[...], found.features.blocks[1][0].kernel[...])
