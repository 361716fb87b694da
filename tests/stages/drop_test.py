"""Inputs are left out at their own rates, pair by pair, from the key; cached inputs too."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INPUTS
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Trained
from condfoley_jax.weights import registry as components
from configs import transformer, video_encoder
from tests.stages.descent import metrics_of_steps


def stage_of(arg="mini", **drop):
  config = transformer.get_config(f"{arg},model.transformer.layers=1").to_dict()
  return registry.create(config | ({"drop": drop} if drop else {}))


@pytest.fixture(scope="module")
def model():
  """Its transformer; a cache stands for the rest."""
  return nnx.jit(lambda: Trained(transformer=stage_of().build("transformer", Keys(0))))()


def cached_inputs(pairs=2):
  rng, sizes = np.random.default_rng(0), transformer.get_config("mini").model.transformer
  codes = rng.integers(0, sizes.vocab, (2, pairs, sizes.code_rows * sizes.code_columns)).astype(np.int32)
  features = rng.standard_normal((2, pairs, sizes.frames, sizes.feature_width)).astype(np.float32)
  return {"condition_codes": codes[0], "target_codes": codes[1]} | {
    "condition_features": features[0],
    "target_features": features[1],
  }


def test_each_input_is_left_out_at_its_own_rate():
  stage = stage_of(condition_codes=0.5, condition_features=0.2, query_features=0.1)
  missing = stage.missing(20_000, jax.random.key(0))
  drawn = np.stack([missing[name] for name in INPUTS])
  np.testing.assert_allclose(drawn.mean(1), [0.5, 0.2, 0.1], atol=0.02)
  np.testing.assert_allclose(np.corrcoef(drawn), np.eye(3), atol=0.03)
  np.testing.assert_array_equal(drawn[0], stage.missing(20_000, jax.random.key(0))["condition_codes"])


def test_all_inputs_are_left_out_together_at_a_rate_of_their_own():
  missing = stage_of(query_features=0.5, all=0.2).missing(20_000, jax.random.key(0))
  drawn = np.stack([missing[name] for name in INPUTS])
  np.testing.assert_array_equal(drawn[0], drawn[1])
  np.testing.assert_allclose(drawn.mean(1), [0.2, 0.2, 0.6], atol=0.02)
  assert drawn[2][drawn[0]].all()


@pytest.mark.slow
def test_loss_of_cached_pairs_goes_down_with_inputs_left_out(model):
  stage = stage_of(**dict.fromkeys(INPUTS, 0.3))
  losses = [s["loss"] for s in metrics_of_steps(stage, nnx.clone(model), cached_inputs(), steps=16, rate=1e-2)]
  assert losses[-1] < 0.8 * losses[0]


def test_loss_without_an_input_does_not_depend_on_it(model):
  stage, inputs = stage_of(condition_codes=1.0), cached_inputs()
  loss = nnx.jit(lambda model, inputs: stage.losses("train")["transformer"](model, inputs, jax.random.key(0))[0])
  other = inputs | {"condition_codes": inputs["condition_codes"][::-1]}
  assert loss(model, inputs) == loss(model, other)
  assert loss(model, inputs) != loss(model, inputs | {"condition_features": inputs["condition_features"][::-1]})


@pytest.mark.parametrize(
  ("option", "absent"),
  [("no_condition", ("condition_codes", "condition_features")), ("no_condition_video", ("condition_features",))],
)
@pytest.mark.parametrize("preset", ["mini", "paper_gh"])
def test_ablations_never_see_their_part(preset, option, absent):
  base, ablated = (transformer.get_config(f"{preset}{more}").to_dict() for more in ("", f",{option}"))
  assert ablated["model"]["transformer"].pop("absent") == absent
  assert ablated["model"]["transformer"].pop("stand_ins")
  base["model"]["transformer"].pop("stand_ins", None)
  if option == "no_condition":  # Without an example there is none to take detail of.
    base["conventions"]["detail_frames"] = 0
  assert ablated == base


def test_a_random_condition_is_of_another_video():
  base, ablated = (transformer.get_config(f"mini{more}").to_dict() for more in ("", ",random_condition"))
  assert ablated["data"].pop("mode") == "outside" != base["data"].pop("mode")
  assert ablated == base


def test_specvqgan_reads_two_streams_in_front_of_the_codes_and_no_condition():
  sizes = transformer.get_config("mini,specvqgan").model
  assert sizes.transformer.absent == ("condition_codes", "condition_features") and not sizes.transformer.aligned_frames
  encoder = video_encoder.get_config("mini,two_stream").model
  assert encoder.video_encoder == sizes.video_encoder and sizes.video_encoder.framewise and sizes.video_encoder.flow
  build = lambda kind, config: nnx.eval_shape(lambda: components.build(kind, config.to_dict(), rngs=Keys(0))).config
  width = build("video_encoder", sizes.video_encoder).feature_width
  assert width == build("event_head", encoder.event_head).width == build("transformer", sizes.transformer).feature_width


@pytest.mark.parametrize("preset", ["paper_gh", "paper_countix"])
def test_published_training_leaves_nothing_out(preset):
  stage = stage_of(preset)
  assert not stage.config["drop"]
  assert not nnx.eval_shape(lambda: stage.build("transformer", Keys(0))).config.stand_ins
