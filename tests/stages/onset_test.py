"""The onset network's loss equals the published formula, takes either kind of labels, and goes down."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.stages import registry
from condfoley_jax.stages.onset import balanced_cross_entropy
from configs import onset
from tests.stages.descent import created, metrics_of_steps

ENCODER = {"stem_kernel": 3, "stem_stride": 4, "stem_mid": 4, "widths": (8,), "blocks": (1,)}


def stage_of(**changes):
  config = onset.get_config("mini").to_dict()
  small = {"clip": config["clip"] | {"frame_resize": 16, "frame_size": 16}, "picture": {}}
  return registry.create(config | small | {"model": {"onset_net": {"encoder": ENCODER, "hidden": 8}}} | changes)


def test_loss_equals_the_published_formula():
  rng = np.random.default_rng(0)
  logits, labels = rng.standard_normal((3, 30)).astype(np.float32), (rng.random((3, 30)) < 0.1).astype(np.float32)
  probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
  weight = (labels.size - labels.sum()) / labels.sum()
  expected = -np.mean(weight * labels * np.log(probability) + (1 - labels) * np.log(1 - probability))
  np.testing.assert_allclose(balanced_cross_entropy(logits, labels), expected, rtol=1e-5)


def test_a_batch_without_onsets_has_a_finite_loss():
  assert np.isfinite(balanced_cross_entropy(np.zeros((2, 5), np.float32), np.zeros((2, 5), np.float32)))


def flashes(clip, clips):
  """A flash and a click in the same random frames, which are labelled."""
  rng = np.random.default_rng(0)
  onsets = np.zeros((clips, clip.frames), np.float32)
  for row in onsets:
    row[rng.choice(np.arange(2, clip.frames, 4), 3, replace=False)] = 1
  frames = np.where(onsets[..., None, None, None] > 0, 220, 40).astype(np.uint8) * np.ones((1, 1, 16, 16, 3), np.uint8)
  clicks = np.zeros((clips, clip.frames, clip.samples_per_frame), np.float32)
  clicks[..., :400] = onsets[..., None] * rng.standard_normal((clips, clip.frames, 400))
  return {"frames": frames, "audio": 0.3 * clicks.reshape(clips, -1), "onsets": onsets}


def test_labels_are_the_events_or_what_is_heard():
  batch = flashes(stage_of().clip, 2)
  np.testing.assert_array_equal(stage_of(labels="events").labels(batch), batch["onsets"])
  heard = np.asarray(jax.jit(stage_of(labels="audio").labels)(batch))
  # librosa's hops of 23 ms put some of them into the frame beside.
  near = lambda x: np.maximum.reduce([np.roll(x, i, axis=1) for i in (-1, 0, 1)])
  assert heard.sum() == batch["onsets"].sum() and (near(heard) >= batch["onsets"]).all()


def test_other_labels_are_refused():
  with pytest.raises(ValueError, match="labels are `events` or `audio`, not `both`"):
    nnx.eval_shape(lambda: stage_of(labels="both").create(Keys(0)))


@pytest.mark.slow
def test_loss_goes_down():
  stage = stage_of()
  model, batch = created(stage), flashes(stage.clip, 8)
  losses = [s["loss"] for s in metrics_of_steps(stage, model, batch, steps=16, rate=1e-2)]
  assert losses[-1] < 0.5 * losses[0]
  scores = nnx.jit(stage.evaluate)(model, batch, jax.random.key(0))
  np.testing.assert_allclose(scores["share_of_onsets"], 0.1, rtol=1e-5)
