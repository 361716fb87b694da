"""Sync networks in the sampler: every take and segment as the network alone says."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.resample import resample
from condfoley_jax.audio.sync_spectrogram import SAMPLE_RATE, sync_spectrogram
from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import judges
from condfoley_jax.models import sync
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sync_net import SyncNet
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.sampling import rerank
from condfoley_jax.sampling.rerank import Sync
from condfoley_jax.weights import folder, registry
from configs.models import models
from data_pipelines import media
from tests.fill import filled
from tests.models import tiny

RNG = np.random.default_rng(0)


def pictures(*shape):
  return RNG.integers(0, 256, (*shape, 3), np.uint8)


def noise(*shape):
  return (0.3 * RNG.standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module", params=[True, False], ids=["mismatch", "offsets alone"])
def ours(request) -> SyncNet:
  sizes = models("mini").to_dict()["sync_net"] | {"mismatch": request.param}
  sizes["encoder"] |= {"widths": (8, 16), "blocks": (1, 1)}
  return filled(lambda: registry.build("sync_net", sizes, rngs=Keys(0)), scale=0.3)


def test_a_take_is_scored_in_each_clip_and_where_the_query_ends(ours):
  frames, audio = pictures(2, 60, 64, 64), noise(2, 3, 60 * MINI.samples_per_frame)
  lengths = np.array([60, 40], np.int32)
  found = jax.jit(functools.partial(rerank.score_segments, spec=MINI))(ours, frames, lengths, audio)
  assert found.offset_s.shape == found.confidence.shape == (2, 3, 2)
  alone = nnx.jit(lambda net, x, mel: net(prepare_frames(x), mel, use_running_average=True))
  for job, take in np.ndindex(2, 3):
    for segment, (start, end) in enumerate(rerank.segments(int(lengths[job]), MINI)):
      sound = audio[job, take, start * MINI.samples_per_frame : end * MINI.samples_per_frame]
      logits = alone(ours, frames[job : job + 1, start:end], log_mel(sound[None], ours.config.grid(MINI)))[0]
      best = int(logits[: ours.config.classes].argmax())
      sure = jax.nn.softmax(logits)
      sure = sure[: ours.config.classes].sum() if ours.config.mismatch else sure[best]
      assert found.offset_s[job, take, segment] == ours.config.offsets_s(MINI.fps)[best]
      np.testing.assert_allclose(found.confidence[job, take, segment], sure, rtol=1e-3)
  assert rerank.segments(40, MINI) == [(0, 30), (10, 40)]


def test_a_sound_that_is_moved_is_told_to_be_later(videos):
  network = folder.load(judges.SHIPPED / "sync").components["sync_net"]
  frames = media.decode_frames(videos[0], MINI.fps, MINI.frame_resize)[None, :60]
  audio = media.decode_audio(videos[0], MINI.sample_rate, duration_s=4.0)
  later = np.concatenate([np.zeros(3 * MINI.samples_per_frame, np.float32), audio])[: len(audio)]
  score = jax.jit(functools.partial(rerank.score_segments, spec=MINI))
  found = score(network, frames, np.array([60], np.int32), np.stack([audio, later])[None])
  moved = np.asarray(found.offset_s[0, 1] - found.offset_s[0, 0])
  np.testing.assert_allclose(moved, 3 / MINI.fps, atol=0.05)


@pytest.mark.slow
def test_sparsesync_scores_5_s_at_a_time():
  config = dataclasses.replace(tiny.SYNC, video_grid=(64, 16, 16), audio_grid=(256, 320))
  network = filled(lambda: sync.SparseSync(config, rngs=Keys(0)))
  frames, audio = pictures(1, 150, 32, 32), noise(1, 3, 6 * MINI.sample_rate)
  audio[..., 132 * MINI.sample_rate // 25 :] = 0
  found = jax.jit(functools.partial(rerank.score_sparse, rate=MINI.sample_rate))(
    network, frames, np.array([132], np.int32), audio
  )
  assert found.offset_s.shape == (1, 3, 2)
  sound = resample(audio[0], MINI.sample_rate, SAMPLE_RATE)
  alone = nnx.jit(lambda net, x, s: net(sync.prepare_video(x), s))
  for segment, (first, last) in enumerate([(0, 125), (125, 132)]):
    heard = sync_spectrogram(sound[:, first * 640 : (first + 125) * 640])
    logits = alone(network, frames[:, first:last], heard)
    best = np.asarray(logits.argmax(-1))
    np.testing.assert_array_equal(found.offset_s[0, :, segment], -network.config.offsets_s[best])
    expected = jax.nn.softmax(logits)[np.arange(3), best]
    np.testing.assert_allclose(found.confidence[0, :, segment], expected, rtol=1e-3)


def test_a_whole_is_the_mean_of_its_own_segments():
  syncs = Sync(jnp.array([[0.2, -0.4, 9.0]]), jnp.array([[0.5, 0.7, 9.0]]))
  whole = rerank.over_segments(syncs, 2)
  np.testing.assert_allclose(np.ravel([whole.offset_s, whole.confidence]), [0.3, 0.6], rtol=1e-6)
  one = rerank.over_segments(Sync(*(-x[:, :1] for x in syncs)))
  np.testing.assert_allclose(np.ravel([one.offset_s, one.confidence]), [-0.2, -0.5], rtol=1e-6)


def test_segments_of_any_length_cover_it():
  for length in (1, 29, 30, 31, 60, 75):
    spans = rerank.segments(length, MINI)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(end - start == min(MINI.frames, length) for start, end in spans)
    assert rerank.sparse_segments(length, MINI)[-1][1] == length
