"""The PatchGAN: published numbers in both modes of its batch norm, its reach, its loss."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig, hinge_loss
from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.vqgan import discriminator_params_from_torch
from tests import golden
from tests.fill import filled

PUBLISHED = DiscriminatorConfig(width=64)
TINY = DiscriminatorConfig(width=2, layers=3)


@nnx.jit
def judge(model, mel):
  return model(mel)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "running"), [("eval_out", True), ("train_out", False)])
def test_logits_equal_the_published_discriminator(name, running):
  model = nnx.eval_shape(lambda: Discriminator(PUBLISHED, rngs=Keys(0)))
  tree.restore(model, discriminator_params_from_torch(golden.state_dict("patchgan"), PUBLISHED))
  model.set_attributes(nnx.BatchNorm, use_running_average=running)
  mel = np.tanh(golden.rnd("patchgan_x", (2, 1, 80, 160)))[:, 0]
  np.testing.assert_allclose(judge(model, mel), golden.load("patchgan.npz")[name][:, 0], atol=1e-4)


@pytest.mark.golden
def test_published_weights_left_over_are_an_error():
  with pytest.raises(ValueError, match=r"main\.12\.weight"):
    discriminator_params_from_torch(golden.state_dict("patchgan") | {"main.12.weight": np.zeros(1)}, PUBLISHED)


def test_published_size_has_the_published_number_of_parameters():
  model = nnx.eval_shape(lambda: Discriminator(PUBLISHED, rngs=Keys(0)))
  assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 2_763_585


def test_weights_start_as_published():
  config = DiscriminatorConfig(width=64, layers=1)
  params = tree.flatten(nnx.jit(lambda: Discriminator(config, rngs=Keys(0)))())
  assert params["convs/0/kernel"].std() == pytest.approx(0.02, rel=0.05)
  assert params["norms/0/scale"].mean() == pytest.approx(1, abs=0.01)
  assert params["norms/0/scale"].std() == pytest.approx(0.02, rel=0.3)


def test_a_patch_sees_seventy_bins_and_frames():
  model = filled(lambda: Discriminator(TINY, rngs=Keys(0)))
  # Running statistics, because those of the batch let every patch see the whole picture.
  model.set_attributes(nnx.BatchNorm, use_running_average=True)
  centre = jax.jit(jax.grad(lambda mel: model(mel)[0, 8, 8]))
  seen = centre(np.zeros((1, 160, 160), np.float32))[0]
  for axis in (0, 1):
    touched = np.flatnonzero(np.abs(seen).max(axis=axis))
    assert touched[-1] - touched[0] + 1 == 70


def test_hinge_loss_equals_its_formula_and_ends_at_the_margin():
  real, fake = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 5)).astype(np.float32)
  expected = 0.5 * (np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean())
  np.testing.assert_allclose(hinge_loss(real, fake), expected, rtol=1e-5)
  assert hinge_loss(1 + np.abs(real), -1 - np.abs(fake)) == 0
