"""Scores of the video encoder's stage."""

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from condfoley_jax.models.keys import Keys
from condfoley_jax.stages.video_encoder import VideoEncoderStage, average_precision
from condfoley_jax.weights import folder
from configs import video_encoder


@given(st.lists(st.booleans(), min_size=20, max_size=20).filter(any), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_average_precision_is_that_of_scikit_learn(labels, seed):
  scores = np.random.default_rng(seed).normal(size=20).astype(np.float32)
  ours = average_precision(jax.numpy.asarray(scores), jax.numpy.asarray(labels, np.float32))
  assert float(ours) == pytest.approx(average_precision_score(labels, scores), abs=1e-5)


def test_average_precision_without_labels_is_0():
  assert float(average_precision(jax.numpy.ones(5), jax.numpy.zeros(5))) == 0


def begun_with(directory, **changes):
  config = video_encoder.get_config("mini")
  config.pretrained.video_encoder = directory
  config.model.event_head.update(changes)
  return VideoEncoderStage(config.to_dict())


@pytest.mark.slow
def test_training_goes_on_from_the_weights_that_are_named():
  stage = begun_with(str(folder.SHIPPED))
  shipped = folder.load(folder.SHIPPED, only=("video_encoder", "event_head"))
  found = stage.components(stage.create(Keys(0)))
  for name, component in shipped.components.items():
    for ours, theirs in zip(*(jax.tree.leaves(nnx.state(x)) for x in (found[name], component)), strict=True):
      np.testing.assert_array_equal(ours, theirs)
  assert stage.pretrained_ids == {"video_encoder": shipped.id}


def test_weights_of_another_config_are_refused():
  with pytest.raises(ValueError, match="its event_head is not as"):
    begun_with(str(folder.SHIPPED), materials=5).create(Keys(0))
