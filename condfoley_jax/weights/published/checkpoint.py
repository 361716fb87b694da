"""What each kind of published checkpoint holds, and the components that it becomes."""

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import PAPER, ClipSpec
from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import fit, registry, tree
from condfoley_jax.weights.published import layers, lpaps, melgan, sparsesync, transformer, vggishish, vqgan
from condfoley_jax.weights.published import video_encoder as r2plus1d
from condfoley_jax.weights.published.layers import State

# The mel front end is not learned; ours is in `ClipSpec`.
_MEL_FRONT_END = re.compile(r"(first_stage_model\.)?wav_transforms\.")
# Counters of batches, the permuter's orders, causal masks: no weights.
_NO_FLOATS = re.compile(
  r"(.+\.)?num_batches_tracked"
  r"|first_stage_permuter\.(forward|backward)_shuffle_idx"
  r"|transformer\.blocks\.[0-9]+\.attn\.mask"
)


class Converted(NamedTuple):
  """clip: the grid that the checkpoint works on; components: by name."""

  clip: ClipSpec
  components: dict[str, nnx.Module]


def convert(kind: str, state: State, *, heads: int) -> Converted:
  """Components of a published checkpoint; every size comes from its tensors.

  Args:
    kind: one of `KINDS`.
    state: tensors by name.
    heads: attention heads of a transformer, which no tensor tells.

  Raises:
    ValueError: lists tensors that are missing, left over, of another shape than the rest asks for or not finite, by
      their published names; or says which parts were not made for each other.
  """
  state = {name: x for name, x in state.items() if not _MEL_FRONT_END.match(name)}
  weights = {name: x for name, x in sorted(state.items()) if not _NO_FLOATS.fullmatch(name)}
  _refuse("without floats", [f"{name} ({x.dtype})" for name, x in weights.items() if not _is_float(x)])
  _refuse("not finite in float32", [name for name, x in weights.items() if not _is_finite(x)])
  return KINDS[kind](state, heads)


def _refuse(what: str, names: list[str]) -> None:
  if names:
    raise layers.Misfit({what: names})


def _is_float(x: np.ndarray) -> bool:
  return np.issubdtype(x.dtype, np.floating) or x.dtype == ml_dtypes.bfloat16


def _is_finite(x: np.ndarray) -> bool:
  with np.errstate(over="ignore"):
    return bool(np.isfinite(x.astype(np.float32, copy=False)).all())


def _transformer(state: State, heads: int) -> Converted:
  problems, parts, grid = layers.Problems(), {}, None
  prefixes = "first_stage_permuter.", "first_stage_model.", "cond_stage_model.model.", "transformer."
  inside = {prefix: _part(state, prefix) for prefix in prefixes}
  with problems.under("first_stage_permuter."):
    grid = _grid(inside["first_stage_permuter."])
  with problems.under("first_stage_model."):
    parts["vqgan"] = _component("vqgan", vqgan, inside["first_stage_model."])
  with problems.under("cond_stage_model.model."):
    parts["video_encoder"] = _component("video_encoder", r2plus1d, inside["cond_stage_model.model."])
  if grid:
    sizes = {"rows": grid[0], "columns": grid[1], "heads": heads}
    with problems.under("transformer."):
      parts["transformer"] = _component("transformer", transformer, inside["transformer."], **sizes)
  # What another kind of checkpoint holds would say nothing.
  if any(inside.values()):
    with problems.under(""):
      layers.refuse_left_over(state)
  problems.tell()
  clip = _clip(parts["vqgan"].config, *grid)
  if found := fit.misfits(clip, parts):
    raise ValueError(f"its parts were not made for each other ({found})")
  return Converted(clip, parts)


