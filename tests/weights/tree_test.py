"""Flat weights: every one is named, and only what fits is taken back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import tree
from tests.fill import filled


def model(seed=0, **kwargs):
  config = DiscriminatorConfig(width=2, layers=1)
  return filled(lambda: Discriminator(config, rngs=Keys(0), **kwargs), seed=seed)


def test_names_are_paths_of_parameters_and_batch_statistics():
  assert {name: x.shape for name, x in tree.flatten(model()).items()} == {
    "conv_in/kernel": (4, 4, 1, 2),
    "conv_in/bias": (2,),
    "convs/0/kernel": (4, 4, 2, 4),
    "norms/0/scale": (4,),
    "norms/0/bias": (4,),
    "norms/0/mean": (4,),
    "norms/0/var": (4,),
    "conv_out/kernel": (4, 4, 4, 1),
    "conv_out/bias": (1,),
  }


def test_restored_weights_are_those_that_were_flattened():
  source, target = tree.flatten(model(seed=0)), model(seed=1)
  tree.restore(target, source)
  restored = tree.flatten(target)
  assert restored.keys() == source.keys()
  for name, x in source.items():
    np.testing.assert_array_equal(restored[name], x)


def test_restored_weights_are_on_the_device_in_the_dtype_of_the_model():
  target = model()
  tree.restore(target, {name: x.astype(np.float16) for name, x in tree.flatten(target).items()})
  weights = jax.tree.leaves(nnx.state(target))
  assert all(isinstance(x, jax.Array) and x.dtype == jnp.float32 for x in weights)


def test_a_model_of_shapes_only_becomes_a_whole_one():
  config = DiscriminatorConfig(width=2, layers=1)
  hollow = nnx.eval_shape(lambda: Discriminator(config, rngs=Keys(0)))
  tree.restore(hollow, tree.flatten(model()))
  mel = np.zeros((1, 16, 16), np.float32)
  run, whole = nnx.jit(lambda model, mel: model(mel)), model()
  for one in (hollow, whole):
    one.set_attributes(nnx.BatchNorm, use_running_average=True)
  np.testing.assert_array_equal(run(hollow, mel), run(whole, mel))


def test_all_that_does_not_fit_is_named_and_nothing_changes():
  target = model(seed=1)
  before = tree.flatten(target)
  wrong = dict(tree.flatten(model(seed=0)))
  del wrong["conv_in/bias"], wrong["norms/0/mean"]
  wrong |= {"conv_in/gain": np.zeros(2), "conv_out/bias": np.zeros(3)}
  with pytest.raises(ValueError) as error:
    tree.restore(target, wrong)
  for problem in (
    "missing conv_in/bias",
    "missing norms/0/mean",
    "left over conv_in/gain",
    "conv_out/bias is (3,), expected (1,)",
  ):
    assert problem in str(error.value)
  for name, x in tree.flatten(target).items():
    np.testing.assert_array_equal(x, before[name])
