"""Prefill and the decode loop: published greedy codes, history, and independence of takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.decode_loop import decode
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.prefill import prefill
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.transformer import params_from_torch
from tests import golden
from tests.fill import filled

TINY = TransformerConfig(
  frames=4,
  code_rows=2,
  code_columns=4,
  vocab=11,
  layers=2,
  heads=2,
  width=16,
  feature_width=6,
  positions="grid",
  aligned_frames=True,
)
GPT_SMALL = TransformerConfig(
  frames=30, code_rows=5, code_columns=10, vocab=128, layers=2, heads=4, width=64, feature_width=512
)
GREEDY = Sampling(temperature=0.0)


@nnx.jit(static_argnames="known")
def generate(transformer, condition, query, codes, keys, sampling, known):
  logits, cache = prefill(transformer, condition, query, codes)
  return decode(transformer, logits, cache, keys, sampling, known, count=transformer.config.codes - known)


@pytest.fixture(scope="module")
def tiny():
  return filled(lambda: Transformer(TINY, rngs=nnx.Rngs(0)))


def tiny_inputs(batch=3):
  rng = np.random.default_rng(0)
  features = rng.standard_normal((2, batch, TINY.frames, TINY.feature_width)).astype(np.float32)
  return *map(jnp.asarray, features), jnp.asarray(rng.integers(0, TINY.vocab, (batch, TINY.codes)), jnp.int32)


@pytest.mark.golden
def test_greedy_codes_equal_the_published_sampler():
  vectors = golden.load("gpt_small.npz")
  model = filled(lambda: Transformer(GPT_SMALL, rngs=nnx.Rngs(0)))
  tree.restore(model, params_from_torch(golden.state_dict("gpt_small"), GPT_SMALL))
  features = golden.rnd("gpt_feats", (2, 512, 60)).transpose(0, 2, 1)
  codes = vectors["idx"][:, :50].astype(np.int32)
  keys = jax.random.split(jax.random.key(0), 2)
  greedy = generate(model, features[:, :30], features[:, 30:], codes, keys, GREEDY, 0)
  sure = golden.sure(vectors["greedy_margin"])
  assert sure.any()
  np.testing.assert_array_equal(np.where(sure, greedy, -1), np.where(sure, vectors["greedy_tokens"][:, 50:], -1))


def test_greedy_codes_equal_a_loop_without_cache(tiny):
  condition, query, codes = tiny_inputs()
  full = nnx.jit(lambda model, *args: model(*args))
  fed = jnp.pad(codes, ((0, 0), (0, TINY.codes - 1)))
  expected = []
  for index in range(TINY.codes):
    expected.append(full(tiny, condition, query, fed)[:, TINY.prefix - 1 + index].argmax(-1))
    fed = fed.at[:, TINY.codes + index].set(expected[-1], mode="drop")
  keys = jax.random.split(jax.random.key(0), 3)
  np.testing.assert_array_equal(generate(tiny, condition, query, codes, keys, GREEDY, 0), jnp.stack(expected, axis=1))


@pytest.mark.parametrize("known", [3, TINY.codes - 1])
def test_prefill_with_history_goes_on_as_decoding_would(tiny, known):
  condition, query, codes = tiny_inputs()
  keys = jax.random.split(jax.random.key(3), 3)
  sampling = Sampling(temperature=1.0, top_k=5)
  whole = generate(tiny, condition, query, codes, keys, sampling, 0)
  history = jnp.concatenate([codes, whole[:, :known]], axis=1)
  np.testing.assert_array_equal(generate(tiny, condition, query, history, keys, sampling, known), whole[:, known:])


def test_a_take_alone_gives_the_same_codes_as_in_a_batch(tiny):
  condition, query, codes = tiny_inputs()
  keys = jax.random.split(jax.random.key(5), 3)
  together = generate(tiny, condition, query, codes, keys, Sampling(), 0)
  for i in range(3):
    one = slice(i, i + 1)
    alone = generate(tiny, condition[one], query[one], codes[one], keys[one], Sampling(), 0)
    np.testing.assert_array_equal(alone, together[one])


def test_other_keys_give_other_codes(tiny):
  inputs = tiny_inputs()
  first, second = (generate(tiny, *inputs, jax.random.split(jax.random.key(seed), 3), Sampling(), 0) for seed in (0, 1))
  assert (first != second).any()
  assert first.shape == (3, TINY.codes) and first.dtype == jnp.int32


@pytest.mark.parametrize("given", [TINY.codes - 1, 2 * TINY.codes])
def test_prefill_refuses_too_few_and_too_many_codes(tiny, given):
  condition, query, _ = tiny_inputs()
  with pytest.raises(ValueError, match="prefill takes 8 condition codes"):
    prefill(tiny, condition, query, jnp.zeros((3, given), jnp.int32))
