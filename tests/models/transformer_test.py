"""The transformer: published numbers, causality, its cache, and its position grid."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import Frozen, TransformerConfig, grid_slots
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.transformer import params_from_torch
from tests import golden
from tests.fill import filled

TINY = TransformerConfig(
  frames=4, code_rows=2, code_columns=4, vocab=11, layers=2, heads=2, width=16, feature_width=6, codebook_width=5
)
KINDS = [("learned", "learned", False), ("codebook", "grid", True), ("both", "grid", True)]
GPT_SMALL = TransformerConfig(
  frames=30, code_rows=5, code_columns=10, vocab=128, layers=2, heads=4, width=64, feature_width=512
)
GPT_REAL = dataclasses.replace(GPT_SMALL, vocab=1024, layers=24, heads=16, width=1024)


def tiny(audio_token="learned", positions="learned", aligned_frames=False, **kwargs):
  """A small model whose every weight differs from zero, so that no term can hide."""
  config = dataclasses.replace(TINY, audio_token=audio_token, positions=positions, aligned_frames=aligned_frames)
  return filled(lambda: Transformer(config, rngs=Keys(0), **kwargs))


@nnx.jit
def forward(model, *inputs):
  return model(*inputs)


@nnx.jit
def prefilled(model, *inputs):
  return model.prefill(*inputs)


def tiny_inputs(codes=2 * TINY.codes - 1, batch=2):
  rng = np.random.default_rng(0)
  features = rng.standard_normal((2, batch, TINY.frames, TINY.feature_width)).astype(np.float32)
  return *map(jnp.asarray, features), jnp.asarray(rng.integers(0, TINY.vocab, (batch, codes)), jnp.int32)


def published(config, name):
  model = filled(lambda: Transformer(config, rngs=Keys(0)))
  tree.restore(model, params_from_torch(golden.state_dict(name), config))
  return model


def published_inputs(vectors):
  batch = len(vectors["idx"])
  features = golden.rnd("gpt_feats", (batch, 512, 60)).transpose(0, 2, 1)
  return features[:, :30], features[:, 30:], vectors["idx"].astype(np.int32)[:, :-1]


@pytest.mark.golden
def test_logits_equal_the_published_small_model():
  vectors = golden.load("gpt_small.npz")
  logits = forward(published(GPT_SMALL, "gpt_small"), *published_inputs(vectors))
  golden.assert_close(logits, vectors["logits"])


@pytest.mark.golden
@pytest.mark.slow
def test_logits_equal_the_published_full_model():
  vectors = golden.load("gpt_real.npz")
  logits = forward(published(GPT_REAL, "gpt_real"), *published_inputs(vectors))
  golden.assert_close(logits[:, 59:], vectors["logits"])


@pytest.mark.golden
def test_published_weights_left_over_are_an_error():
  state = golden.state_dict("gpt_small") | {"blocks.2.ln1.weight": np.zeros(64)}
  with pytest.raises(ValueError, match=r"blocks\.2\.ln1\.weight"):
    params_from_torch(state, GPT_SMALL)


def test_paper_size_has_the_published_number_of_parameters():
  model = nnx.eval_shape(lambda: Transformer(GPT_REAL, rngs=Keys(0)))
  assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 305_097_728


@pytest.mark.parametrize(("audio_token", "positions", "aligned_frames"), KINDS)
def test_no_position_sees_a_later_one(audio_token, positions, aligned_frames):
  model = tiny(audio_token, positions, aligned_frames)
  condition, query, codes = tiny_inputs(batch=1)
  reach = jax.jit(jax.grad(lambda frames, p: model(*frames, codes)[0, p].sum()))
  for position in (0, TINY.frames, 2 * TINY.frames - 1, TINY.fed - 1):
    moved = jnp.abs(jnp.concatenate(reach((condition, query), position), axis=1)[0]).sum(-1)
    assert (moved[: position + 1] > 0).all() and (moved[position + 1 :] == 0).all()

  logits = forward(model, condition, query, codes)
  for index in (0, TINY.codes - 1, codes.shape[1] - 1):
    other = forward(model, condition, query, codes.at[:, index].set((codes[:, index] + 1) % TINY.vocab))
    moved = jnp.abs(other - logits)[0].max(-1)
    position = 2 * TINY.frames + index
    assert (moved[position:] > 0).all() and (moved[:position] == 0).all()


def test_aligned_frames_reach_the_code_that_sounds_with_them_without_attention():
  model = tiny(aligned_frames=True)
  for block in model.blocks:
    block.attention.out.kernel[...] = jnp.zeros((TINY.width, TINY.width))
  condition, query, codes = tiny_inputs(batch=1)
  reach = jax.jit(jax.grad(lambda query, p: model(condition, query, codes)[0, p].sum()))
  for target in range(TINY.codes):
    seen = jnp.abs(reach(query, TINY.prefix - 1 + target)[0]).sum(-1)
    assert jnp.flatnonzero(seen).tolist() == [target // TINY.code_rows]


@pytest.mark.parametrize(("audio_token", "positions", "aligned_frames"), KINDS)
def test_cached_logits_equal_the_full_forward_at_every_position(audio_token, positions, aligned_frames):
  model = tiny(audio_token, positions, aligned_frames)
  condition, query, codes = tiny_inputs()
  full = forward(model, condition, query, codes)
  logits, prefix = prefilled(model, condition, query, codes[:, : TINY.codes])
  np.testing.assert_allclose(logits, full[:, TINY.prefix - 1], atol=1e-4)
  step = nnx.jit(Transformer.extend, static_argnames="reach")
  suffix = model.empty_suffix(2, 1, TINY.codes - 1)
  for index in range(TINY.codes - 1):
    logits, suffix = step(
      model, codes[:, TINY.codes + index, None, None], jnp.int32(index), prefix, suffix, reach=TINY.codes - 1
    )
    np.testing.assert_allclose(logits[:, 0], full[:, TINY.prefix + index], atol=1e-4)


def test_takes_with_one_prefix_read_what_each_has_drawn():
  model = tiny()
  condition, query, codes = tiny_inputs(batch=3)
  one = lambda x: jnp.broadcast_to(x[:1], x.shape)
  codes = codes.at[:, : TINY.codes].set(codes[0, : TINY.codes])
  full = forward(model, one(condition), one(query), codes)
  _, prefix = prefilled(model, condition[:1], query[:1], codes[:1, : TINY.codes])
  suffix = model.empty_suffix(1, 3, TINY.codes - 1)
  logits, _ = nnx.jit(Transformer.extend, static_argnames="reach")(
    model, codes[None, :, TINY.codes :], jnp.int32(0), prefix, suffix, reach=0
  )
  np.testing.assert_allclose(logits[0], full[:, -1], atol=1e-4)


def test_prefill_reads_a_condition_and_nothing_else():
  condition, query, codes = tiny_inputs()
  for given in (TINY.codes - 1, TINY.codes + 1):
    with pytest.raises(ValueError, match=f"prefill reads the 8 codes of a condition, not {given}"):
      tiny().prefill(condition, query, codes[:, :given])


def test_target_logits_are_those_that_predict_target_codes():
  model, inputs = tiny(), tiny_inputs()
  targets = nnx.jit(Transformer.target_logits)(model, *inputs)
  assert targets.shape == (2, TINY.codes, TINY.vocab)
  np.testing.assert_allclose(targets, forward(model, *inputs)[:, TINY.prefix - 1 :], atol=1e-5)


def test_condition_and_query_are_not_interchangeable():
  for positions in ("learned", "grid"):
    model = tiny(positions=positions)
    condition, query, codes = tiny_inputs()
    assert np.abs(forward(model, condition, query, codes) - forward(model, query, condition, codes))[:, -1].max() > 1e-3


def test_grid_gives_a_code_the_time_of_the_frame_it_sounds_with():
  segment, time, row = grid_slots(TINY)
  first_target = TINY.prefix - 1
  assert segment.tolist() == [0] * 4 + [1] * 4 + [0] * 7 + [1] * 8
  assert time[:8].tolist() == [0, 1, 2, 3] * 2 and (row[:8] == TINY.code_rows).all()
  assert time[first_target:].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
  assert row[first_target:].tolist() == [0, 1] * 4


def test_grid_of_another_number_of_columns_takes_the_frame_at_the_middle_of_a_column():
  _, time, _ = grid_slots(dataclasses.replace(TINY, frames=30, code_rows=1, code_columns=10))
  assert time[60 + 9 :].tolist() == [1, 4, 7, 10, 13, 16, 19, 22, 25, 28]


def test_the_codebook_is_saved_but_not_trained():
  model = tiny("codebook")
  codebook = np.random.default_rng(2).standard_normal((TINY.vocab, 5)).astype(np.float32)
  model.set_codebook(codebook)
  np.testing.assert_array_equal(tree.flatten(model)["tokens/codebook"], codebook)
  assert "codebook" not in str(nnx.to_pure_dict(nnx.state(model, nnx.Param)).keys())
  assert len(jax.tree.leaves(nnx.state(model, Frozen))) == 1
  projected = model.tokens(jnp.array([3])) - model.tokens.projection.bias[...]
  np.testing.assert_allclose(projected[0], codebook[3] @ model.tokens.projection.kernel[...], atol=1e-5)


def test_codes_that_sound_alike_are_alike_to_a_model_that_has_both():
  model = tiny("both")
  codebook = np.random.default_rng(2).standard_normal((TINY.vocab, model.config.codebook_width)).astype(np.float32)
  codebook[1] = codebook[0]
  model.set_codebook(5 + 1e-3 * codebook)
  # However small and far away the VQGAN's numbers are.
  np.testing.assert_allclose(np.mean(model.tokens.codebook[...], 0), 0, atol=1e-3)
  np.testing.assert_allclose(np.mean(model.tokens.codebook[...] ** 2), 1, rtol=1e-3)
  # With tables of their own that say nothing, only the codebook tells codes apart.
  model.tokens.own.embedding[...] = jnp.zeros_like(model.tokens.own.embedding[...])
  model.head.kernel[...] = jnp.zeros_like(model.head.kernel[...])
  condition, query, codes = tiny_inputs()
  logits = forward(model, condition, query, jnp.where(codes == 1, 0, codes))
  np.testing.assert_allclose(logits, forward(model, condition, query, jnp.where(codes == 0, 1, codes)), atol=1e-5)
  np.testing.assert_allclose(logits[..., 0], logits[..., 1], atol=1e-5)
  assert (jnp.abs(logits[..., 0] - logits[..., 2]) > 1e-3).any()


def test_set_codebook_refuses_what_does_not_fit():
  with pytest.raises(ValueError, match="no codebook"):
    tiny().set_codebook(np.zeros((11, 5)))
  with pytest.raises(ValueError, match="expected"):
    tiny("codebook").set_codebook(np.zeros((12, 5)))


def test_lengths_that_do_not_fit_are_errors():
  condition, query, codes = tiny_inputs(codes=2 * TINY.codes)
  with pytest.raises(ValueError, match="16 codes"):
    tiny()(condition, query, codes)
  with pytest.raises(ValueError, match="frames"):
    tiny()(condition[:, :3], query, codes[:, :-1])


@pytest.mark.parametrize("change", [{"heads": 3}, {"positions": "none"}, {"audio_token": "none"}])
def test_config_refuses_what_it_does_not_know(change):
  with pytest.raises(ValueError):
    dataclasses.replace(TINY, **change)


def test_bfloat16_stays_close_and_gives_float32_logits():
  inputs = tiny_inputs(codes=TINY.codes)
  half, full = tiny(positions="grid", dtype=jnp.bfloat16), tiny(positions="grid")
  logits, prefix = prefilled(half, *inputs)
  assert logits.dtype == jnp.float32 and {x.dtype for x in jax.tree.leaves(prefix)} == {jnp.dtype(jnp.bfloat16)}
  np.testing.assert_allclose(logits, prefilled(full, *inputs)[0], atol=0.15)
  # Products are of bfloat16, their sums are not: rounded, likely codes would be as likely as one another.
  assert (logits != logits.astype(jnp.bfloat16).astype(jnp.float32)).mean() > 0.9


@functools.cache
def one_by_one(kind):
  """Config, logits and gradients of the model whose blocks stand one by one."""
  config = dataclasses.replace(TINY, audio_token=kind[0], positions=kind[1], aligned_frames=kind[2])
  return config, *logits_and_gradients(Transformer(config, rngs=Keys(0)))


@nnx.jit
def logits_and_gradients(model):
  def loss(model):
    logits = model(*tiny_inputs())
    return jnp.mean(logits**2), logits

  grads, logits = nnx.grad(loss, has_aux=True)(model)
  return logits, grads


# What is recomputed does not depend on the kind.
@pytest.mark.parametrize(("kind", "remat"), [*((KINDS[0], remat) for remat in ("none", "dots")), (KINDS[1], "full")])
def test_scanned_layers_and_recomputing_change_no_number(kind, remat):
  """Logits and gradients of the model whose blocks are one, made of the same key."""
  config, expected_logits, expected = one_by_one(kind)
  scanned = Transformer(dataclasses.replace(config, scan_layers=True, remat=remat), rngs=Keys(0))
  assert scanned.blocks.mlp_in.kernel.shape == (TINY.layers, TINY.width, 4 * TINY.width)
  logits, grads = logits_and_gradients(scanned)
  np.testing.assert_allclose(logits, expected_logits, rtol=1e-5, atol=1e-6)
  for layer in range(TINY.layers):
    np.testing.assert_allclose(
      grads["blocks"]["mlp_in"]["kernel"][...][layer],
      expected["blocks"][layer]["mlp_in"]["kernel"][...],
      rtol=1e-4,
      atol=1e-6,
    )


def test_unstacked_is_the_model_that_decodes():
  scanned = Transformer(dataclasses.replace(TINY, scan_layers=True, remat="full"), rngs=Keys(0))
  plain = scanned.unstacked()
  assert plain.config == TINY
  expected = tree.flatten(Transformer(TINY, rngs=Keys(0)))
  found = tree.flatten(plain)
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value)
  prefilled(plain, *tiny_inputs(codes=TINY.codes))


def test_a_saved_model_goes_on_as_its_config_wants_it_computed():
  scanned = dataclasses.replace(TINY, scan_layers=True, remat="full")
  found, expected = (Transformer(TINY, rngs=Keys(0)).computed_as(scanned), Transformer(scanned, rngs=Keys(0)))
  assert found.config == scanned
  jax.tree.map(np.testing.assert_array_equal, nnx.to_pure_dict(nnx.state(found)), nnx.to_pure_dict(nnx.state(expected)))
  with pytest.raises(ValueError, match="layers is 2, not 3"):
    found.computed_as(dataclasses.replace(TINY, layers=TINY.layers + 1))


def test_unknown_remat_is_refused():
  with pytest.raises(ValueError, match="remat is one of none, dots, full, not some"):
    dataclasses.replace(TINY, remat="some")