def _vqgan(state: State, heads: int) -> Converted:
  """The discriminator and the perceptual loss come along where they are there."""
  problems, parts = layers.Problems(), {}
  perceptual, patches = _part(state, "loss.perceptual_loss."), _part(state, "loss.discriminator.")
  with problems.under(""):
    parts["vqgan"] = _component("vqgan", vqgan, state)
  with problems.under("loss.perceptual_loss."):
    if perceptual:
      parts["lpaps"] = _component("lpaps", lpaps, perceptual)
  with problems.under("loss.discriminator."):
    if patches:
      config = vqgan.discriminator_config_from_torch(patches)
      params = vqgan.discriminator_params_from_torch(patches, config)
      parts["discriminator"] = _restored("discriminator", config, params)
  problems.tell()
  return Converted(PAPER, parts)


def _alone(name: str, kind: str, module: ModuleType) -> Callable[[State, int], Converted]:
  return lambda state, heads: Converted(PAPER, {name: _component(kind, module, state)})


def _video_encoder(state: State, heads: int) -> Converted:
  """The authors' module or torchvision's, whose classes (`fc`) the published system has cut off."""
  problems, parts = layers.Problems(), {}
  prefix = "model." if any(name.startswith("model.stem.") for name in state) else ""
  inside = _part(state, prefix)
  with problems.under(prefix):
    encoder = {name: x for name, x in inside.items() if name not in ("fc.weight", "fc.bias")}
    parts["video_encoder"] = _component("video_encoder", r2plus1d, encoder)
  with problems.under(""):
    layers.refuse_left_over(state)
  problems.tell()
  return Converted(PAPER, parts)


KINDS: dict[str, Callable[[State, int], Converted]] = {
  "vqgan": _vqgan,
  "transformer": _transformer,
  "melgan": _alone("vocoder", "melgan", melgan),
  "vggishish": _alone("classifier", "vggishish", vggishish),
  "sparsesync": _alone("sync", "sparsesync", sparsesync),
  "r2plus1d": _video_encoder,
  "lpaps": _alone("lpaps", "lpaps", lpaps),
}


def _component(kind: str, module: ModuleType, state: State, **sizes: int) -> nnx.Module:
  config = module.config_from_torch(state, **sizes)
  return _restored(kind, config, module.params_from_torch(state, config))


def _restored(kind: str, config: Any, params: State) -> nnx.Module:
  component = nnx.eval_shape(lambda: registry.build(kind, config_tree.to_dict(config), rngs=Keys(0)))
  tree.restore(component, params)
  return component


def _part(state: State, prefix: str) -> State:
  """Takes the tensors under `prefix` out of `state`, named relative to it."""
  return {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}


def _grid(permuter: State) -> tuple[int, int]:
  """Rows and columns of codes: the permuter's order runs down the columns of a row-major grid.

  Raises:
    ValueError: it is not there, or it is some other order.
  """
  with layers.taking(permuter, {}) as tensors:
    found = {name: tensors.pop(name, (None,)) for name in ("forward_shuffle_idx", "backward_shuffle_idx")}
  if wrong := [f"{name} ({x.dtype})" for name, x in found.items() if x.dtype.kind not in "iu"]:
    raise layers.Misfit({"without whole numbers": wrong})
  order, back = (x.astype(np.int64) for x in found.values())
  columns = int(order[1]) if len(order) > 1 else len(order)
  expected = np.arange(len(order)).reshape(-1, columns).T.ravel() if columns > 0 and not len(order) % columns else None
  if expected is None or not np.array_equal(order, expected):
    raise ValueError("forward_shuffle_idx does not order codes column by column")
  if not np.array_equal(back, np.argsort(order)):
    raise ValueError("backward_shuffle_idx does not undo forward_shuffle_idx")
  return len(order) // columns, columns


def _clip(config: Any, rows: int, columns: int) -> ClipSpec:
  """The published grid with this checkpoint's number of mel frames.

  Raises:
    ValueError: rows of codes do not make up the published mel bins.
  """
  per_row, per_column = config.reduction
  if rows * per_row != PAPER.n_mels:
    raise ValueError(f"{rows} rows of codes for {per_row} mel bins each are not the published {PAPER.n_mels} bins")
  values = config_tree.to_dict(PAPER)
  return ClipSpec(**values | {"mel_crop": columns * per_column, "mel_per_row": per_row, "mel_per_column": per_column})
