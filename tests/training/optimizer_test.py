"""Schedules, clipping, and which weights decay."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from condfoley_jax.training.optimizer import OptimizerConfig, linear_kernels, make_optimizer, make_schedule


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


def test_only_kernels_of_linear_layers_decay():
  params = {
    "linear": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)},
    "conv": {"kernel": jnp.ones((3, 3, 2, 2))},
    "embed": {"embedding": jnp.ones((5, 4))},
  }
  assert linear_kernels(params) == {
    "linear": {"kernel": True, "bias": False},
    "conv": {"kernel": False},
    "embed": {"embedding": False},
  }
  optimizer = make_optimizer(OptimizerConfig(0.1, weight_decay=0.5), 10)
  grads = {k: {n: jnp.zeros_like(x) for n, x in v.items()} for k, v in params.items()}
  updates, _ = optimizer.update(grads, optimizer.init(params), params)
  assert np.allclose(updates["linear"]["kernel"], -0.05)
  assert np.allclose(updates["conv"]["kernel"], 0)


def test_gradients_are_clipped():
  params, grads = {"w": jnp.zeros(4)}, {"w": jnp.full(4, 100.0)}
  optimizer = make_optimizer(OptimizerConfig(1e-3, clip_norm=1.0), 10)
  state = optimizer.update(grads, optimizer.init(params), params)[1]
  first_moment = optax.tree_utils.tree_get(state, "mu")["w"]
  assert np.linalg.norm(first_moment) == pytest.approx(0.1, rel=1e-3)
