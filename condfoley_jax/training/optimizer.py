"""Optimiser of one player: AdamW with warm-up, a constant or cosine rate, and clipping by global norm."""

import dataclasses

import jax
import optax


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """AdamW as optax has it.

  Attributes:
    learning_rate: peak rate.
    warmup_steps: steps of linear warm-up from 0.
    schedule: `constant` or `cosine` (to 0 at the last step).
    b1, b2: decay of the moments.
    weight_decay: on kernels of linear layers only, as published.
    clip_norm: global gradient norm above which gradients are scaled down; 0 for none.
  """

  learning_rate: float
  warmup_steps: int = 0
  schedule: str = "constant"
  b1: float = 0.9
  b2: float = 0.95
  weight_decay: float = 0.0
  clip_norm: float = 0.0


def make_schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
  """Learning rate as a function of the step.

  Raises:
    ValueError: on an unknown schedule.
  """
  rate, warmup = config.learning_rate, config.warmup_steps
  if config.schedule == "cosine":
    return optax.warmup_cosine_decay_schedule(0.0 if warmup else rate, rate, warmup, max(steps, warmup + 1))
  if config.schedule == "constant":
    return optax.linear_schedule(0.0, rate, warmup) if warmup else optax.constant_schedule(rate)
  raise ValueError(f"schedule is `constant` or `cosine`, not `{config.schedule}`")


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
  """The optax chain for a run of `steps` steps."""
  adam = optax.adamw(
    make_schedule(config, steps), config.b1, config.b2, weight_decay=config.weight_decay, mask=linear_kernels
  )
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam) if config.clip_norm else adam


def linear_kernels(params):
  """True for kernels of linear layers (two axes), False for convolutions, tables, biases and norms."""
  return jax.tree_util.tree_map_with_path(
    lambda path, x: "kernel" in jax.tree_util.keystr(path) and x.ndim == 2, params
  )
