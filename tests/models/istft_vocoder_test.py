import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import MINI
from condfoley_jax.models.istft_vocoder import DepthwiseConv, IstftVocoder, IstftVocoderConfig

SMALL = IstftVocoderConfig(width=16, hidden=32, layers=2)


def random_mel(frames, batch=1):
  return jax.random.uniform(jax.random.key(0), (batch, MINI.n_mels, frames), minval=-1.0)


@nnx.jit
def synthesise(model, mel):
  return model(mel)


def test_default_matches_the_mini_clip():
  config = IstftVocoderConfig()
  assert (config.n_mels, config.n_fft, config.hop) == (MINI.n_mels, MINI.n_fft, MINI.hop)


def test_two_seconds_cost_at_most_one_and_a_half_gflop():
  model = nnx.eval_shape(lambda: IstftVocoder(IstftVocoderConfig(), rngs=nnx.Rngs(0)))
  graph, state = nnx.split(model)
  mel = jax.ShapeDtypeStruct((1, MINI.n_mels, MINI.mel_frames), jnp.float32)
  lowered = jax.jit(lambda state, mel: nnx.merge(graph, state)(mel)).lower(state, mel)
  assert lowered.out_info.shape == (1, MINI.samples)
  assert lowered.compile().cost_analysis()["flops"] <= 1.5e9


def test_sound_depends_on_frames_near_it_and_on_no_others():
  model = IstftVocoder(SMALL, rngs=nnx.Rngs(0))
  mel = random_mel(60)
  change = np.abs(synthesise(model, mel.at[:, :, 30].add(0.5)) - synthesise(model, mel))[0]
  assert change.shape == (60 * 245,)
  hops = change.reshape(60, 245).max(axis=1)
  reach = 3 * (1 + SMALL.layers) + 3  # Kernels of 7, then a window that covers two hops more on each side.
  assert hops[30] > 0
  assert not hops[: 30 - reach].any() and not hops[30 + reach :].any()


def test_every_parameter_gets_a_gradient():
  model = IstftVocoder(SMALL, rngs=nnx.Rngs(0))
  grads = nnx.jit(nnx.grad(lambda model, mel: jnp.abs(model(mel)).mean()))(model, random_mel(8))
  for path, grad in jax.tree.leaves_with_path(grads):
    assert jnp.isfinite(grad).all() and jnp.abs(grad).max() > 0, path


def test_bfloat16_is_close_to_float32():
  mel = random_mel(30)
  full, half = (IstftVocoder(SMALL, dtype=d, rngs=nnx.Rngs(0)).spectrum(mel) for d in (jnp.float32, jnp.bfloat16))
  assert half.dtype == jnp.complex64
  assert jnp.linalg.norm(full - half) < 0.02 * jnp.linalg.norm(full)


@pytest.mark.parametrize("kernel", [3, 7])
def test_depthwise_conv_equals_a_grouped_convolution(kernel):
  ours = DepthwiseConv(8, kernel, dtype=jnp.float32, rngs=nnx.Rngs(0))
  theirs = nnx.Conv(8, 8, (kernel,), feature_group_count=8, rngs=nnx.Rngs(1))
  ours.bias[...] = jnp.arange(8.0)
  theirs.kernel[...], theirs.bias[...] = ours.kernel[...][:, None], ours.bias[...]
  x = jax.random.normal(jax.random.key(0), (2, 20, 8))
  np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_sizes_come_from_the_config():
  model = IstftVocoder(dataclasses.replace(SMALL, n_mels=40, n_fft=512, hop=128), rngs=nnx.Rngs(0))
  assert synthesise(model, jnp.zeros((2, 40, 10))).shape == (2, 1280)
