"""A stage on a mesh: its state, how it lies there, and its compiled functions. What trains is what is rehearsed."""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax
from flax import nnx

from condfoley_jax import config_tree, sharding
from condfoley_jax.models.keys import Keys
from condfoley_jax.sharding import MeshConfig
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Batch, Metrics
from condfoley_jax.training.optimizer import OptimizerConfig, make_optimizer
from condfoley_jax.training.state import Frozen, Merger, TrainState, create_state, make_train_step, split


class Program:
  """The functions that a config's run compiles.

  Attributes:
    stage: the stage.
    mesh: axes data, fsdp, tensor.
    phases: of the training; each has a step of its own.
    state, frozen: shapes, dtypes and shardings of what the step reads; `create` makes the arrays.

  Args:
    config: the resolved config of a stage.
    devices: all there are unless given; those of a topology serve for compiling.
    read: whether frozen parts are read from `config.pretrained`. Otherwise they are those that config.model describes,
      which is all that compiling needs.

  Raises:
    InputError: the pretrained weights cannot be used.
    ValueError, TypeError, KeyError: the config does not fit together or the mesh does not fit the devices.
  """

  def __init__(self, config: Mapping[str, Any], devices: Sequence[jax.Device] | None = None, *, read: bool = False):
    self.config = config
    self.stage = registry.create(config, read=read)
    self.phases = self.stage.phases
    self.mesh = sharding.make_mesh(config_tree.from_dict(MeshConfig, config["mesh"]), devices)
    self._optimizers = {
      name: make_optimizer(config_tree.from_dict(OptimizerConfig, values), self.stage.steps_of(name))
      for name, values in config["optimizers"].items()
    }
    # Where weights are read, once: the model is kept until `create` lays it out.
    self._initial = self._made() if read else None
    model = self._initial or nnx.eval_shape(self._made)
    self._merge = Merger(model)
    self._first = functools.partial(create_state, optimizers=self._optimizers, ema=bool(config["ema"]))
    self.state, self.frozen = self._laid_out(*jax.eval_shape(self._first, *split(model)))
    self._check_batch()

  def create(self) -> tuple[TrainState, Frozen]:
    """State at step 0, by config.seed, and the frozen parts, on the mesh."""
    shardings = jax.tree.map(lambda x: x.sharding, (self.state, self.frozen))
    model, self._initial = self._initial or self._made(), None
    return jax.jit(self._first, out_shardings=shardings)(*split(model))

  def batch(self, *, validation: bool = False) -> Batch:
    """Shapes, dtypes and shardings of a global batch of training, or of validation."""
    split = sharding.batch_sharding(self.mesh)
    return {
      name: jax.ShapeDtypeStruct((self.config["batch_size"], *shape), dtype, sharding=split)
      for name, (dtype, shape) in self.stage.example_shapes(validation=validation).items()
    }

  def lower(self, phase: str) -> jax.stages.Lowered:
    """The training step of a phase, (state, frozen, batch, key) -> (state, metrics), ready to be compiled."""
    step = make_train_step(
      self._merge,
      self.stage.losses(phase),
      self._optimizers,
      self.stage.after_step,
      accumulate=self.config["accumulate"],
      ema=self.config["ema"],
    )
    whole = sharding.replicated(self.mesh)
    out = (jax.tree.map(lambda x: x.sharding, self.state), whole)
    with self.on_mesh():
      return jax.jit(step, donate_argnums=0, out_shardings=out).lower(
        self.state, self.frozen, self.batch(), self._key()
      )

  def model(self, state: TrainState, frozen: Frozen) -> nnx.Module:
    """The model of a state, with the means of its parameters where they are kept."""
    return self._merge(state.ema or state.params, state.rest, frozen)

  @functools.cached_property
  def evaluate(self):
    """Compiled function (state, frozen, batch, key) -> scores of one validation batch."""

    def evaluate(state: TrainState, frozen: Frozen, batch: Batch, key: jax.Array) -> Metrics:
      return self.stage.evaluate(self.model(state, frozen), batch, key)

    return jax.jit(evaluate, out_shardings=sharding.replicated(self.mesh))

  def scores(self) -> tuple[str, ...]:
    """Names of the validation scores."""
    with self.on_mesh():
      found = jax.eval_shape(self.evaluate, self.state, self.frozen, self.batch(validation=True), self._key())
    return tuple(self.stage.scores(dict.fromkeys(found, 1.0)))

  def on_mesh(self) -> contextlib.AbstractContextManager:
    """What is traced inside may state how it lies on the mesh."""
    return jax.set_mesh(self.mesh)

  def _made(self) -> nnx.Module:
    return self.stage.create(Keys(jax.random.fold_in(jax.random.key(self.config["seed"]), 0)))

  def _laid_out(self, state: TrainState, frozen: Frozen) -> tuple[TrainState, Frozen]:
    """The same shapes with their shardings: optimiser state and means lie as their parameters do."""
    rules, whole = self.config["sharding"], sharding.replicated(self.mesh)
    of = lambda tree: sharding.parameter_shardings(tree, rules, self.mesh)
    params = of(state.params)
    optimizers = {
      name: optax.tree_map_params(
        self._optimizers[name],
        # Muon's halves each leave out what the other one keeps.
        lambda kept, s: kept if _is_masked(kept) else s,
        inner,
        params[name],
        transform_non_params=lambda _: whole,
        is_leaf=_is_masked,
      )
      for name, inner in state.opt_state.items()
    }
    everywhere = lambda tree: jax.tree.map(lambda _: whole, tree)
    lain = TrainState(whole, params, everywhere(state.rest), optimizers, params if state.ema else {}, whole)
    put = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
    frozen_lain = Frozen(of(frozen.params), everywhere(frozen.rest))
    return jax.tree.map(put, state, lain), jax.tree.map(put, frozen, frozen_lain)

  def _key(self) -> jax.ShapeDtypeStruct:
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=sharding.replicated(self.mesh))

  def _check_batch(self) -> None:
    size, parts = self.config["batch_size"], sharding.readers(self.mesh) * self.config["accumulate"]
    if size % parts:
      raise ValueError(f"batch_size {size} does not divide into {parts} (data x fsdp x accumulate); choose another")


def _is_masked(x: Any) -> bool:
  return isinstance(x, optax.MaskedNode)
