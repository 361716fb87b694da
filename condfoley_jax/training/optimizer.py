"""Optimiser of one player: AdamW or Muon, with warm-up, a constant or cosine rate, and clipping by global norm."""

import dataclasses
import re

import jax
import optax
from optax import contrib

from condfoley_jax.partition import path_name

# Kernels of the transformer's layers; they have more axes than two where heads are apart or layers are scanned.
_IN_BLOCK = re.compile(r"(attention/(?:qkv|out)|mlp_in|mlp_out)/kernel$")
# How large AdamW's updates are, as a share of the rate.
_ADAM_RMS = 0.2


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """AdamW or Muon as optax has them.

  Attributes:
    learning_rate: peak rate.
    method: `adamw`, or `muon`: the momentum of each kernel of the transformer's layers and of convolutions over
      pictures made orthogonal, at AdamW's size (Jordan et al. 2024; Liu et al. 2025, eq. 4), AdamW for all else.
    warmup_steps: steps of linear warm-up from 0.
    schedule: `constant` or `cosine` (to 0 at the player's last step).
    b1, b2: decay of the moments.
    weight_decay: how much weights are drawn to 0.
    decay: `decoupled` from the gradient, on kernels of linear layers alone (AdamW, as the transformer was published;
      with `muon` on those that it makes orthogonal), or with `adamw` `l2`, added to the gradient of every parameter (as
      the classifiers were).
    clip_norm: global gradient norm above which gradients are scaled down; 0 for none.
  """

  learning_rate: float
  method: str = "adamw"
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
  """The optax chain for a player that is updated `steps` times.

  Raises:
    ValueError: on an unknown schedule, or a method and kind of decay that do not go together.
  """
  schedule, moments = make_schedule(config, steps), (config.b1, config.b2)
  match config.method, config.decay:
    case "adamw", "l2":
      optimizer = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(schedule, *moments))
    case "adamw", "decoupled":
      optimizer = optax.adamw(schedule, *moments, weight_decay=config.weight_decay, mask=linear_kernels)
    case "muon", "decoupled":
      optimizer = contrib.muon(
        schedule,
        weight_decay=config.weight_decay,
        adam_b1=config.b1,
        adam_b2=config.b2,
        muon_weight_dimension_numbers=_matrices,
        consistent_rms=_ADAM_RMS,
      )
    case _:
      raise ValueError(f"no optimizer of method `{config.method}` with decay `{config.decay}`; see OptimizerConfig")
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer) if config.clip_norm else optimizer


def linear_kernels(params):
  """True for kernels of linear layers, False for those of convolutions, tables, biases and norms."""
  return jax.tree_util.tree_map_with_path(lambda path, x: _is_linear(path_name(path), x.ndim), params)


def _is_linear(name: str, axes: int) -> bool:
  # The embedder was published as a convolution over time.
  return bool(_IN_BLOCK.search(name)) or (axes == 2 and name.endswith("kernel") and "embedder" not in name)


def _matrices(params):
  """For Muon: which axes of a kernel are inputs and outputs; queries, keys and values are by themselves."""

  def axes(path, x) -> contrib.MuonDimensionNumbers | None:
    name = path_name(path)
    if found := _IN_BLOCK.search(name):
      inputs, outputs = (-4, (-2, -1)) if found[1] == "attention/qkv" else (-2, -1)
    elif name.endswith("kernel") and x.ndim >= 4:  # A convolution over pictures, or pictures and time.
      inputs, outputs = tuple(range(x.ndim - 1)), -1
    else:
      return None
    return contrib.MuonDimensionNumbers(inputs, outputs)

  return jax.tree_util.tree_map_with_path(axes, params)
