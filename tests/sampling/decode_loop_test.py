"""The sampler: published greedy codes, and takes together as each alone without a cache."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INPUTS, TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling, guide, sample
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
  stand_ins=True,
)
GPT_SMALL = TransformerConfig(
  frames=30, code_rows=5, code_columns=10, vocab=128, layers=2, heads=4, width=64, feature_width=512
)
GREEDY = Sampling(temperature=0.0)

FULL = nnx.jit(lambda model, *inputs: model(*inputs))


@nnx.jit
def generate(transformer, condition, query, codes, history, keys, sampling):
  count = transformer.config.codes - history.shape[2]
  return sample_codes(transformer, condition, query, codes, history, keys, sampling, count)


@pytest.fixture(scope="module")
def tiny():
  return filled(lambda: Transformer(TINY, rngs=Keys(0)))


def tiny_inputs(jobs=2):
  rng = np.random.default_rng(0)
  features = rng.standard_normal((2, jobs, TINY.frames, TINY.feature_width)).astype(np.float32)
  return *map(jnp.asarray, features), jnp.asarray(rng.integers(0, TINY.vocab, (jobs, TINY.codes)), jnp.int32)


def keys_of(jobs, takes, seed=0):
  return jax.random.split(jax.random.key(seed), (jobs, takes))


def nothing(jobs, takes):
  return jnp.zeros((jobs, takes, 0), jnp.int32)


def uncached(model, condition, query, codes, key, sampling):
  """Codes of one take of one job, by a full forward for each."""
  fed, drawn = jnp.pad(codes, (0, TINY.codes - 1))[None], []
  for index in range(TINY.codes):
    logits = FULL(model, condition[None], query[None], fed)[:, TINY.prefix - 1 + index]
    if sampling.guidance is not None:
      missing = model.replace(condition[None], query[None], fed, dict.fromkeys(INPUTS, True))
      logits = guide(logits, FULL(model, *missing)[:, TINY.prefix - 1 + index], sampling.guidance)
    drawn.append(sample(logits, jax.random.fold_in(key, TINY.prefix + index)[None], sampling)[0])
    fed = fed.at[:, TINY.codes + index].set(drawn[-1], mode="drop")
  return jnp.stack(drawn)


@pytest.mark.golden
def test_greedy_codes_equal_the_published_sampler():
  vectors = golden.load("gpt_small.npz")
  model = filled(lambda: Transformer(GPT_SMALL, rngs=Keys(0)))
  tree.restore(model, params_from_torch(golden.state_dict("gpt_small"), GPT_SMALL))
  features = golden.rnd("gpt_feats", (2, 512, 60)).transpose(0, 2, 1)
  codes = vectors["idx"][:, :50].astype(np.int32)
  greedy = generate(model, features[:, :30], features[:, 30:], codes, nothing(2, 1), keys_of(2, 1), GREEDY)[:, 0]
  sure = golden.sure(vectors["greedy_margin"])
  assert sure.any()
  np.testing.assert_array_equal(np.where(sure, greedy, -1), np.where(sure, vectors["greedy_tokens"][:, 50:], -1))


@pytest.mark.parametrize(
  "sampling",
  [GREEDY, Sampling(0.9, 5, 0.9, 0.05), Sampling(guidance=2.0), Sampling(0.0, guidance=3.0)],
  ids=["greedy", "sampled", "guided", "guided greedy"],
)
def test_takes_of_jobs_equal_each_alone_without_a_cache(tiny, sampling):
  inputs, keys = tiny_inputs(), keys_of(2, 3)
  together = generate(tiny, *inputs, nothing(2, 3), keys, sampling)
  for job, take in np.ndindex(2, 3):
    alone = uncached(tiny, *(x[job] for x in inputs), keys[job, take], sampling)
    np.testing.assert_array_equal(together[job, take], alone)


@pytest.mark.parametrize("known", [3, TINY.codes - 1])
def test_what_is_known_is_gone_on_from_as_decoding_would(tiny, known):
  inputs, keys = tiny_inputs(), keys_of(2, 3, seed=3)
  sampling = Sampling(temperature=1.0, top_k=5)
  whole = generate(tiny, *inputs, nothing(2, 3), keys, sampling)
  rest = generate(tiny, *inputs, whole[:, :, :known], keys, sampling)
  np.testing.assert_array_equal(rest, whole[:, :, known:])


def test_take_17_of_100_can_be_made_again_alone(tiny):
  inputs, keys = tiny_inputs(jobs=1), keys_of(1, 100, seed=5)
  together = generate(tiny, *inputs, nothing(1, 100), keys, Sampling())
  alone = generate(tiny, *inputs, nothing(1, 1), keys[:, 17:18], Sampling())
  np.testing.assert_array_equal(alone[0, 0], together[0, 17])
  assert len(np.unique(np.asarray(together[0]), axis=0)) > 90


def test_other_keys_give_other_codes(tiny):
  inputs = tiny_inputs()
  first, second = (generate(tiny, *inputs, nothing(2, 3), keys_of(2, 3, seed), Sampling()) for seed in (0, 1))
  assert (first != second).any()
  assert first.shape == (2, 3, TINY.codes) and first.dtype == jnp.int32


def test_guidance_of_1_is_the_model_with_its_inputs_and_of_0_without(tiny):
  condition, query, codes = tiny_inputs()
  made = lambda *inputs, **sampling: generate(tiny, *inputs, nothing(2, 2), keys_of(2, 2), Sampling(**sampling))
  np.testing.assert_array_equal(made(condition, query, codes, guidance=1.0), made(condition, query, codes))
  missing = tiny.replace(condition, query, codes, dict.fromkeys(INPUTS, True))
  np.testing.assert_array_equal(made(condition, query, codes, guidance=0.0), made(*missing))


def test_a_model_that_never_went_without_cannot_be_guided():
  model = filled(lambda: Transformer(dataclasses.replace(TINY, stand_ins=False), rngs=Keys(0)))
  with pytest.raises(ValueError, match="no stand-ins"):
    generate(model, *tiny_inputs(), nothing(2, 1), keys_of(2, 1), Sampling(guidance=2.0))


@pytest.mark.parametrize(("known", "count"), [(0, TINY.codes + 1), (TINY.codes, 1), (2, 0)])
def test_more_codes_than_a_clip_has_are_refused(tiny, known, count):
  history = jnp.zeros((2, 1, known), jnp.int32)
  with pytest.raises(ValueError, match="a clip has 8"):
    sample_codes(tiny, *tiny_inputs(), history, keys_of(2, 1), Sampling(), count)
