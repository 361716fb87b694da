"""The transformer's loss: published value, gradients and attention of the small network of the vectors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.weights import tree
from condfoley_jax.weights.published.transformer import params_from_torch
from tests import golden
from tests.published import by_published_name

SMALL = TransformerConfig(
  frames=30, code_rows=5, code_columns=10, vocab=128, layers=2, heads=4, width=64, feature_width=512
)
to_ours = functools.partial(params_from_torch, config=SMALL)


@pytest.fixture(scope="module")
def model():
  model = nnx.eval_shape(lambda: Transformer(SMALL, rngs=Keys(0)))
  tree.restore(model, to_ours(golden.state_dict("gpt_small")))
  return model


@pytest.fixture(scope="module")
def inputs():
  """Features of condition and query [B, T, D], codes of both clips [B, 2L]."""
  features = golden.rnd("gpt_feats", (2, 512, 60)).transpose(0, 2, 1)
  return features[:, :30], features[:, 30:], golden.load("gpt_small.npz")["idx"].astype(np.int32)


@pytest.mark.golden
def test_loss_and_gradients_equal_the_published_ones(model, inputs):
  def loss(model, condition, query, codes):
    logits = model.target_logits(condition, query, codes[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, codes[:, SMALL.codes :]).mean()

  value, grads = nnx.jit(nnx.value_and_grad(loss))(model, *inputs)
  np.testing.assert_allclose(value, golden.load("gpt_small.npz")["loss"], rtol=1e-4)
  grads = by_published_name(tree.flatten(grads), golden.state_dict("gpt_small"), to_ours)
  expected = golden.load("gpt_small_grad_norms.json")
  assert set(expected) == set(grads)
  for name, norm in expected.items():
    # The bias of the keys moves all scores of a query alike: its gradient is rounding, below 1e-7.
    np.testing.assert_allclose(np.linalg.norm(grads[name]), norm, rtol=1e-4, atol=1e-7, err_msg=name)


@pytest.mark.golden
def test_attention_of_the_last_position_equals_the_published_one(model, inputs):
  """The model gives keys only, so the query is projected here from what the last block reads."""
  condition, query, codes = inputs

  @nnx.jit
  def attention(model):
    last = model.blocks[-1]
    model.blocks = model.blocks[:-1]
    x = last.attention_norm(model._hidden(condition, query, codes[:, :-1]))
    q, k, _ = jnp.moveaxis(last.attention.qkv(x), (2, 3), (0, 2))
    return jax.nn.softmax(q[:, :, -1:] @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5)[:, :, 0]

  expected = golden.load("gpt_small.npz")["att_last_layer_lastrow"]
  np.testing.assert_allclose(attention(nnx.clone(model)), expected, rtol=1e-4, atol=1e-6)
