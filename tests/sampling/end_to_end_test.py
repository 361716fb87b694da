"""The published line at paper size: frames to features to greedy codes to a spectrogram."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.conventions import PUBLISHED
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import VideoEncoder
from condfoley_jax.models.vqgan import VQGAN, codes_to_sequence, sequence_to_codes
from condfoley_jax.sampling import program
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import tree
from condfoley_jax.weights.published import transformer, video_encoder, vqgan
from tests import golden

pytestmark = [pytest.mark.golden, pytest.mark.slow]


def published(build, module, keys, **sizes):
  state = {k: x for k, x in golden.state_dict(keys).items() if not k.startswith(("loss.", "wav_transforms."))}
  config = module.config_from_torch(state, **sizes)
  model = nnx.eval_shape(lambda: build(config, rngs=Keys(0)))
  tree.restore(model, module.params_from_torch(state, config))
  return model


@pytest.fixture(scope="module")
def vectors():
  return golden.load("end_to_end.npz")


@pytest.fixture(scope="module")
def features(vectors):
  encoder = published(VideoEncoder, video_encoder, "r2plus1d")
  frames = [vectors[f"{name}_frames_u8"].transpose(1, 2, 3, 0) for name in ("cond", "query")]
  look = jax.jit(functools.partial(program.see, conventions=PUBLISHED))
  return [look(encoder, clip[None]) for clip in frames]


@pytest.fixture(scope="module")
def codec():
  return published(VQGAN, vqgan, "vqgan_real")


def test_features(vectors, features):
  for name, ours in zip(("cond", "query"), features, strict=True):
    golden.assert_close(ours, vectors[f"{name}_feats"].transpose(0, 2, 1))


def test_condition_codes(vectors, codec):
  latent = np.asarray(nnx.jit(VQGAN.latent)(codec, 2 * vectors["cond_spec01"][None] - 1), np.float64)
  book = np.asarray(codec.quantizer.codebook[...], np.float64)
  distance = np.sort(((latent.reshape(-1, 1, latent.shape[-1]) - book) ** 2).sum(-1), axis=-1)
  sure = distance[:, 1] - distance[:, 0] > 1e-3
  codes = np.asarray(nnx.jit(VQGAN.encode)(codec, 2 * vectors["cond_spec01"][None] - 1)).ravel()
  assert sure.any()
  np.testing.assert_array_equal(codes[sure], vectors["cond_codes_row_major"].ravel()[sure])
  grid = vectors["cond_codes_row_major"].reshape(1, 5, 10)
  np.testing.assert_array_equal(codes_to_sequence(grid), vectors["cond_codes"])


def test_greedy_codes_and_the_spectrogram_that_they_decode_to(vectors, features, codec):
  model = published(Transformer, transformer, "gpt_real", rows=5, columns=10, heads=16)
  condition = vectors["cond_codes"].astype(np.int32)
  keys = jax.random.split(jax.random.key(0), (1, 1))
  history = condition[:, None, :0]
  greedy = jax.jit(sample_codes, static_argnames="count")
  codes = greedy(model, *features, condition, history, keys, Sampling(temperature=0.0), count=50)[0]
  sure = golden.sure(vectors["greedy_margin"])
  assert sure.any()
  np.testing.assert_array_equal(np.asarray(codes)[0, sure], vectors["greedy_codes"][0, sure])
  grid = sequence_to_codes(vectors["greedy_codes"].astype(np.int32), 5)
  golden.assert_close(nnx.jit(VQGAN.decode)(codec, grid), vectors["decoded"][:, 0])
