"""The video encoder: published numbers, its cost at mini size, and what may see what."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import (
  EventHead,
  EventHeadConfig,
  VideoEncoder,
  VideoEncoderConfig,
  flow_frames,
  middle_width,
  motion,
  prepare_frames,
)
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.video_encoder import params_from_torch
from tests import golden
from tests.fill import filled

MINI = VideoEncoderConfig(stem_kernel=7, stem_stride=4, stem_mid=16, widths=(16, 24, 48, 96), blocks=(1, 1, 1, 1))
TINY = VideoEncoderConfig(stem_kernel=3, stem_stride=2, stem_mid=4, widths=(4, 8), blocks=(1, 1))


@pytest.fixture(scope="module")
def published():
  golden.require()
  encoder = filled(lambda: VideoEncoder(VideoEncoderConfig(), rngs=Keys(0)))
  tree.restore(encoder, params_from_torch(golden.state_dict("r2plus1d"), VideoEncoderConfig()))
  return encoder


def tiny(**kwargs):
  return filled(lambda: VideoEncoder(TINY, rngs=Keys(0), **kwargs))


@nnx.jit(static_argnames="running")
def _encode(encoder, frames, running):
  return encoder(frames, use_running_average=running)


@pytest.mark.golden
@pytest.mark.parametrize(
  ("name", "running"), [("small_trainBN", False), pytest.param("small_evalBN", True, marks=pytest.mark.slow)]
)
def test_features_equal_the_published_encoder(published, name, running):
  frames = golden.rnd("r2p1d_small", (2, 3, 6, 32, 32)).transpose(0, 2, 3, 4, 1)
  features = _encode(nnx.clone(published), frames, running=running)
  golden.assert_close(features, golden.load("r2plus1d.npz")[name].transpose(0, 2, 1))


@pytest.mark.golden
def test_running_mean_moves_as_published(published):
  encoder = nnx.clone(published)
  _encode(encoder, golden.rnd("r2p1d_small", (2, 3, 6, 32, 32)).transpose(0, 2, 3, 4, 1), running=False)
  expected = golden.load("r2plus1d.npz")["small_trainBN_new_stem1_running_mean"]
  np.testing.assert_allclose(encoder.stem.spatial_norm.mean[...], expected, atol=1e-5)


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.parametrize(("name", "running"), [("full_trainBN", False), ("full_evalBN", True)])
def test_features_of_a_whole_clip_equal_the_published_encoder(published, name, running):
  frames = golden.rnd("r2p1d_x", (1, 3, 30, 112, 112)).transpose(0, 2, 3, 4, 1)
  features = _encode(nnx.clone(published), frames, running=running)
  golden.assert_close(features, golden.load("r2plus1d.npz")[name].transpose(0, 2, 1))


def test_published_middle_widths():
  assert [middle_width(*w) for w in ((64, 64), (64, 128), (256, 512), (512, 512))] == [144, 230, 921, 1152]


def test_mini_costs_at_most_half_a_gflop_per_clip():
  encoder = nnx.eval_shape(lambda: VideoEncoder(MINI, rngs=Keys(0)))
  cost = _encode.lower(encoder, jax.ShapeDtypeStruct((1, 30, 64, 64, 3), jnp.float32), running=True).cost_analysis()
  assert 0.35e9 < cost["flops"] < 0.5e9


def test_one_feature_per_frame_whatever_the_length():
  encoder = tiny()
  for frames in (1, 5):
    features = _encode(encoder, jnp.ones((2, frames, 16, 16, 3)), running=True)
    assert features.shape == (2, frames, 8)


def test_shifting_the_video_shifts_the_features():
  encoder = tiny()
  frames = np.random.default_rng(0).standard_normal((1, 24, 16, 16, 3), np.float32)
  features = _encode(encoder, frames, running=True)
  shifted = _encode(encoder, np.roll(frames, 2, axis=1), running=True)
  # 5 temporal convolutions of 3 frames: 5 frames from either end the padding is not seen.
  np.testing.assert_allclose(shifted[:, 7:-5], features[:, 5:-7], atol=1e-5)


def test_batch_statistics_make_features_depend_on_the_batch_and_running_ones_do_not():
  frames = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 16, 16, 3), np.float32))

  def first_clip(running, batch):
    return _encode(tiny(), frames[:batch], running=running)[0]

  np.testing.assert_allclose(first_clip(True, 1), first_clip(True, 2), atol=1e-5)
  assert np.abs(first_clip(False, 1) - first_clip(False, 2)).max() > 1e-3


def test_compute_dtype_leaves_parameters_in_float32():
  encoder = tiny(dtype=jnp.bfloat16)
  assert _encode(encoder, jnp.ones((1, 2, 16, 16, 3)), running=True).dtype == jnp.bfloat16
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(nnx.state(encoder)))


def test_motion_is_the_change_of_brightness_whatever_its_size():
  """A patch that appears in frame 1 and goes in frame 3."""
  frames = np.zeros((2, 5, 8, 8, 3), np.float32)
  frames[0, 1:3, 2:4, 2:4], frames[1, 1:3, 2:4, 2:4] = 1.0, 5.0
  found = np.asarray(motion(jnp.asarray(frames)))
  since, until, size = np.moveaxis(found[:, :, 3, 3], -1, 0)
  assert (np.sign(since) == [0, 1, 0, -1, 0]).all() and (np.sign(until) == [1, 0, -1, 0, 0]).all()
  np.testing.assert_array_equal(size, np.abs(since))
  np.testing.assert_allclose(since[0], since[1], rtol=0.02)
  assert not found[:, :, 0, 0].any()


def test_motion_of_a_still_clip_is_zero():
  assert not np.asarray(motion(jnp.ones((1, 4, 2, 2, 3)))).any()


def test_prepare_frames_normalises_per_channel():
  white = prepare_frames(jnp.full((1, 1, 1, 1, 3), 255, jnp.uint8))[0, 0, 0, 0]
  np.testing.assert_allclose(white, [2.2489, 2.4286, 2.64], atol=1e-4)


def test_event_head_shapes_and_reach():
  head = filled(lambda: EventHead(EventHeadConfig(width=8), rngs=Keys(0)))
  features = jnp.asarray(np.random.default_rng(0).standard_normal((2, 9, 8), np.float32))
  events = head(features)
  assert events.onset.shape == events.offset.shape == (2, 9)
  assert events.material.shape == (2, 9, 17) and events.action.shape == (2, 9, 2)
  assert events.offset.min() >= 0 and events.offset.max() <= 1
  reach = jax.jit(jax.grad(lambda x: head(x).onset[0, 4]))(features)[0]
  assert np.flatnonzero(np.abs(reach).sum(-1)).tolist() == [2, 3, 4, 5, 6]


def _changed(config, frame):
  """Frames whose features change with frame number `frame` of 6."""
  encoder = filled(lambda: VideoEncoder(config, rngs=Keys(0)))
  frames = np.random.default_rng(0).standard_normal((1, 6, 16, 16, 3)).astype(np.float32)
  other = frames.copy()
  other[:, frame] += np.random.default_rng(1).standard_normal((16, 16, 3))
  a, b = (np.asarray(_encode(encoder, x, True)) for x in (frames, other))
  assert a.shape == (1, 6, config.feature_width)
  return np.flatnonzero(np.abs(a - b).max((0, 2)) > 1e-6).tolist()


def test_a_framewise_encoder_sees_a_frame_alone_and_with_flow_the_one_before_too():
  assert _changed(dataclasses.replace(TINY, framewise=True), 2) == [2]
  assert _changed(dataclasses.replace(TINY, framewise=True, flow=True), 2) == [2, 3]


def test_flow_gives_features_of_its_own_behind_those_of_colour():
  encoder = filled(lambda: VideoEncoder(dataclasses.replace(TINY, flow=True), rngs=Keys(0)))
  frames = np.random.default_rng(0).standard_normal((1, 3, 16, 16, 3)).astype(np.float32)
  both = np.asarray(_encode(encoder, frames, True))
  second = np.asarray(_encode(encoder.second, flow_frames(jnp.asarray(frames)), True))
  np.testing.assert_allclose(both[..., TINY.widths[-1] :], second, atol=1e-5)
