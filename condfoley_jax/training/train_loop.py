"""The train loop of every stage: batches in, updates, scores, checkpoints, and a weights folder at the end."""

import contextlib
import dataclasses
import functools
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from condfoley_jax import chips, sharding
from condfoley_jax.hlo import cost as hlo_cost
from condfoley_jax.stages.stage import Stage
from condfoley_jax.training import parameters, preemption, progress, run_config
from condfoley_jax.training.checkpoints import Checkpoints, read_best
from condfoley_jax.training.data import TrainingData
from condfoley_jax.training.metrics import MetricWriter, NoWriter
from condfoley_jax.training.profile import Profile
from condfoley_jax.training.program import Program
from condfoley_jax.training.setbacks import REMEDY, Setbacks
from condfoley_jax.weights import folder
from data_pipelines.errors import InputError
from data_pipelines.interrupt import Interrupted


class Run:
  """Trains the stage of `config` to `config.steps`, going on from the last checkpoint in `workdir`.

  Writes `config.json`, `parameters.txt`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, with `profile` a trace of
  some steps in `profile/`, and at the end `weights/`. Of several processes the first does; the checkpoints all write
  together.

  Raises:
    InputError: the data, the pretrained weights or `workdir` cannot be used, or another config was trained there.
    ValueError, TypeError, KeyError: the config does not fit together. Nothing is written then.
  """

  def __init__(self, config: Mapping[str, Any], workdir: Path, *, profile: bool = False):
    self.config, self.workdir = config, workdir
    self.profile = Profile(workdir / "profile" if profile else None)
    self.program = Program(config, read=True)
    self.stage: Stage = self.program.stage
    self.lowered = functools.cache(self.program.lower)
    self.step_of = functools.cache(lambda phase: self.lowered(phase).compile())
    self.flops_of = functools.cache(lambda phase: hlo_cost.of_text(self.step_of(phase).as_text()).flops)
    self.data = TrainingData(self.stage, self.program.mesh)
    described = {**config, "pretrained_ids": self.stage.pretrained_ids, "data_ids": self.data.described()}
    run_config.check(described, workdir)
    for step in (0, config["steps"] - 1):
      self.lowered(self.stage.phase(step))
    best = read_best(config["keep_best"], self.program.scores())
    self.key = jax.random.key(config["seed"])
    self.state, self.frozen = self.program.create()
    # The cache, where there is one, is filled here: after all that may be wrong, before anything is written.
    self.batches = self.data.train(self._model)
    self.checkpoints = Checkpoints(workdir / "checkpoints", best=best)
    self.unscored = self._resume()
    self.lead = jax.process_index() == 0
    self.writer = MetricWriter(workdir, last_step=self.checkpoints.latest() or 0) if self.lead else NoWriter()
    if self.lead:
      run_config.write(described, workdir)
      (workdir / "parameters.txt").write_text(parameters.table(self.state, self.frozen), encoding="utf-8")

  def go(self) -> dict[str, float]:
    """Trains, writes the weights, and returns the last validation scores.

    Raises:
      Interrupted: SIGTERM came; the step it came in is saved.
      InputError: the disk is full, too many losses in a row were not finite, or the weights are none that are stored.
    """
    with (
      contextlib.closing(self.writer),
      contextlib.closing(self.checkpoints),
      contextlib.closing(self.profile),
      progress.teller(self.config["steps"], lead=self.lead) as self.teller,
      preemption.watched() as watch,
    ):
      for line in parameters.summary(self.state, self.frozen):
        self.teller.line(line)
      scores = self._steps(watch)
      if int(self.state.skipped) == int(self.state.step):
        raise InputError(f"{self.workdir}: no step was finite; {REMEDY}")
      self._choose_best()
      # By all processes, which hold parts of it.
      components = self.stage.components(self._model())
      if self.lead:
        self._save(components)
    return scores

  def _save(self, components: Mapping[str, nnx.Module]) -> None:
    place = self.workdir / "weights"
    try:
      folder.save(place, self.stage.clip, components, conventions=self.stage.conventions)
    except ValueError as error:
      raise InputError(f"{place}: not written, since {error}; the checkpoints stay; {REMEDY}") from error

  def _steps(self, watch: preemption.Preemption) -> dict[str, float]:
    step, steps, train_key = int(self.state.step), self.config["steps"], jax.random.fold_in(self.key, 1)
    if self.unscored and step < steps and self._due("evaluate", step):
      self._score_saved(step)  # SIGTERM came in this step, and is in haste.
    setbacks, scores, phase = Setbacks(self.config["skip_at_most"]), {}, None
    while step < steps:
      if (now := self.stage.phase(step)) != phase:
        phase, train_step, clock = now, self.step_of(now), progress.Clock(step)
      step += 1
      with self.profile.step():
        batch = next(self.batches)
        self.state, metrics = train_step(self.state, self.frozen, batch, train_key)
      self.profile.end(metrics)
      # Of the step before, which is done by now: to wait for this one would leave the device idle.
      if setbacks.too_many(metrics["skipped"]):
        step = self._go_back(setbacks)
        clock = progress.Clock(step)
        continue
      self.teller.step(step)
      stop = watch.reached(step)
      if self._due("log", step) or stop:
        numbers = {k: float(v) for k, v in metrics.items()}  # Waits for the step.
        self._log("train", step, self._rates(clock.per_step(step), step) | numbers)
      scores = self.evaluate(step) if self._due("evaluate", step) and not stop else {}
      # Only what is saved can be the best.
      save = self._due("checkpoint", step) or stop or (scores and self.config["keep_best"])
      # A state that steps leave unchanged may be what makes them fail: it is not one to go back to.
      if save and not int(self.state.skipped):
        if scores:
          self.checkpoints.scores.note(step, scores)
        self.checkpoints.save(step, self.state, self.batches.get_state(), self.key)
      if scores or save:
        clock = progress.Clock(step)  # Of steps alone.
      if stop:
        self._end_early()
    if not scores:  # Nothing was left to do; the run may even have been longer.
      scores = self._score_saved(step)
    return scores

  def _score_saved(self, step: int) -> dict[str, float]:
    """Scores of the step that the run goes on from, in place of those that it may have."""
    self.writer.forget_scores(step)
    scores = self.evaluate(step)
    self.checkpoints.scores.note(step, scores)
    return scores

  def _due(self, what: str, step: int) -> bool:
    return step % self.config["every"][what] == 0 or step == self.config["steps"]

  def _end_early(self) -> None:
    self.checkpoints.wait()
    if (saved := self.checkpoints.latest()) is None:
      self.teller.line("stopped by SIGTERM before a step changed anything; nothing is saved")
    else:
      self.teller.line(f"stopped by SIGTERM and saved at step {saved}; the same command goes on from there")
    raise Interrupted(signal.SIGTERM)

  def _go_back(self, setbacks: Setbacks) -> int:
    """Restores the last checkpoint after too many steps that changed nothing; the data go on. The step it is of."""
    self.checkpoints.wait()
    step = setbacks.go_back(self.checkpoints.latest())
    self.state = self.checkpoints.restore(step, self.program.state).state
    self.writer.forget(step)
    self.teller.line(f"{setbacks.limit} steps in a row were not finite: back to step {step}, with the data that follow")
    return step

  def _choose_best(self) -> None:
    """The state with the best validation score, where config.keep_best asks for it."""
    self.checkpoints.wait()
    if (best := self.checkpoints.best()) is not None:
      self.state = self.checkpoints.restore(best, self.program.state).state
      self.teller.line(f"weights of step {best}, the best by {self.config['keep_best']}")

  def _rates(self, seconds: float, step: int) -> dict[str, float]:
    """Seconds per step and, of a device whose peak is known, the share of it that the step's products take."""
    rates = {"seconds_per_step": seconds}
    if chip := chips.of_kind(jax.devices()[0].device_kind):
      flops = self.flops_of(self.stage.phase(step - 1))
      rates["mfu"] = flops / seconds / chip.flops
    return rates

  def evaluate(self, step: int) -> dict[str, float]:
    """Scores over the first `config.evaluate_batches` validation batches; pictures and sounds of the first."""
    key = jax.random.fold_in(self.key, 2)
    batches: list[dict[str, jax.Array]] = []
    for i, batch in enumerate(self.data.validation()):
      with self.program.on_mesh():
        batches.append(self.program.evaluate(self.state, self.frozen, batch, jax.random.fold_in(key, i)))
      if i == 0 and self.stage.shown:
        self._show(step, batch, key)
    scores = self.stage.scores({k: float(np.mean([s[k] for s in batches])) for k in batches[0]})
    self._log("validation", step, scores)
    return scores

  def _show(self, step: int, batch, key: jax.Array) -> None:
    images, sounds = self.stage.pictures(self._model(), self._shown(batch), key)
    self.writer.images(step, images)
    self.writer.audio(step, sounds, self.stage.clip.sample_rate)

  def _resume(self) -> bool:
    """Goes on from the last checkpoint, where there is one; whether that step is yet to be scored."""
    if (step := self.checkpoints.latest()) is None:
      return False
    self.state, iterator_state, self.key = self.checkpoints.restore(step, self.program.state)
    self.batches.set_state(iterator_state)
    return step not in self.checkpoints.scores

  def _model(self):
    """The model, whole on every device."""
    kept = dataclasses.replace(self.state, params=self.state.ema or self.state.params, ema={}, opt_state={})
    return self.program.model(*self._whole((kept, self.frozen)))

  @functools.cached_property
  def _whole(self):
    """Arrays on the mesh -> the same, whole on every device, so that every process can look at them."""
    return jax.jit(lambda tree: tree, out_shardings=sharding.replicated(self.program.mesh))

  @functools.cached_property
  def _shown(self):
    """A batch -> the examples of it that are shown, whole on every device."""
    first = lambda batch: jax.tree.map(lambda x: x[: self.stage.shown], batch)
    return jax.jit(first, out_shardings=sharding.replicated(self.program.mesh))

  def _log(self, kind: str, step: int, values: dict[str, float]) -> None:
    self.writer.scalars(step, {f"{kind}/{k}": v for k, v in values.items()})
    self.teller.numbers(kind, step, values)
