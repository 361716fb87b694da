"""The shared step: who is updated by whom."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.training.state import Frozen, Merger, create_state, make_train_step, split


class _Pair(nnx.Module):
  """Two players, a frozen part and batch statistics."""

  def __init__(self):
    rngs = Keys(0)
    self.first, self.second = nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)
    self.frozen, self.norm = nnx.Linear(2, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs)


def _loss(model, batch, key):
  del key
  y = model.second(model.norm(model.frozen(model.first(batch["x"])), use_running_average=False))
  loss = jnp.mean((y - 1) ** 2)
  return loss, {"loss": loss}


def _batch():
  return {"x": jax.random.normal(jax.random.key(1), (8, 2))}


def _run(losses, steps=1, after=lambda model: None, batches=None, ema=0.0, **options):
  """State before and after, and every step's metrics."""
  model = _Pair()
  optimizers = {name: optax.sgd(0.1) for name in losses}
  state, frozen = create_state(*split(model), optimizers, ema=bool(ema))
  step = jax.jit(make_train_step(Merger(model), losses, optimizers, after, ema=ema, **options))
  before, history = state, []
  for batch in batches or [_batch()] * steps:
    state, metrics = step(state, frozen, batch, jax.random.key(0))
    history.append(metrics)
  return before, state, history


def _same(a, b):
  return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_only_players_are_updated():
  before, after, _ = _run({"first": _loss})
  assert set(after.params) == {"first"} and not _same(before.params, after.params)
  before, after, _ = _run({"second": _loss, "first": _loss})
  assert set(after.params) == {"first", "second"}
  assert not any(_same(before.params[name], after.params[name]) for name in after.params)


def test_parts_without_an_optimiser_are_frozen():
  model = _Pair()
  state, frozen = create_state(*split(model), {"first": optax.sgd(0.1)})
  assert set(state.params) == {"first"} and set(frozen.params) == {"second", "frozen", "norm"}
  assert not state.rest and set(frozen.rest) == {"norm"}


def test_loss_goes_down_and_steps_count():
  _, state, history = _run({"first": _loss, "second": _loss}, steps=20)
  assert history[-1]["loss"] < history[0]["loss"]
  assert int(state.step) == 20


def test_batch_statistics_of_a_player_move():
  before, after, _ = _run({"first": _loss, "norm": _loss})
  assert not _same(before.rest["norm"], after.rest["norm"])


def test_after_step_changes_the_model():
  def reset(model):
    model.first.bias[...] = jnp.full(2, 7.0)

  _, after, _ = _run({"first": _loss}, after=reset)
  assert np.allclose(after.params["first"]["bias"], 7)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_read_in_parts_gives_the_gradient_of_the_whole(parts):
  """Where the loss is a mean over examples: batch statistics would differ."""

  def loss(model, batch, key):
    value = jnp.mean((model.second(model.first(batch["x"])) - 1) ** 2)
    return value, {"loss": value}

  players = {"first": loss, "second": loss}
  whole, in_parts = (_run(players, steps=3, accumulate=n)[1:] for n in (1, parts))
  for a, b in zip(jax.tree.leaves(whole[0].params), jax.tree.leaves(in_parts[0].params), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)
  np.testing.assert_allclose(whole[1][-1]["loss"], in_parts[1][-1]["loss"], rtol=1e-5)


def test_parts_of_a_batch_have_keys_of_their_own():
  def loss(model, batch, key):
    value = jax.random.uniform(key) + 0 * jnp.sum(model.first(batch["x"]))
    return value, {"loss": value, "square": value**2}

  metrics = _run({"first": loss}, accumulate=4)[2][0]
  assert metrics["square"] - metrics["loss"] ** 2 > 1e-3


def test_means_of_parameters_follow():
  before, after, _ = _run({"first": _loss}, ema=0.5)
  # At step 0 the decay is (1 + 0) / (10 + 0).
  expected = jax.tree.map(lambda a, b: 0.1 * a + 0.9 * b, before.params, after.params)
  for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(after.ema), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)
  assert _run({"first": _loss})[1].ema == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(bad):
  wrong = {"x": jnp.full((8, 2), bad)}
  players = {"first": _loss, "norm": _loss}
  before, after, history = _run(players, batches=[wrong, wrong], ema=0.5)
  for name in ("params", "rest", "opt_state", "ema"):
    assert _same(getattr(before, name), getattr(after, name)), name
  assert [int(m["skipped"]) for m in history] == [1, 2]
  assert int(after.step) == 2 and int(after.skipped) == 2
  assert int(_run(players, batches=[wrong, _batch()])[1].skipped) == 0


def test_a_gradient_that_is_not_finite_counts_as_well():
  def loss(model, batch, key):
    value = jnp.sum(jnp.sqrt(jnp.abs(0 * model.first(batch["x"]))))
    return value, {"loss": value}

  before, after, history = _run({"first": loss})
  assert np.isfinite(history[0]["loss"]) and not np.isfinite(history[0]["first_grad_norm"])
  assert _same(before.params, after.params) and int(after.skipped) == 1


def test_split_and_merge_are_inverse():
  model = _Pair()
  params, rest = split(model)
  merged = Merger(model)(jax.tree.map(lambda x: x + 1, params), rest, Frozen({}, {}))
  assert np.allclose(merged.first.kernel[...], model.first.kernel[...] + 1)
  assert _same(split(merged)[1], rest)
