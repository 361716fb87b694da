"""Layers that several published models have: each function takes its tensors out of a PyTorch state dict.

`state` maps names to arrays; `source` is the layer's name there, `target` its path with us.
"""

from collections.abc import Sequence

import numpy as np

State = dict[str, np.ndarray]


def conv2d(state: State, source: str, target: str, *, bias: bool = True) -> State:
  """Convolution [C', C, h, w]."""
  params = {f"{target}/kernel": state.pop(f"{source}.weight").transpose(2, 3, 1, 0)}
  if bias:
    params[f"{target}/bias"] = state.pop(f"{source}.bias")
  return params


def spatial_conv(state: State, source: str, target: str) -> State:
  """Convolution within frames [C', C, 1, h, w], without bias."""
  return {f"{target}/kernel": state.pop(f"{source}.weight")[:, :, 0].transpose(2, 3, 1, 0)}


def temporal_conv(state: State, source: str, target: str) -> State:
  """Convolution over frames [C', C, t, 1, 1], without bias."""
  return {f"{target}/kernel": state.pop(f"{source}.weight")[..., 0, 0].transpose(2, 1, 0)}


def linear(state: State, source: str, target: str, *, bias: bool = True) -> State:
  """Linear layer; a convolution [C', C, 1...] is one too."""
  weight = state.pop(f"{source}.weight")
  params = {f"{target}/kernel": weight.reshape(weight.shape[:2]).T}
  if bias:
    params[f"{target}/bias"] = state.pop(f"{source}.bias")
  return params


def fused(state: State, sources: list[str], target: str) -> State:
  """Linear layers that read the same input, as one: outputs in the order of `sources`."""
  return side_by_side([linear(state, source, target) for source in sources])


def side_by_side(parts: Sequence[State]) -> State:
  """Layers of one kind that read the same input, as one: their outputs in the order of `parts`."""
  return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def norm(state: State, source: str, target: str) -> State:
  """Layer or group norm."""
  return {f"{target}/scale": state.pop(f"{source}.weight"), f"{target}/bias": state.pop(f"{source}.bias")}


def batch_norm(state: State, source: str, target: str) -> State:
  """Batch norm with its running statistics."""
  statistics = {f"{target}/{ours}": state.pop(f"{source}.running_{ours}") for ours in ("mean", "var")}
  return norm(state, source, target) | statistics


def without_counters(state: State) -> State:
  """A copy without the batch counters, which nothing reads."""
  return {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}


def refuse_left_over(state: State) -> None:
  """Raises ValueError if a tensor was not taken."""
  if state:
    raise ValueError(f"tensors left over: {', '.join(sorted(state))}")


def count(state: State, prefix: str) -> int:
  """How many layers `prefix.0`, `prefix.1`, ... there are."""
  found = {name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")}
  return len({number for number in found if number.isdigit()})
