"""The mel VQGAN: published numbers, the mini size's grid and cost, and that mini works at any length."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax import config_tree
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.quantizer import QuantizerConfig, perplexity
from condfoley_jax.models.vqgan import (
  VQGAN,
  VQGANConfig,
  codes_to_sequence,
  depth_to_space,
  sequence_to_codes,
  space_to_depth,
)
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.vqgan import params_from_torch
from configs import models
from tests import golden
from tests.fill import filled

TINY = VQGANConfig(
  patch=(2, 2),
  widths=(8, 8),
  strides=((2, 1),),
  encoder_blocks=1,
  decoder_blocks=1,
  attention_levels=(),
  mid_attention=True,
  norm="channel",
  z_channels=6,
  quantizer=QuantizerConfig(vocab=11, width=4),
)


def preset(name: str) -> VQGANConfig:
  return config_tree.from_dict(VQGANConfig, models.models(name)["vqgan"])


MINI, PAPER = preset("mini"), preset("paper_gh")
SMALL = dataclasses.replace(
  PAPER,
  widths=(32, 32, 64, 64, 128),
  z_channels=32,
  quantizer=QuantizerConfig(vocab=64, width=32, loss="published"),
)


@pytest.fixture(scope="module")
def tiny():
  return filled(lambda: VQGAN(TINY, rngs=Keys(0)))


@pytest.fixture(scope="module")
def mini():
  return filled(lambda: VQGAN(MINI, rngs=Keys(0)), scale=0.1)


def random_mel(config, columns, seed=0):
  rows, frames = config.reduction
  return np.tanh(np.random.default_rng(seed).standard_normal((2, 4 * rows, columns * frames))).astype(np.float32)


@functools.cache
def abstract(config):
  return nnx.eval_shape(lambda: VQGAN(config, rngs=Keys(0)))


def published_state(name):
  """The parts that we take: not the loss (its discriminator has a converter of its own) nor the mel front end."""
  return {k: v for k, v in golden.state_dict(name).items() if not k.startswith(("loss.", "wav_transforms."))}


@nnx.jit
def stages(model, mel, codes):
  """Encoder output, latents, quantised latents; and entries and picture of `codes`."""
  h = model.encoder(mel[..., None])
  z = model.quant_conv(h)
  return h, z, model.quantizer(z), model.quantizer.lookup(codes), model.decode(codes)


@pytest.mark.golden
@pytest.mark.parametrize(("config", "name"), [(SMALL, "vqgan_small"), (PAPER, "vqgan_real")])
def test_every_stage_equals_the_published_model(config, name):
  vectors = golden.load(f"{name}.npz")
  model = nnx.eval_shape(lambda: VQGAN(config, rngs=Keys(0)))
  tree.restore(model, params_from_torch(published_state(name), config))
  codes = vectors["indices"].reshape(2, 5, 10).astype(np.int32)
  mel = np.tanh(golden.rnd("vqgan_x", (2, 1, 80, 160)))[:, 0]
  h, z, quantized, entries, rec = stages(model, mel, codes)
  for ours, theirs in ((h, "h"), (z, "z"), (entries, "zq")):
    theirs = vectors[theirs].transpose(0, 2, 3, 1)
    golden.assert_close(ours[: len(theirs)], theirs)
  clear = vectors["margin"].reshape(codes.shape) > 1e-3
  assert clear.mean() > 0.9
  np.testing.assert_array_equal(quantized.codes[clear], codes[clear])
  np.testing.assert_allclose(quantized.loss, vectors["qloss"], rtol=1e-4)
  np.testing.assert_allclose(perplexity(codes, config.quantizer.vocab), vectors["perplexity"], rtol=1e-4)
  golden.assert_close(rec, vectors["rec"][:, 0])


@pytest.mark.golden
def test_published_weights_left_over_or_missing_are_an_error():
  state = published_state("vqgan_small")
  with pytest.raises(ValueError, match=r"decoder\.up\.5\.block\.0\.conv1\.bias"):
    params_from_torch(state | {"decoder.up.5.block.0.conv1.bias": np.zeros(1)}, SMALL)
  with pytest.raises(ValueError, match=r"missing .*quant_conv\.bias"):
    params_from_torch({k: v for k, v in state.items() if k != "quant_conv.bias"}, SMALL)


def test_paper_size_has_the_published_number_of_parameters():
  assert sum(x.size for x in jax.tree.leaves(nnx.state(abstract(PAPER), nnx.Param))) == 72_137_089


@pytest.mark.golden
def test_order_of_codes_is_the_published_one():
  vectors = golden.load("permuter.npz")
  for columns, suffix in [(10, "5x10"), (30, "of_arange150")]:
    ramp = np.arange(5 * columns)
    np.testing.assert_array_equal(codes_to_sequence(ramp.reshape(5, columns)), vectors[f"forward_{suffix}"])
    np.testing.assert_array_equal(sequence_to_codes(ramp, 5).ravel(), vectors[f"backward_{suffix}"])


@settings(deadline=None)
@given(batch=st.integers(1, 3), rows=st.integers(1, 6), columns=st.integers(1, 40))
def test_sequence_and_grid_are_inverses(batch, rows, columns):
  grid = np.random.default_rng(0).integers(0, 99, (batch, rows, columns))
  sequence = codes_to_sequence(grid)
  assert sequence.shape == (batch, rows * columns)
  np.testing.assert_array_equal(sequence_to_codes(sequence, rows), grid)
  np.testing.assert_array_equal(sequence[:, (columns - 1) * rows : columns * rows], grid[:, :, columns - 1])


@settings(deadline=None)
@given(patch=st.tuples(*[st.integers(1, 5)] * 2), cells=st.tuples(*[st.integers(1, 4)] * 2), channels=st.integers(1, 3))
def test_space_and_depth_are_inverses(patch, cells, channels):
  x = np.random.default_rng(0).standard_normal((2, cells[0] * patch[0], cells[1] * patch[1], channels))
  deep = space_to_depth(x, patch)
  assert deep.shape == (2, *cells, patch[0] * patch[1] * channels)
  np.testing.assert_array_equal(depth_to_space(deep, patch), x)
  np.testing.assert_array_equal(deep[1, -1, 0], x[1, -patch[0] :, : patch[1]].ravel())


@pytest.mark.parametrize(("config", "name"), [(MINI, "mini"), (PAPER, "paper_gh")])
def test_a_code_stands_for_the_mel_that_the_clip_says(config, name):
  spec = models.spec(name)
  assert config.reduction == (spec.mel_per_row, spec.mel_per_column)
  mel = jax.ShapeDtypeStruct((1, spec.n_mels, spec.mel_frames), jnp.float32)
  rec, quantized = nnx.eval_shape(lambda model, mel: model(mel), abstract(config), mel)
  assert rec.shape == mel.shape and rec.dtype == jnp.float32
  assert quantized.codes.shape == (1, spec.code_rows, spec.code_columns) and quantized.codes.dtype == jnp.int32


def test_mini_has_one_column_of_four_codes_for_each_video_frame():
  spec = models.spec("mini")
  assert (spec.code_rows, spec.code_columns) == (4, 30) and spec.code_columns == spec.frames


def test_two_seconds_of_mini_cost_at_most_one_gflop():
  spec = models.spec("mini")
  graph, state = nnx.split(abstract(MINI))
  mel = jax.ShapeDtypeStruct((1, spec.n_mels, spec.mel_frames), jnp.float32)
  cost = jax.jit(lambda state, mel: nnx.merge(graph, state)(mel)).lower(state, mel).cost_analysis()
  assert 0.2e9 < cost["flops"] <= 1e9


# Columns on either side that a code of mini may depend on: 1 for all layers before the stride of 3, then 1 a 3 x 3
# convolution: two blocks of two and the stride of (2, 1) between them, two blocks more, and the last one.
REACH = 1 + (2 * 2 + 1) + 2 * 2 + 1


def test_codes_of_mini_do_not_depend_on_where_in_time_they_are(mini):
  frames = MINI.reduction[1]
  mel = random_mel(MINI, 48)
  encode = nnx.jit(lambda model, mel: (model.encode(mel), model.latent(mel)))
  codes, latent = encode(mini, mel)
  assert len(np.unique(codes)) > 50
  head_codes, head = encode(mini, mel[:, :, : 32 * frames])
  tail_codes, tail = encode(mini, mel[:, :, 16 * frames :])
  np.testing.assert_array_equal(head_codes[:, :, :-REACH], codes[:, :, : 32 - REACH])
  np.testing.assert_array_equal(tail_codes[:, :, REACH:], codes[:, :, 16 + REACH :])
  np.testing.assert_allclose(head[:, :, :-REACH], latent[:, :, : 32 - REACH], atol=1e-4)
  np.testing.assert_allclose(tail[:, :, REACH:], latent[:, :, 16 + REACH :], atol=1e-4)
  assert np.abs(head[:, :, -1] - latent[:, :, 31]).max() > 1e-2, "latents do depend on what is near them"


def test_codes_decode_to_the_reconstruction(tiny):
  @nnx.jit
  def both_ways(model, mel):
    codes = model.encode(mel)
    return *model(mel), codes, model.decode(codes)

  rec, quantized, codes, decoded = both_ways(tiny, random_mel(TINY, 5))
  np.testing.assert_array_equal(codes, quantized.codes)
  np.testing.assert_allclose(decoded, rec, atol=1e-4)


def test_reconstruction_trains_every_parameter_but_the_codebook(tiny):
  """The codebook learns from its own loss only: the gradient passes it by."""
  grads = nnx.jit(nnx.grad(lambda model, mel: jnp.abs(model(mel)[0] - mel).mean()))(tiny, random_mel(TINY, 5))
  untrained = {name for name, x in tree.flatten(grads).items() if not np.abs(x).max() > 0}
  assert untrained == {"quantizer/codebook"}


def test_bfloat16_is_close_to_float32(tiny):
  graph = nnx.graphdef(nnx.eval_shape(lambda: VQGAN(TINY, dtype=jnp.bfloat16, rngs=Keys(0))))
  decode = nnx.jit(lambda model, codes: model.decode(codes))
  codes = np.random.default_rng(0).integers(0, 11, (2, 4, 5))
  full, half = decode(tiny, codes), decode(nnx.merge(graph, nnx.state(tiny)), codes)
  assert half.dtype == jnp.float32
  assert 0 < np.linalg.norm(full - half) < 0.03 * np.linalg.norm(full)


def test_unknown_norm_is_refused():
  with pytest.raises(ValueError, match="batch"):
    nnx.eval_shape(lambda: VQGAN(dataclasses.replace(TINY, norm="batch"), rngs=Keys(0)))
