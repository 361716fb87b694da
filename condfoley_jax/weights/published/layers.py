"""Layers that several published models have: each function takes its tensors out of a PyTorch state dict.

`state` maps names to arrays and knows our shapes; `source` is the layer's name there, `target` its path with us. A bias
is taken where our layer has one.
"""

import contextlib
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import tree
from data_pipelines.errors import InputError

State = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
_MANY = 20


class Misfit(ValueError):
  """Tensors that do not fit: lists of them by what is wrong, each entry beginning with the published name."""

  def __init__(self, lists: Mapping[str, Iterable[str]]):
    self.lists = {what: sorted(found) for what, found in lists.items()}
    super().__init__(
      "; ".join(f"tensors {what} ({len(found)}): {_listed(found)}" for what, found in self.lists.items() if found)
    )


def _listed(found: list[str]) -> str:
  """All of them; where they are many, those of one layer (all up to its number) as one: a lost layer takes hundreds."""
  if len(found) <= _MANY:
    return ", ".join(found)
  layers = [(name, list(inside)) for name, inside in itertools.groupby(found, _layer)]
  return ", ".join(f"{name}* ({len(inside)})" if len(inside) > 1 else inside[0] for name, inside in layers)


def _layer(entry: str) -> str:
  name = entry.split(" ")[0]
  return name[: max((i.end() for i in re.finditer(r"(?:^|\.)[0-9]+\.", name)), default=name.find(".") + 1)] or name


class Problems:
  """What is wrong with the parts of a checkpoint, gathered so that one error can tell all of it."""

  def __init__(self):
    self._lists: dict[str, list[str]] = {what: [] for what in ("missing", "of another shape", "left over")}
    self._others: list[str] = []

  @contextlib.contextmanager
  def under(self, prefix: str) -> Iterator[None]:
    """Notes the ValueError that reading the tensors under `prefix` ends with; what the user chose wrong goes on."""
    try:
      yield
    except InputError:
      raise
    except Misfit as error:
      for what, found in error.lists.items():
        self._lists.setdefault(what, []).extend(prefix + entry for entry in found)
    except ValueError as error:
      self._others.append(f"{prefix}*: {error}" if prefix else str(error))

  def tell(self) -> None:
    """Raises ValueError if anything was noted."""
    if self._others or any(self._lists.values()):
      raise ValueError("; ".join(filter(None, [str(Misfit(self._lists)), *self._others])))


class Tensors(State):
  """Tensors of a state dict, each to be popped once; one that does not fit is noted, and nothing comes of it.

  Attributes:
    shapes: of our parameters, by path.
    missing, misshapen: what did not fit.
  """

  def __init__(self, state: State, shapes: Shapes):
    super().__init__(state)
    self.shapes = shapes
    self.missing: list[str] = []
    self.misshapen: list[str] = []

  def pop(self, name: str, shape: Sequence[int | None]) -> Any:
    """The tensor, if it has the published `shape`, in which None stands for any size."""
    if name not in self:
      self.missing.append(name)
      return _Missing()
    x = super().pop(name)
    if x.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, x.shape, strict=True)):
      wanted = ", ".join("any" if n is None else str(n) for n in shape)
      self.misshapen.append(f"{name} is {list(x.shape)} and should be [{wanted}]")
      return _Missing()
    return x

  def drop(self, name: str) -> None:
    """Leaves out a tensor that is read by nothing, if it is there."""
    super().pop(name, None)

  def pop_same(self, name: str, target: str) -> Any:
    """The tensor, if it has the shape that `target` has with us."""
    return self.pop(name, self.shapes[target])


class _Missing:
  """Stands in for a tensor that does not fit, so that one error can list all: what is done to it gives it again."""

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


@contextlib.contextmanager
def taking(state: State, shapes: Shapes) -> Iterator[Tensors]:
  """The tensors to take, for a model of such `shapes`.

  Raises:
    Misfit: lists those that are missing, of another shape, or not taken.
  """
  tensors = Tensors(state, shapes)
  yield tensors
  lists = {"missing": tensors.missing, "of another shape": tensors.misshapen, "left over": tensors}
  if any(lists.values()):
    raise Misfit(lists)


@functools.cache
def shapes_of(model: type[nnx.Module], config: Any) -> Shapes:
  """Shapes of what `model(config)` saves, by path."""
  return tree.shapes(nnx.eval_shape(lambda: model(config, rngs=Keys(0))))


def shape(state: State, name: str, rank: int) -> tuple[int, ...]:
  """Shape of a tensor that sizes are told from.

  Raises:
    Misfit: it is not there, or it has not `rank` axes, or no elements.
  """
  if name not in state:
    raise Misfit({"missing": [name]})
  found = state[name].shape
  if len(found) != rank or 0 in found:
    raise Misfit({"of another shape": [f"{name} is {list(found)} and should have {rank} axes and elements"]})
  return found


