"""Training state and the step that every stage shares."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.stages.stage import LossFn, Metrics


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """All that changes from step to step.

  Attributes:
    step: int32 scalar, steps done.
    params: nnx.Param values of the whole model, a nested dict whose first level names the parts.
    rest: everything else that the model holds (batch statistics, code usage), a nested dict.
    opt_state: per player, its optax state.
  """

  step: jax.Array
  params: Any
  rest: Any
  opt_state: dict[str, Any]


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any, Any]:
  """(graph, params, rest) of a model, the latter two as nested dicts of arrays."""
  graph, params, rest = nnx.split(model, nnx.Param, ...)
  return graph, nnx.to_pure_dict(params), nnx.to_pure_dict(rest)


class Merger:
  """Puts nested dicts of arrays back into the model that they were split from."""

  def __init__(self, model: nnx.Module):
    self._graph, self._params, self._rest = nnx.split(model, nnx.Param, ...)

  def __call__(self, params: Any, rest: Any) -> nnx.Module:
    merged = [jax.tree.map(lambda x: x, s) for s in (self._params, self._rest)]
    for state, pure in zip(merged, (params, rest), strict=True):
      nnx.replace_by_pure_dict(state, pure)
    return nnx.merge(self._graph, *merged)


def create_state(model: nnx.Module, optimizers: dict[str, optax.GradientTransformation]) -> TrainState:
  """State at step 0."""
  _, params, rest = split(model)
  opt_state = {name: opt.init(params[name]) for name, opt in optimizers.items()}
  return TrainState(jnp.zeros((), jnp.int32), params, rest, opt_state)


def make_train_step(
  merge: Merger,
  losses: dict[str, LossFn],
  optimizers: dict[str, optax.GradientTransformation],
  after_step: Callable[[nnx.Module], None],
) -> Callable[[TrainState, dict[str, jax.Array], jax.Array], tuple[TrainState, Metrics]]:
  """A pure function (state, batch, key) -> (state, metrics).

  Each player is the part of the model of that name: its loss is differentiated by its own parameters alone, and its
  update is done before the next player's loss is computed. Parts that are no player are frozen.
  """

  def player_step(name: str, state: TrainState, batch, key):
    def loss_of(part):
      model = merge({**state.params, name: part}, state.rest)
      loss, metrics = losses[name](model, batch, key)
      return loss, (metrics, split(model)[2])

    grads, (metrics, rest) = jax.grad(loss_of, has_aux=True)(state.params[name])
    updates, opt_state = optimizers[name].update(grads, state.opt_state[name], state.params[name])
    params = {**state.params, name: optax.apply_updates(state.params[name], updates)}
    metrics = {**metrics, f"{name}_grad_norm": optax.global_norm(grads)}
    return TrainState(state.step, params, rest, {**state.opt_state, name: opt_state}), metrics

  def train_step(state: TrainState, batch, key):
    key, metrics = jax.random.fold_in(key, state.step), {}
    for i, name in enumerate(losses):
      state, player_metrics = player_step(name, state, batch, jax.random.fold_in(key, i))
      metrics |= player_metrics
    model = merge(state.params, state.rest)
    after_step(model)
    _, params, rest = split(model)
    return TrainState(state.step + 1, params, rest, state.opt_state), metrics

  return train_step
