import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import MINI
from condfoley_jax.models.istft_vocoder import DepthwiseConv, IstftVocoder, IstftVocoderConfig
from condfoley_jax.models.keys import Keys

SMALL = IstftVocoderConfig(width=16, hidden=32, layers=2)


@pytest.fixture(scope="module")
def small():
  return nnx.jit(lambda: IstftVocoder(SMALL, rngs=Keys(0)))()


def random_mel(frames):
  return np.random.default_rng(0).uniform(-1, 1, (1, MINI.n_mels, frames)).astype(np.float32)


@nnx.jit
def run(model, mel):
  return model(mel)


def test_default_matches_the_mini_clip():
  config = IstftVocoderConfig()
  assert (config.n_mels, config.n_fft, config.hop) == (MINI.n_mels, MINI.n_fft, MINI.hop)


def test_two_seconds_cost_at_most_one_and_a_half_gflop():
  model = nnx.eval_shape(lambda: IstftVocoder(IstftVocoderConfig(), rngs=Keys(0)))
  graph, state = nnx.split(model)
  mel = jax.ShapeDtypeStruct((1, MINI.n_mels, MINI.mel_frames), jnp.float32)
  lowered = jax.jit(lambda state, mel: nnx.merge(graph, state)(mel)).lower(state, mel)
  assert lowered.out_info.shape == (1, MINI.samples)
  assert 0.5e9 < lowered.cost_analysis()["flops"] <= 1.5e9


def test_sound_depends_on_frames_near_it_and_on_no_others(small):
  mel, other = random_mel(60), random_mel(60)
  other[:, :, 30] += 0.5
  change = np.abs(np.asarray(run(small, other)) - np.asarray(run(small, mel)))[0]
  assert change.shape == (60 * 245,)
  hops = change.reshape(60, 245).max(axis=1)
  reach = 3 * (1 + SMALL.layers) + 3  # Kernels of 7, then a window that covers two hops more on each side.
  assert hops[30] > 0
  assert not hops[: 30 - reach].any() and not hops[30 + reach :].any()


def test_every_parameter_gets_a_gradient(small):
  grads = nnx.jit(nnx.grad(lambda model, mel: jnp.abs(model(mel)).mean()))(small, random_mel(8))
  for path, grad in jax.tree.leaves_with_path(grads):
    assert np.isfinite(grad).all() and np.abs(grad).max() > 0, path


def test_bfloat16_is_close_to_float32(small):
  graph = nnx.graphdef(nnx.eval_shape(lambda: IstftVocoder(SMALL, dtype=jnp.bfloat16, rngs=Keys(0))))
  spectrum = nnx.jit(lambda model, mel: model.spectrum(mel))
  full, half = (np.asarray(spectrum(m, random_mel(30))) for m in (small, nnx.merge(graph, nnx.state(small))))
  assert half.dtype == np.complex64
  assert 0 < np.linalg.norm(full - half) < 0.02 * np.linalg.norm(full)


def test_depthwise_conv_equals_a_grouped_convolution():
  ours = DepthwiseConv(8, 7, dtype=jnp.float32, rngs=Keys(0))
  theirs = nnx.Conv(8, 8, (7,), feature_group_count=8, rngs=Keys(1))
  ours.bias[...] = jnp.arange(8.0)
  theirs.kernel[...], theirs.bias[...] = ours.kernel[...][:, None], ours.bias[...]
  x = np.random.default_rng(0).standard_normal((2, 20, 8)).astype(np.float32)
  np.testing.assert_allclose(run(ours, x), run(theirs, x), atol=1e-6)


def test_sizes_come_from_the_config():
  config = dataclasses.replace(SMALL, n_mels=40, n_fft=512, hop=128)
  model = nnx.eval_shape(lambda: IstftVocoder(config, rngs=Keys(0)))
  assert nnx.eval_shape(run, model, jnp.zeros((2, 40, 10))).shape == (2, 1280)