def refuse_left_over(state: State) -> None:
  """Raises Misfit if there is a tensor, listing all."""
  if state:
    raise Misfit({"left over": state})


def conv2d(state: Tensors, source: str, target: str) -> State:
  """Convolution [C', C, h, w]."""
  h, w, before, after = state.shapes[f"{target}/kernel"]
  kernel = state.pop(f"{source}.weight", (after, before, h, w)).transpose(2, 3, 1, 0)
  return {f"{target}/kernel": kernel} | _bias(state, source, target, after)


def spatial_conv(state: Tensors, source: str, target: str) -> State:
  """Convolution within frames [C', C, 1, h, w], without bias."""
  h, w, before, after = state.shapes[f"{target}/kernel"]
  weight = state.pop(f"{source}.weight", (after, before, 1, h, w))
  return {f"{target}/kernel": weight[:, :, 0].transpose(2, 3, 1, 0)}


def temporal_conv(state: Tensors, source: str, target: str) -> State:
  """Convolution over frames [C', C, t, 1, 1], without bias."""
  taps, before, after = state.shapes[f"{target}/kernel"]
  weight = state.pop(f"{source}.weight", (after, before, taps, 1, 1))
  return {f"{target}/kernel": weight[..., 0, 0].transpose(2, 1, 0)}


def linear(state: Tensors, source: str, target: str, *, width: int | None = None) -> State:
  """Linear layer; a convolution [C', C, 1...] is one too.

  Args:
    state, source, target: as everywhere here.
    width: outputs, where the layer is one of several that are one with us.
  """
  before, after = state.shapes[f"{target}/kernel"]
  after, name = width or after, f"{source}.weight"
  ones = [1] * (state[name].ndim - 2) if name in state else []
  weight = state.pop(name, (after, before, *ones))
  return {f"{target}/kernel": weight.reshape(weight.shape[:2]).T} | _bias(state, source, target, after)


def _bias(state: Tensors, source: str, target: str, width: int) -> State:
  target = f"{target}/bias"
  return {target: state.pop(f"{source}.bias", (width,))} if target in state.shapes else {}


def fused(state: Tensors, sources: list[str], target: str) -> State:
  """Linear layers of one size that read the same input, as one: outputs in the order of `sources`."""
  width = state.shapes[f"{target}/kernel"][-1] // len(sources)
  return side_by_side([linear(state, source, target, width=width) for source in sources])


def heads(state: Tensors, sources: list[str], target: str) -> State:
  """Linear layers that read the same input, as one with outputs [sources, heads, width of a head]."""
  before, _, *sizes = state.shapes[f"{target}/kernel"]
  width = int(np.prod(sizes))
  kernels = [state.pop(f"{source}.weight", (width, before)).T.reshape(before, *sizes) for source in sources]
  biases = [state.pop(f"{source}.bias", (width,)).reshape(sizes) for source in sources]
  return {f"{target}/kernel": np.stack(kernels, axis=1), f"{target}/bias": np.stack(biases)}


def side_by_side(parts: Sequence[State]) -> State:
  """Layers of one kind that read the same input, as one: their outputs in the order of `parts`."""
  return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def norm(state: Tensors, source: str, target: str, *, width: int | None = None) -> State:
  """Layer or group norm; `width` as for `linear`."""
  return _vectors(state, source, target, width, scale="weight", bias="bias")


def batch_norm(state: Tensors, source: str, target: str, *, width: int | None = None) -> State:
  """Batch norm with its running statistics; `width` as for `linear`. Its counter is read by nothing."""
  state.drop(f"{source}.num_batches_tracked")
  return _vectors(state, source, target, width, scale="weight", bias="bias", mean="running_mean", var="running_var")


def _vectors(state: Tensors, source: str, target: str, width: int | None, **names: str) -> State:
  shape = (width,) if width else state.shapes[f"{target}/scale"]
  return {f"{target}/{ours}": state.pop(f"{source}.{theirs}", shape) for ours, theirs in names.items()}


def count(state: State, prefix: str) -> int:
  """How many layers `prefix.0`, `prefix.1`, ... there are."""
  found = {name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")}
  return len({number for number in found if number.isdigit()})


def stack(state: State, *prefixes: str) -> int:
  """How many layers there are under the prefix that has the most of them.

  Raises:
    Misfit: there are none.
  """
  if not (most := max(count(state, prefix) for prefix in prefixes)):
    raise Misfit({"missing": [f"{prefix}.*" for prefix in prefixes]})
  return most
