"""SparseSync: published numbers, and what its logits depend on."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import PAPER
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.s3d import TemporalConv, max_pool
from condfoley_jax.models.sync import FRAMES, Selector, SparseSync, SparseSyncConfig, prepare_video
from condfoley_jax.weights import folder, tree
from condfoley_jax.weights.published.sparsesync import params_from_torch
from tests import golden
from tests.fill import filled
from tests.models.tiny import SYNC as TINY

PUBLISHED = SparseSyncConfig()


@nnx.jit
def compare_all(model, frames, spectrogram):
  return model(frames, spectrogram)


@nnx.jit
def select(selector, features):
  return selector(features)


@pytest.fixture(scope="module")
def published():
  model = nnx.eval_shape(lambda: SparseSync(PUBLISHED, rngs=Keys(0)))
  tree.restore(model, params_from_torch(golden.state_dict("sparsesync"), PUBLISHED))
  return model


@pytest.fixture(scope="module")
def vectors():
  return golden.load("sparsesync.npz")


@pytest.fixture(scope="module")
def tiny():
  """Its norms keep the scale of what they normalise: a signal would not outlast so many random ones."""
  model = filled(lambda: SparseSync(TINY, rngs=Keys(0)))
  tree.restore(model, {k: np.ones_like(x) if k.endswith("scale") else x for k, x in tree.flatten(model).items()})
  return model


def frames(batch=2):
  return np.random.default_rng(0).standard_normal((batch, 8, 16, 32, 3)).astype(np.float32)


def spectrograms(batch=2):
  return np.random.default_rng(1).standard_normal((batch, 16, 24)).astype(np.float32)


def video(name, shape):
  """Published axes [B, T, 3, H, W] to ours."""
  return golden.rnd(name, shape).transpose(0, 1, 3, 4, 2)


@pytest.mark.golden
def test_video_features_equal_the_published_ones(published, vectors):
  features = nnx.jit(lambda model, x: model(x))(published.video_features, video("ss_vis_small", (1, 32, 3, 64, 64)))
  golden.assert_close(features, vectors["vfeat_small"].transpose(0, 1, 3, 4, 2))


@pytest.mark.golden
def test_audio_features_equal_the_published_ones(published, vectors):
  spectrogram = golden.rnd("ss_aud", (1, 1, 257, 626))[:, 0]
  features = nnx.jit(lambda model, x: model(x))(published.audio_features, spectrogram)
  assert features.shape == (1, 9, 20, 512)
  golden.assert_close(features.mean((1, 2)), vectors["afeat_mean"])


@pytest.mark.golden
def test_logits_of_features_equal_the_published_ones(published, vectors):
  seen = select(published.video_selector, video("ss_visfeat", (1, 16, 512, 7, 7)))
  heard = select(published.audio_selector, golden.rnd("ss_audfeat", (1, 512, 9, 20)).transpose(0, 2, 3, 1))
  logits = nnx.jit(lambda model, *tokens: model.compare(*tokens))(published, seen, heard)
  golden.assert_close(logits, vectors["head_only_logits"])


@pytest.mark.golden
@pytest.mark.slow
def test_logits_of_a_whole_clip_equal_the_published_ones(published, vectors):
  spectrogram = golden.rnd("ss_aud", (1, 1, 257, 626))[:, 0]
  logits = compare_all(published, video("ss_vis", (1, FRAMES, 3, 224, 224)), spectrogram)
  golden.assert_close(logits, vectors["full_logits"])


def test_published_offsets_go_from_minus_2_to_2_seconds_in_fifths():
  np.testing.assert_allclose(PUBLISHED.offsets_s, np.arange(-10, 11) / 5, atol=1e-6)
  assert PUBLISHED.offsets_s[10] == 0


def test_one_logit_per_class(tiny):
  logits = compare_all(tiny, frames(), spectrograms())
  assert logits.shape == (2, 5) and logits.dtype == np.float32 and np.isfinite(logits).all()


def test_frames_and_sound_both_matter(tiny):
  seen, heard = frames(3), spectrograms(3)
  seen[1], heard[2] = seen[0], heard[0]
  seen[2] = seen[0][::-1]
  # The first item, the same with other sound, the same with the video backwards.
  logits = compare_all(tiny, seen, heard)
  assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(logits, 2))


def test_an_item_does_not_depend_on_the_others(tiny):
  seen, heard = frames(), spectrograms()
  both = compare_all(tiny, seen, heard)
  np.testing.assert_allclose(compare_all(tiny, seen[1:], heard[1:]), both[1:], atol=1e-4)


def test_one_video_is_compared_with_every_sound(tiny):
  seen, heard = frames(1), spectrograms()
  every = compare_all(tiny, seen, heard)
  np.testing.assert_allclose(compare_all(tiny, np.repeat(seen, 2, axis=0), heard), every, atol=1e-4)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_tokens_tell_where_along_each_axis_a_feature_is(axis):
  selector = filled(lambda: Selector(TINY, (2, 2, 2), (0, 2, 1), dtype=jnp.float32, rngs=Keys(0)), scale=1.0)
  features = np.random.default_rng(0).standard_normal((1, 2, 2, 2, 8)).astype(np.float32)
  tokens = select(selector, features)
  assert tokens.shape == (1, 3, 8)
  assert np.abs(select(selector, np.flip(features, axis)) - tokens).max() > 1e-3


def test_the_largest_maps_fill_the_grids_and_larger_ones_are_errors(tiny):
  features = nnx.eval_shape(lambda model: model.video_features(jnp.ones((1, 8, 16, 32, 3))), tiny)
  assert features.shape == (1, 2, 1, 2, 24)
  with pytest.raises(ValueError, match=r"\(3, 1, 2\) is larger than \(2, 1, 2\)"):
    nnx.eval_shape(lambda model: model.see(jnp.ones((1, 9, 16, 32, 3))), tiny)


def test_compute_dtype_leaves_parameters_and_logits_in_float32():
  model = filled(lambda: SparseSync(TINY, dtype=jnp.bfloat16, rngs=Keys(0)))
  seen, logits = nnx.eval_shape(lambda model: (model.see(frames()), model(frames(), spectrograms())), model)
  assert seen.dtype == jnp.bfloat16 and logits.dtype == jnp.float32
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(nnx.state(model)))


def test_a_folder_gives_the_same_logits_back(tiny, tmp_path):
  folder.save(tmp_path, PAPER, {"sync": tiny})
  loaded = folder.load(tmp_path).components["sync"]
  expected = compare_all(tiny, frames(), spectrograms())
  np.testing.assert_allclose(
    compare_all(loaded, frames(), spectrograms()), expected, atol=0.02 * np.abs(expected).max()
  )


@pytest.mark.parametrize(
  ("change", "words"),
  [({"heads": 3}, "width 8 is no multiple of 3 heads"), ({"width": 16}, "audio features 8 wide do not fit")],
)
def test_sizes_that_do_not_fit_are_errors(change, words):
  with pytest.raises(ValueError, match=words):
    SparseSyncConfig(**vars(TINY) | change)


def test_short_videos_are_followed_by_black_frames():
  prepared = prepare_video(np.full((2, 50, 4, 4, 3), 255, np.uint8))
  assert prepared.shape == (2, 125, 4, 4, 3) and prepared.dtype == np.float32
  np.testing.assert_allclose(
    prepared[:, 49:51, 0, 0], [[[2.2489, 2.4286, 2.64], [-2.1179, -2.0357, -1.8044]]] * 2, atol=1e-4
  )


def test_videos_longer_than_5_seconds_are_errors():
  with pytest.raises(ValueError, match="126 frames"):
    prepare_video(np.zeros((1, 126, 2, 2, 3), np.uint8))


@pytest.mark.parametrize(
  ("window", "stride", "starts"), [(3, 2, range(-1, 6, 2)), (3, 1, range(-1, 6)), (2, 2, range(0, 6, 2))]
)
def test_pooling_takes_the_largest_of_each_window(window, stride, starts):
  x = np.random.default_rng(0).standard_normal((1, 7, 7, 7, 2)).astype(np.float32)
  pooled = max_pool(x, (window,) * 3, (stride,) * 3)
  spans = [slice(max(start, 0), start + window) for start in starts]
  assert pooled.shape == (1, *[len(spans)] * 3, 2)
  for i, j, k in [(0, 1, 2), (2, 0, 1), (-1, -1, -1)]:
    np.testing.assert_array_equal(pooled[0, i, j, k], x[0, spans[i], spans[j], spans[k]].max((0, 1, 2)))


@pytest.mark.parametrize(("kernel", "stride", "length"), [(7, 2, 9), (7, 2, 8), (3, 1, 5)])
def test_temporal_convolutions_are_convolutions(kernel, stride, length):
  conv = filled(lambda: TemporalConv(2, 3, kernel, stride, dtype=jnp.float32, rngs=Keys(0)))
  x = np.random.default_rng(0).standard_normal((1, length, 1, 2, 2)).astype(np.float32)
  padded = np.pad(x, ((0, 0), (kernel // 2,) * 2, (0, 0), (0, 0), (0, 0)))
  expected = [
    np.einsum("bthwc,tcd->bhwd", padded[:, i : i + kernel], conv.kernel[...]) for i in range(0, length, stride)
  ]
  np.testing.assert_allclose(conv(x), np.stack(expected, axis=1), atol=1e-5)
