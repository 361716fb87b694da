"""The sync network compares embeddings at every offset, at any length; its steps line up with frames on every grid."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import LARGE, MINI, PAPER
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sync_net import SyncNet, SyncNetConfig
from condfoley_jax.models.video_encoder import VideoEncoderConfig
from condfoley_jax.weights import folder
from tests.fill import filled

ENCODER = VideoEncoderConfig(stem_kernel=3, stem_stride=4, stem_mid=2, widths=(2, 4), blocks=(1, 1))
TINY = SyncNetConfig(ENCODER, n_mels=8, furthest=4, audio_width=4, audio_layers=1, width=3)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
  return filled(lambda: SyncNet(TINY, rngs=Keys(0)))


@nnx.jit
def compare(model, seen, heard):
  return model.compare(seen, heard)


def test_scores_are_means_over_the_overlap_times_the_length(model):
  seen, heard = RNG.standard_normal((2, 2, 12, 3)).astype(np.float32)
  scale = np.exp(model.log_scale[...])
  for offset, scores in zip(range(-4, 5), np.asarray(compare(model, seen, heard)).T, strict=True):
    pairs = [(t, t + offset) for t in range(12) if 0 <= t + offset < 12]
    expected = 12 * np.mean([(seen[:, t] * heard[:, u]).sum(-1) for t, u in pairs], axis=0)
    np.testing.assert_allclose(scores, scale * expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("offset", [-3, 0, 4])
@pytest.mark.parametrize("steps", [24, 90])
def test_sound_that_comes_later_has_a_positive_offset(model, offset, steps):
  seen = RNG.standard_normal((1, steps, 3)).astype(np.float32)
  scores = compare(model, seen, np.roll(seen, offset, axis=1))
  assert int(scores.argmax()) - TINY.furthest == offset
  assert np.sign(TINY.offsets_s(15)[int(scores.argmax())]) == np.sign(offset)


def test_one_video_is_compared_with_many_sounds(model):
  frames, mel = RNG.standard_normal((1, 6, 8, 8, 3)), RNG.standard_normal((3, 8, 36))
  run = nnx.jit(lambda model, frames, mel: model(frames, mel, use_running_average=True))
  together = run(model, frames, mel)
  assert together.shape == (3, TINY.classes) and together.dtype == np.float32
  np.testing.assert_allclose(together, run(model, frames.repeat(3, 0), mel), rtol=1e-5, atol=1e-6)


def test_a_weights_folder_gives_the_network_back(model, tmp_path):
  folder.save(tmp_path, MINI, {"sync_net": model}, dtype=np.float32)
  found = folder.load(tmp_path).components["sync_net"]
  seen, heard = RNG.standard_normal((2, 1, 12, 3)).astype(np.float32)
  np.testing.assert_array_equal(compare(found, seen, heard), compare(model, seen, heard))


@pytest.mark.parametrize("lengths", [(12, 14), (4, 4)])
def test_lengths_that_cannot_be_compared_are_refused(model, lengths):
  with pytest.raises(ValueError, match="steps of picture and sound"):
    model.compare(*(np.zeros((1, n, 3), np.float32) for n in lengths))


@pytest.mark.parametrize("clip", [MINI, PAPER, LARGE])
def test_every_grid_has_whole_mel_frames_in_a_step(clip):
  grid = SyncNetConfig(ENCODER, n_mels=clip.n_mels).grid(clip)
  mel = jax.eval_shape(lambda x: log_mel(x, grid), jax.ShapeDtypeStruct((1, clip.samples), np.float32))
  assert mel.shape == (1, clip.n_mels, clip.frames * 6)
  assert 1 / (clip.fps * SyncNetConfig.steps_per_frame) < 0.05


def test_a_grid_that_does_not_divide_is_refused():
  with pytest.raises(ValueError, match="no whole number of mel frames"):
    SyncNetConfig(ENCODER, n_mels=8, mel_per_step=4).grid(MINI)


def test_mismatch_is_the_squares_against_which_an_offset_is_a_distance():
  told = filled(lambda: SyncNet(dataclasses.replace(TINY, mismatch=True), rngs=Keys(0)))
  seen, heard = RNG.standard_normal((2, 5, 12, 3)).astype(np.float32)
  told.mismatch_log_scale[...], told.mismatch_bias[...] = np.zeros(1), np.full(1, -2.0)
  scale, at = np.exp(told.log_scale[...]), TINY.furthest
  against = told.compare(seen, heard)[:, at] - told.mismatch(seen, heard)[:, 0]
  np.testing.assert_allclose(against, 2 - scale * ((seen - heard) ** 2).sum((1, 2)) / 2, rtol=1e-4)


def test_mismatch_comes_last_where_it_is_told(model):
  frames, mel = RNG.standard_normal((2, 6, 8, 8, 3)), RNG.standard_normal((2, 8, 36))
  told = filled(lambda: SyncNet(dataclasses.replace(TINY, mismatch=True), rngs=Keys(0)))
  assert told(frames, mel, use_running_average=True).shape == (2, TINY.classes + 1)
  assert model.mismatch(*np.zeros((2, 2, 12, 3))).shape == (2, 0)
