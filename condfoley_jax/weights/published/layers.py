"""Layers that several published models have: each function takes its tensors out of a PyTorch state dict.

`state` maps names to arrays; `source` is the layer's name there, `target` its path with us.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

State = dict[str, np.ndarray]


class Tensors(State):
  """Tensors of a state dict, each to be popped once; one that is not there is noted, and nothing comes of it."""

  def __init__(self, state: State):
    # Batch counters are read by nothing.
    super().__init__({name: x for name, x in state.items() if not name.endswith("num_batches_tracked")})
    self.missing: list[str] = []
    self.last = ""

  def pop(self, name: str) -> Any:
    self.last = f"{name} of shape {self[name].shape}" if name in self else name
    if name in self:
      return super().pop(name)
    self.missing.append(name)
    return _Missing()


class _Missing:
  """Stands in for a tensor that is not there, so that one error can list all: what is done to it gives it again."""

  __array_ufunc__ = None

  def __getattr__(self, name: str) -> "_Missing":
    if name.startswith("__"):
      raise AttributeError(name)
    return self

  def __call__(self, *args, **kwargs) -> "_Missing":
    return self

  def __array_function__(self, *args) -> "_Missing":
    return self

  def __len__(self) -> int:
    return 0

  __getitem__ = __add__ = __radd__ = __call__


class Misshapen(ValueError):
  """A tensor of another shape than those beside it; says which."""


@contextlib.contextmanager
def taking(state: State) -> Iterator[Tensors]:
  """The tensors to take.

  Raises:
    ValueError: lists those that are missing or were not taken, or names the one that could not be converted.
  """
  tensors = Tensors(state)
  try:
    yield tensors
  except Misshapen:
    raise
  except (IndexError, TypeError, ValueError) as error:
    raise ValueError(f"tensor {tensors.last} is not what was published") from error
  _account(missing=tensors.missing, left_over=tensors)


def refuse_left_over(state: State) -> None:
  """Raises ValueError if there is a tensor, listing all."""
  _account(left_over=state)


def _account(*, missing: Iterable[str] = (), left_over: Iterable[str]) -> None:
  lists = {"missing": sorted(missing), "left over": sorted(left_over)}
  if any(lists.values()):
    raise ValueError("; ".join(f"tensors {what} ({len(n)}): {', '.join(n)}" for what, n in lists.items() if n))


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
  """Linear layers of one size that read the same input, as one: outputs in the order of `sources`.

  Raises:
    Misshapen: one is of another size than most.
  """
  for part in ("weight", "bias"):
    _check_alike({name: state[name].shape for source in sources if (name := f"{source}.{part}") in state})
  return side_by_side([linear(state, source, target) for source in sources])


def _check_alike(shapes: dict[str, tuple[int, ...]]) -> None:
  expected = Counter(shapes.values()).most_common(1)[0][0] if shapes else ()
  if odd := [f"{name} is {shape}, beside it {expected}" for name, shape in shapes.items() if shape != expected]:
    raise Misshapen(f"tensors of another shape ({len(odd)}): {', '.join(odd)}")


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


def count(state: State, prefix: str) -> int:
  """How many layers `prefix.0`, `prefix.1`, ... there are."""
  found = {name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")}
  return len({number for number in found if number.isdigit()})
