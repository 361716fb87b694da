"""Labels that spread over codes that sound alike."""

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Trained
from condfoley_jax.stages.transformer import neighbours
from configs import transformer
from tests.stages.drop_test import cached_inputs


def test_labels_fall_off_with_the_distance():
  codebook = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]], np.float32)
  labels = np.asarray(neighbours(codebook, 2.0))
  # Nearest neighbours lie at squared distances 1, 1 and 9.
  weights = np.exp(-np.array([[0, 1, 9], [1, 0, 10], [9, 10, 0]]) / (2.0 * 11 / 3))
  np.testing.assert_allclose(labels, weights / weights.sum(1, keepdims=True), rtol=1e-5)
  np.testing.assert_allclose(neighbours(codebook, 1e-3), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_loss_is_the_cross_entropy_of_such_labels(spread):
  config = transformer.get_config(f"mini,model.transformer.layers=1,label_spread={spread}").to_dict()
  stage = registry.create(config | {"drop": {}})
  book = np.random.default_rng(1).standard_normal((config["model"]["transformer"]["vocab"], 4)).astype(np.float32)

  def create():
    vqgan = nnx.Dict(quantizer=nnx.Dict(codebook=nnx.Param(jax.numpy.asarray(book))))
    return Trained(transformer=stage.build("transformer", Keys(0)), vqgan=vqgan)

  model = nnx.jit(create)()
  inputs = cached_inputs()
  loss, _ = nnx.jit(lambda model: stage.losses("train")["transformer"](model, inputs, jax.random.key(0)))(model)
  fed = np.concatenate([inputs["condition_codes"], inputs["target_codes"][:, :-1]], 1)
  logits = model.transformer.target_logits(inputs["condition_features"], inputs["target_features"], fed)
  labels = np.asarray(neighbours(book, spread)) if spread else np.eye(len(book))
  expected = optax.softmax_cross_entropy(logits, labels[inputs["target_codes"]]).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
