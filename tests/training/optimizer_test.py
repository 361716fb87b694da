"""Schedules, clipping, and which weights decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from condfoley_jax.partition import path_name
from condfoley_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule


def test_cosine_with_warm_up():
  schedule = make_schedule(OptimizerConfig(1e-3, warmup_steps=10, schedule="cosine"), 110)
  assert schedule(0) == 0
  assert schedule(10) == pytest.approx(1e-3)
  assert schedule(60) == pytest.approx(5e-4, rel=1e-3)
  assert schedule(110) == pytest.approx(0, abs=1e-9)


def test_constant_with_and_without_warm_up():
  assert make_schedule(OptimizerConfig(1e-3), 100)(0) == pytest.approx(1e-3)
  warm = make_schedule(OptimizerConfig(1e-3, warmup_steps=10), 100)
  assert warm(5) == pytest.approx(5e-4)
  assert warm(99) == pytest.approx(1e-3)


def test_unknown_schedule_is_refused():
  with pytest.raises(ValueError, match="linear"):
    make_schedule(OptimizerConfig(1e-3, schedule="linear"), 10)


PARAMS = {
  "linear": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)},
  "attention": {"qkv": {"kernel": jnp.ones((3, 3, 2, 2))}},
  "blocks": {"mlp_in": {"kernel": jnp.ones((5, 3, 4))}},
  "embedder": {"kernel": jnp.ones((3, 4))},
  "conv": {"kernel": jnp.ones((3, 3, 2, 2))},
  "embed": {"embedding": jnp.ones((5, 4))},
}


def _shrunk(config):
  """By how much each parameter moves without a gradient."""
  optimizer, grads = make_optimizer(config, 10), jax.tree.map(jnp.zeros_like, PARAMS)
  updates, _ = optimizer.update(grads, optimizer.init(PARAMS), PARAMS)
  return {name: float(x.ravel()[0]) for name, x in _named(updates)}


def _named(tree):
  return [(path_name(path), x) for path, x in jax.tree_util.tree_leaves_with_path(tree)]


def test_only_kernels_of_linear_layers_decay():
  """Heads apart or layers scanned, they are linear layers; the embedder was published as a convolution."""
  decaying = {name for name, moved in _shrunk(OptimizerConfig(0.1, weight_decay=0.5)).items() if moved}
  assert decaying == {"linear/kernel", "attention/qkv/kernel", "blocks/mlp_in/kernel"}
  assert _shrunk(OptimizerConfig(0.1, weight_decay=0.5))["linear/kernel"] == pytest.approx(-0.05)


def test_l2_decay_is_a_gradient_of_every_parameter():
  moved = _shrunk(OptimizerConfig(0.1, weight_decay=0.5, decay="l2"))
  # Adam's first step is the rate, whatever the size of the gradient.
  assert list(moved.values()) == pytest.approx([-0.1] * len(moved))


def test_muon_makes_updates_of_blocks_and_convolutions_orthogonal_and_leaves_the_rest_to_adam():
  """Queries, keys and values by themselves, and layer by layer; as large as Adam's, whatever the gradient."""
  keys = iter(jax.random.split(jax.random.key(0), 100))
  grads = jax.tree.map(lambda x: 7 * jax.random.normal(next(keys), x.shape), PARAMS)

  def first(method):
    optimizer = make_optimizer(OptimizerConfig(0.1, method=method), 10)
    return dict(_named(optimizer.update(grads, optimizer.init(PARAMS), PARAMS)[0]))

  muon, adam = first("muon"), first("adamw")
  matrices = [*muon["blocks/mlp_in/kernel"], *jnp.moveaxis(muon["attention/qkv/kernel"], 1, 0).reshape(3, 3, 4)]
  matrices += [muon["conv/kernel"].reshape(18, 2)]
  for matrix in matrices:
    sizes = np.linalg.svd(matrix, compute_uv=False)
    assert sizes.max() < 2 * sizes.min()
    assert 0.1 * 0.2 / 2 < np.sqrt(np.mean(matrix**2)) < 0.1 * 0.2 * 2
  for name in set(adam) - {"blocks/mlp_in/kernel", "attention/qkv/kernel", "conv/kernel"}:
    np.testing.assert_allclose(np.sign(muon[name]), np.sign(adam[name]))
    # Its first step is the rate, with the gradient looked ahead of.
    assert np.abs(muon[name]).min() > 0.09 and np.abs(muon[name]).max() < 0.16


@pytest.mark.parametrize(("method", "decay"), [("adamw", "some"), ("sgd", "decoupled"), ("muon", "l2")])
def test_unknown_methods_and_decays_are_refused(method, decay):
  with pytest.raises(ValueError, match=f"no optimizer of method `{method}` with decay `{decay}`"):
    make_optimizer(OptimizerConfig(0.1, method=method, decay=decay), 10)


def test_gradients_are_clipped():
  params, grads = {"w": jnp.zeros(4)}, {"w": jnp.full(4, 100.0)}
  optimizer = make_optimizer(OptimizerConfig(1e-3, clip_norm=1.0), 10)
  state = optimizer.update(grads, optimizer.init(params), params)[1]
  first_moment = optax.tree_utils.tree_get(state, "mu")["w"]
  assert np.linalg.norm(first_moment) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(
  "change", [{"learning_rate": -1.0}, {"warmup_steps": -5}, {"weight_decay": -0.1}, {"clip_norm": -1.0}, {"b1": 2.0}]
)
def test_numbers_out_of_range_are_refused(change):
  (name,) = change
  with pytest.raises(ValueError, match=f"OptimizerConfig.{name} is "):
    OptimizerConfig(**{"learning_rate": 1e-3, **change})
