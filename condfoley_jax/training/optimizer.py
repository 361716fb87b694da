"""Optimiser of one player: AdamW with warm-up, a constant or cosine rate, and clipping by global norm."""

import dataclasses
import re

import jax
import optax

from condfoley_jax.partition import path_name


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """AdamW as optax has it.

  Attributes:
    learning_rate: peak rate.
    warmup_steps: steps of linear warm-up from 0.
    schedule: `constant` or `cosine` (to 0 at the last step).
    b1, b2: decay of the moments.
    weight_decay: how much weights are drawn to 0.
    decay: `decoupled` from the gradient, on kernels of linear layers alone (AdamW, as the transformer was published),
      or `l2`, added to the gradient of every parameter (as the classifiers were).
    clip_norm: global gradient norm above which gradients are scaled down; 0 for none.
  """

  learning_rate: float
  warmup_steps: int = 0
  schedule: str = "constant"
  b1: float = 0.9
  b2: float = 0.95
  weight_decay: float = 0.0
  decay: str = "decoupled"
  clip_norm: float = 0.0

  def __post_init__(self):
    if not self.learning_rate > 0:
      raise ValueError(f"OptimizerConfig.learning_rate is {self.learning_rate}; give more than 0")
    for name in ("warmup_steps", "weight_decay", "clip_norm"):
      if not getattr(self, name) >= 0:
        raise ValueError(f"OptimizerConfig.{name} is {getattr(self, name)}; give 0 or more")
    for name in ("b1", "b2"):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(f"OptimizerConfig.{name} is {getattr(self, name)}; give 0 or more and less than 1")


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
  """The optax chain for a run of `steps` steps.

  Raises:
    ValueError: on an unknown schedule or kind of decay.
  """
  schedule, moments = make_schedule(config, steps), (config.b1, config.b2)
  if config.decay == "l2":
    adam = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(schedule, *moments))
  elif config.decay == "decoupled":
    adam = optax.adamw(schedule, *moments, weight_decay=config.weight_decay, mask=linear_kernels)
  else:
    raise ValueError(f"decay is `decoupled` or `l2`, not `{config.decay}`")
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam) if config.clip_norm else adam


def linear_kernels(params):
  """True for kernels of linear layers, False for those of convolutions, tables, biases and norms."""
  return jax.tree_util.tree_map_with_path(lambda path, x: _is_linear(path_name(path), x.ndim), params)


def _is_linear(name: str, axes: int) -> bool:
  # A block's kernels have more axes where heads are apart or layers are scanned; the embedder was published as a
  # convolution over time.
  in_block = re.search(r"(attention/(qkv|out)|mlp_in|mlp_out)/kernel$", name)
  return bool(in_block) or (axes == 2 and name.endswith("kernel") and "embedder" not in name)
