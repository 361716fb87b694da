"""A few steps of a stage on one batch, without the train loop."""

from collections.abc import Mapping

import jax
import optax
from flax import nnx

from condfoley_jax.models.keys import Keys


def created(stage) -> nnx.Module:
  """The stage's model, made by one program."""
  return nnx.jit(lambda: stage.create(Keys(0)))()


def metrics_of_steps(stage, model, batch: Mapping, *, steps: int, rate: float, phase: str | None = None) -> list[dict]:
  """Metrics of each step with Adam, all players in their order; `model` is trained in place."""
  losses = stage.losses(phase or stage.phase(0))
  wrt = {name: nnx.All(nnx.Param, nnx.PathContains(name)) for name in losses}
  optimizers = {name: nnx.Optimizer(model, optax.adam(rate), wrt=wrt[name]) for name in losses}

  @nnx.jit
  def step(model, optimizers, batch, key):
    told = {}
    for i, (name, loss) in enumerate(losses.items()):
      grad = nnx.grad(loss, argnums=nnx.DiffState(0, wrt[name]), has_aux=True)
      grads, metrics = grad(model, batch, jax.random.fold_in(key, i))
      optimizers[name].update(model, grads)
      told |= metrics
    stage.after_step(model)
    return told

  keys = jax.random.split(jax.random.key(0), steps)
  return [{k: float(v) for k, v in step(model, optimizers, batch, key).items()} for key in keys]
