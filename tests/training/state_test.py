"""The shared step: who is updated by whom."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from condfoley_jax.training.state import Merger, create_state, make_train_step, split


class _Pair(nnx.Module):
  """Two players, a frozen part and batch statistics."""

  def __init__(self):
    rngs = nnx.Rngs(0)
    self.first, self.second = nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)
    self.frozen, self.norm = nnx.Linear(2, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs)


def _loss(model, batch, key):
  del key
  y = model.second(model.norm(model.frozen(model.first(batch["x"])), use_running_average=False))
  loss = jnp.mean((y - 1) ** 2)
  return loss, {"loss": loss}


def _run(losses, steps=1, after=lambda model: None):
  model = _Pair()
  optimizers = {name: optax.sgd(0.1) for name in losses}
  state = create_state(model, optimizers)
  step = jax.jit(make_train_step(Merger(model), losses, optimizers, after))
  batch = {"x": jax.random.normal(jax.random.key(1), (8, 2))}
  before, history = state, []
  for _ in range(steps):
    state, metrics = step(state, batch, jax.random.key(0))
    history.append(float(metrics["loss"]))
  return before, state, history


def _same(a, b):
  return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.parametrize("players", [("first",), ("second",), ("first", "second")])
def test_only_players_are_updated(players):
  before, after, _ = _run({name: _loss for name in players})
  for part in ("first", "second", "frozen", "norm"):
    assert _same(before.params[part], after.params[part]) == (part not in players)


def test_loss_goes_down_and_steps_count():
  _, state, history = _run({"first": _loss, "second": _loss}, steps=20)
  assert history[-1] < history[0]
  assert int(state.step) == 20


def test_batch_statistics_move():
  before, after, _ = _run({"first": _loss})
  assert not _same(before.rest["norm"], after.rest["norm"])


def test_after_step_changes_the_model():
  def reset(model):
    model.first.bias[...] = jnp.full(2, 7.0)

  _, after, _ = _run({"first": _loss}, after=reset)
  assert np.allclose(after.params["first"]["bias"], 7)


def test_split_and_merge_are_inverse():
  model = _Pair()
  _, params, rest = split(model)
  merged = Merger(model)(jax.tree.map(lambda x: x + 1, params), rest)
  assert np.allclose(merged.first.kernel[...], model.first.kernel[...] + 1)
  assert _same(split(merged)[2], rest)
