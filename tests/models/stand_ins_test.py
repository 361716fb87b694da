"""Learned vectors take the place of inputs that are missing; a transformer without them is as it was."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INPUTS, TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.weights import tree
from tests.fill import filled

PLAIN = TransformerConfig(
  frames=3,
  code_rows=2,
  code_columns=3,
  vocab=11,
  layers=1,
  heads=2,
  width=8,
  feature_width=5,
  positions="grid",
  aligned_frames=True,
)
CONFIG = dataclasses.replace(PLAIN, stand_ins=True)
RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((2, 2, 3, 5)).astype(np.float32)
CODES = RNG.integers(0, 11, (2, 11)).astype(np.int32)


@pytest.fixture(scope="module")
def model():
  return filled(lambda: Transformer(CONFIG, rngs=Keys(0)))


@nnx.jit
def logits(model, condition, query, codes, missing):
  return model(*model.replace(condition, query, codes, missing))


def changed(name):
  """The inputs, with another one of that name."""
  condition, query, codes = FEATURES[0], FEATURES[1], CODES
  match name:
    case "condition_codes":
      codes = np.concatenate([(codes[:, :6] + 1) % 11, codes[:, 6:]], 1)
    case "condition_features":
      condition = condition + 1
    case "query_features":
      query = query + 1
  return condition, query, codes


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_missing_is_not_read_and_other_pairs_are_as_they_were(model, name):
  missing = {other: jnp.asarray([other == name, False]) for other in INPUTS}
  given = {other: jnp.asarray([False, False]) for other in INPUTS}
  whole = logits(model, *changed(None), given)
  first, second = logits(model, *changed(None), missing), logits(model, *changed(name), missing)
  np.testing.assert_allclose(first[0], second[0], atol=1e-5)
  assert np.abs(first[1] - second[1]).max() > 0.01 < np.abs(first[0] - whole[0]).max()
  np.testing.assert_allclose(first[1], whole[1], atol=1e-5)


def test_with_all_there_it_is_the_transformer_without_stand_ins(model):
  plain = filled(lambda: Transformer(PLAIN, rngs=Keys(0)))
  tree.restore(plain, {k: v for k, v in tree.flatten(model).items() if not k.startswith("stand_ins/")})
  given = {name: jnp.zeros(2, bool) for name in INPUTS}
  run = nnx.jit(lambda model: model(*changed(None)))
  np.testing.assert_allclose(logits(model, *changed(None), given), run(plain), atol=1e-5)


def test_cached_logits_of_missing_codes_equal_the_full_ones(model):
  inputs = model.replace(FEATURES[0], FEATURES[1], CODES, {"condition_codes": True})

  @nnx.jit
  def cached(model, condition, query, codes):
    logits, prefix = model.prefill(condition, query, codes[:, :6])
    found, suffix = [logits], model.empty_suffix(2, 1, 5)
    for i in range(5):
      logits, suffix = model.extend(codes[:, 6 + i, None, None], i, prefix, suffix, reach=i)
      found.append(logits[:, 0])
    return jnp.stack(found, 1)

  full = nnx.jit(lambda model, *inputs: model.target_logits(*inputs))(model, *inputs)
  np.testing.assert_allclose(cached(model, *inputs), full, atol=1e-5)


def test_an_input_that_is_absent_is_replaced_whatever_comes(model):
  absent = ("condition_codes", "condition_features")
  ablated = nnx.clone(model)
  ablated.config = dataclasses.replace(CONFIG, absent=absent)
  run = nnx.jit(lambda model, *inputs: model(*inputs))
  missing = {name: jnp.full(2, name in absent) for name in INPUTS}
  expected = logits(model, *changed(None), missing)
  for name in (None, *absent):
    np.testing.assert_allclose(run(ablated, *changed(name)), expected, atol=1e-5)


def test_a_transformer_without_stand_ins_says_so():
  plain = nnx.eval_shape(lambda: Transformer(PLAIN, rngs=Keys(0)))
  assert not any(name.startswith("stand_ins") for name in tree.shapes(plain))
  with pytest.raises(ValueError, match="no stand-ins"):
    plain.replace(FEATURES[0], FEATURES[1], CODES, {})


@pytest.mark.parametrize(
  ("changes", "words"),
  [({"absent": ("query",)}, "not query"), ({"absent": INPUTS, "stand_ins": False}, "needs stand_ins")],
)
def test_absences_that_make_no_sense_are_refused(changes, words):
  with pytest.raises(ValueError, match=words):
    dataclasses.replace(CONFIG, **changes)


def test_stand_ins_are_trained(model):
  missing = {name: jnp.ones(2, bool) for name in INPUTS}
  loss = lambda model: jax.nn.logsumexp(logits(model, *changed(None), missing)).sum()
  grads = tree.flatten(nnx.jit(nnx.grad(loss))(model))
  assert all(np.any(grads[f"stand_ins/{name}"]) for name in INPUTS)
