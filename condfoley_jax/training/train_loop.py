"""The train loop of every stage: batches in, updates, scores, checkpoints, and a weights folder at the end."""

import contextlib
import functools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Stage
from condfoley_jax.training import run_config, sharding
from condfoley_jax.training.checkpoints import Checkpoints
from condfoley_jax.training.data import TrainingData
from condfoley_jax.training.metrics import MetricWriter, NoWriter
from condfoley_jax.training.optimizer import OptimizerConfig, make_optimizer
from condfoley_jax.training.state import Merger, TrainState, create_state, make_train_step
from condfoley_jax.weights import folder


class Run:
  """Trains the stage of `config` to `config.steps`, going on from the last checkpoint in `workdir`.

  Writes `config.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/` and, at the end, `weights/`. Of several
  processes the first does; the checkpoints all write together.

  Raises:
    InputError: the data, the pretrained weights or `workdir` cannot be used, or another config was trained there.
    ValueError, TypeError, KeyError: the config does not fit together.
  """

  def __init__(self, config: Mapping[str, Any], workdir: Path):
    self.config, self.workdir = config, workdir
    self.stage: Stage = registry.create(config)
    self.mesh = sharding.make_mesh()
    self.data = TrainingData(self.stage, self.mesh)
    run_config.check(config, workdir)
    self.key = jax.random.key(config["seed"])
    model = self.stage.create(nnx.Rngs(jax.random.fold_in(self.key, 0)))
    optimizers = {
      name: make_optimizer(config_tree.from_dict(OptimizerConfig, values), config["steps"])
      for name, values in config["optimizers"].items()
    }
    self.merge = Merger(model)
    self.state = jax.device_put(create_state(model, optimizers), sharding.replicated(self.mesh))
    self.train_step = functools.cache(functools.partial(self._compile, optimizers))
    self.evaluate_batch = jax.jit(lambda state, batch, key: self.stage.evaluate(self._model(state), batch, key))
    # The cache, where there is one, is filled here: after all that may be wrong, before anything is written.
    self.batches = self.data.train(model)
    workdir.mkdir(parents=True, exist_ok=True)
    self.checkpoints = Checkpoints(workdir / "checkpoints")
    self.lead = jax.process_index() == 0
    self.writer = MetricWriter(workdir, last_step=self.checkpoints.latest() or 0) if self.lead else NoWriter()
    if self.lead:
      run_config.write(config, workdir)

  def go(self) -> dict[str, float]:
    """Trains, writes the weights, and returns the last validation scores."""
    with contextlib.closing(self.writer), contextlib.closing(self.checkpoints):
      self._resume()
      scores = self._steps()
    if self.lead:
      components = self.stage.components(self._model(self.state))
      folder.save(self.workdir / "weights", self.stage.clip, components, conventions=self.stage.conventions)
    return scores

  def _steps(self) -> dict[str, float]:
    first, steps, every = int(self.state.step), self.config["steps"], self.config["every"]
    clock, done, train_key = time.monotonic(), first, jax.random.fold_in(self.key, 1)
    scores = {}
    for step in range(first + 1, steps + 1):
      self.state, metrics = self.train_step(self.stage.phase(step - 1))(self.state, next(self.batches), train_key)
      if step % every["log"] == 0 or step == steps:
        values = {k: float(v) for k, v in metrics.items()}
        seconds = (time.monotonic() - clock) / (step - done)
        clock, done = time.monotonic(), step
        self._log("train", step, values | {"seconds_per_step": seconds})
      if step % every["checkpoint"] == 0 or step == steps:
        self.checkpoints.save(step, self.state, self.batches.get_state())
      if step % every["evaluate"] == 0 or step == steps:
        scores = self.evaluate(step)
    return scores or self.evaluate(steps)

  def _compile(self, optimizers: dict[str, optax.GradientTransformation], phase: str):
    step = make_train_step(self.merge, self.stage.losses(phase), optimizers, self.stage.after_step)
    return jax.jit(step, donate_argnums=0)

  def evaluate(self, step: int) -> dict[str, float]:
    """Mean scores over the first `config.evaluate_batches` validation batches; pictures and sounds of the first."""
    key = jax.random.fold_in(self.key, 2)
    scores: list[dict[str, jax.Array]] = []
    for i, batch in enumerate(self.data.validation()):
      scores.append(self.evaluate_batch(self.state, batch, jax.random.fold_in(key, i)))
      if i == 0:
        # Whole on every device, so that every process can look at it.
        batch = jax.jit(lambda x: x, out_shardings=sharding.replicated(self.mesh))(batch)
        images, sounds = self.stage.pictures(self._model(self.state), batch, key)
        self.writer.images(step, images)
        self.writer.audio(step, sounds, self.stage.clip.sample_rate)
    mean = {k: float(np.mean([s[k] for s in scores])) for k in scores[0]}
    self._log("validation", step, mean)
    return mean

  def _resume(self) -> None:
    if (step := self.checkpoints.latest()) is not None:
      self.state, iterator_state = self.checkpoints.restore(step, self.state)
      self.batches.set_state(iterator_state)

  def _model(self, state: TrainState) -> nnx.Module:
    return self.merge(state.params, state.rest)

  def _log(self, kind: str, step: int, values: dict[str, float]) -> None:
    self.writer.scalars(step, {f"{kind}/{k}": v for k, v in values.items()})
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
    left = (self.config["steps"] - step) * values.get("seconds_per_step", 0) / 60
    if not self.lead:
      return
    print(
      f"{kind} {step}/{self.config['steps']}  {numbers}" + (f"  {left:.0f} min left" if left else ""),
      file=sys.stderr,
      flush=True,
    )
