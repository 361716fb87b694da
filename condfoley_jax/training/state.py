"""Training state and the step that every stage shares."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.stages.stage import Batch, LossFn, Metrics

Optimizers = dict[str, optax.GradientTransformation]


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """All that changes from step to step.

  Attributes:
    step: int32 scalar, steps done.
    params: nnx.Param values of the players, a nested dict whose first level names them.
    rest: what else they and the stage's helpers hold (batch statistics, code usage), a nested dict.
    opt_state: per player, its optax state.
    ema: running means of `params`, or an empty dict where none are kept.
    skipped: int32 scalar, how many steps in a row changed nothing, since a loss or gradient was not finite.
  """

  step: jax.Array
  params: Any
  rest: Any
  opt_state: dict[str, Any]
  ema: Any
  skipped: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Frozen:
  """Parameters and all else of the parts that are never trained, as nested dicts like those of the state."""

  params: Any
  rest: Any


def split(model: nnx.Module) -> tuple[Any, Any]:
  """(params, rest) of a model as nested dicts of arrays."""
  _, params, rest = nnx.split(model, nnx.Param, ...)
  return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)


class Merger:
  """Puts nested dicts of arrays back into the model that they were split from."""

  def __init__(self, model: nnx.Module):
    self._graph, *states = nnx.split(model, nnx.Param, ...)
    # Shapes only: the arrays are let go with the model.
    self._params, self._rest = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), states)

  def __call__(self, params: Any, rest: Any, frozen: Frozen) -> nnx.Module:
    merged = [jax.tree.map(lambda x: x, s) for s in (self._params, self._rest)]
    for state, pure in zip(merged, ({**params, **frozen.params}, {**rest, **frozen.rest}), strict=True):
      nnx.replace_by_pure_dict(state, pure)
    return nnx.merge(self._graph, *merged)


def create_state(params: Any, rest: Any, optimizers: Optimizers, *, ema: bool = False) -> tuple[TrainState, Frozen]:
  """State at step 0 of a model's `split`, and the frozen parts: those with parameters but without an optimiser."""
  kept = {name for name in params if name not in optimizers}
  take = lambda tree, frozen: {name: value for name, value in tree.items() if (name in kept) == frozen}
  trained = take(params, False)
  opt_state = {name: opt.init(params[name]) for name, opt in optimizers.items()}
  zero = jnp.zeros((), jnp.int32)
  # A copy: the state is donated to the step, and no buffer may be donated twice.
  averages = jax.tree.map(jnp.array, trained) if ema else {}
  state = TrainState(zero, trained, take(rest, False), opt_state, averages, zero + 0)
  return state, Frozen(take(params, True), take(rest, True))


def make_train_step(
  merge: Merger,
  losses: dict[str, LossFn],
  optimizers: Optimizers,
  after_step: Callable[[nnx.Module], None],
  *,
  accumulate: int = 1,
  ema: float = 0.0,
) -> Callable[[TrainState, Frozen, Batch, jax.Array], tuple[TrainState, Metrics]]:
  """A pure function (state, frozen, batch, key) -> (state, metrics).

  Each player is the part of the model of that name: its loss is differentiated by its own parameters alone, and its
  update is done before the next player's loss is computed. A step with a loss or gradient that is not finite changes
  nothing but `step` and `skipped`.

  Args:
    merge, losses, optimizers, after_step: of the stage.
    accumulate: parts that the batch is read in, one after the other; gradients are their mean.
    ema: decay of the running means of parameters, where the state has some. Early means follow faster.
  """

  def player_step(name: str, state: TrainState, frozen: Frozen, batch: Batch, key: jax.Array):
    def loss_of(part, rest, batch, key):
      model = merge({**state.params, name: part}, rest, frozen)
      loss, metrics = losses[name](model, batch, key)
      rest = _of_the_same_parts(split(model)[1], state.rest)
      return loss, ({**metrics, f"{name}_finite": jnp.isfinite(loss)}, rest)

    gradient = jax.grad(loss_of, has_aux=True)
    grads, metrics, rest = _mean_gradient(gradient, state.params[name], state.rest, batch, key, accumulate)
    norm = optax.global_norm(grads)
    finite = jnp.all(metrics.pop(f"{name}_finite")) & jnp.isfinite(norm)
    updates, opt_state = optimizers[name].update(grads, state.opt_state[name], state.params[name])
    params = {**state.params, name: optax.apply_updates(state.params[name], updates)}
    state = dataclasses.replace(state, params=params, rest=rest, opt_state={**state.opt_state, name: opt_state})
    return state, {**jax.tree.map(jnp.mean, metrics), f"{name}_grad_norm": norm}, finite

  def train_step(state: TrainState, frozen: Frozen, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    key, metrics, before, good = jax.random.fold_in(key, state.step), {}, state, jnp.array(True)
    for i, name in enumerate(losses):
      state, of_player, finite = player_step(name, state, frozen, batch, jax.random.fold_in(key, i))
      metrics, good = metrics | of_player, good & finite
    model = merge(state.params, state.rest, frozen)
    after_step(model)
    params, rest = map(_of_the_same_parts, split(model), (state.params, state.rest))
    averages = _averaged(state.ema, params, state.step, ema) if ema else state.ema
    state = dataclasses.replace(state, params=params, rest=rest, ema=averages)
    state = jax.tree.map(lambda new, old: jnp.where(good, new, old), state, before)
    skipped = jnp.where(good, 0, before.skipped + 1)
    return dataclasses.replace(state, step=before.step + 1, skipped=skipped), metrics | {"skipped": skipped}

  return train_step


def _of_the_same_parts(tree: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
  return {name: tree[name] for name in like}


def _mean_gradient(gradient, part, rest, batch: Batch, key: jax.Array, accumulate: int):
  """Gradient, metrics (stacked where there are several parts of the batch) and rest after reading the batch."""
  if accumulate == 1:
    grads, (metrics, rest) = gradient(part, rest, batch, key)
    return grads, metrics, rest

  def read(carry, given):
    total, rest = carry
    grads, (metrics, rest) = gradient(part, rest, *given)
    return (jax.tree.map(jnp.add, total, grads), rest), metrics

  # Every n-th example, so that each part is spread over the devices as the batch is.
  parts = jax.tree.map(lambda x: x.reshape(-1, accumulate, *x.shape[1:]).swapaxes(0, 1), batch)
  zeros = jax.tree.map(jnp.zeros_like, part)
  (total, rest), metrics = jax.lax.scan(read, (zeros, rest), (parts, jax.random.split(key, accumulate)))
  return jax.tree.map(lambda x: x / accumulate, total), metrics, rest


def _averaged(averages, params, step: jax.Array, decay: float):
  decay = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(lambda mean, new: decay * mean + (1 - decay) * new, averages, params)
