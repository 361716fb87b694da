"""What each kind of published checkpoint holds, and the components that it becomes."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import PAPER, ClipSpec
from condfoley_jax.weights import registry, tree
from condfoley_jax.weights.published import layers, lpaps, melgan, sparsesync, transformer, vggishish, vqgan
from condfoley_jax.weights.published import video_encoder as r2plus1d
from condfoley_jax.weights.published.layers import State

# Tensors of whole numbers: counters of batches, and the permuter's orders.
_WHOLE = ("num_batches_tracked", "shuffle_idx")


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
    ValueError: lists tensors that are missing, left over or of another shape than the rest asks for; or a KeyError for
      one without which no size can be told.
  """
  # The mel front end is not learned; ours is in `ClipSpec`.
  state = {name: x for name, x in state.items() if "wav_transforms." not in name}
  _check_floats(state)
  return KINDS[kind](state, heads)


def _check_floats(state: State) -> None:
  wrong = [
    f"{name} ({x.dtype})"
    for name, x in sorted(state.items())
    if not (np.issubdtype(x.dtype, np.floating) or x.dtype == ml_dtypes.bfloat16 or name.endswith(_WHOLE))
  ]
  if wrong:
    raise ValueError(f"tensors without floats ({len(wrong)}): {', '.join(wrong)}")


def _transformer(state: State, heads: int) -> Converted:
  rows, columns = _grid(_part(state, "first_stage_permuter."))
  parts, problems = {}, []
  for prefix, kind, module, sizes in (
    ("first_stage_model.", "vqgan", vqgan, {}),
    ("cond_stage_model.model.", "video_encoder", r2plus1d, {}),
    ("transformer.", "transformer", transformer, {"rows": rows, "columns": columns, "heads": heads}),
  ):
    try:
      parts[kind] = _embedded(prefix, kind, module, state, **sizes)
    except ValueError as error:
      problems.append(str(error))
  try:
    layers.refuse_left_over(state)
  except ValueError as error:
    problems.append(str(error))
  if problems:
    raise ValueError("; ".join(problems))
  return Converted(_clip(parts["vqgan"].config, rows, columns), parts)


def _vqgan(state: State, heads: int) -> Converted:
  """The discriminator and the perceptual loss come along where they are there."""
  parts = {}
  if perceptual := _part(state, "loss.perceptual_loss."):
    parts["lpaps"] = _component("lpaps", lpaps, perceptual)
  if patches := _part(state, "loss.discriminator."):
    config = vqgan.discriminator_config_from_torch(patches)
    params = vqgan.discriminator_params_from_torch(patches, config)
    parts["discriminator"] = _restored("discriminator", config, params)
  return Converted(PAPER, {"vqgan": _component("vqgan", vqgan, state)} | parts)


def _alone(name: str, kind: str, module: ModuleType) -> Callable[[State, int], Converted]:
  return lambda state, heads: Converted(PAPER, {name: _component(kind, module, state)})


def _video_encoder(state: State, heads: int) -> Converted:
  """The authors' module or torchvision's, whose classes (`fc`) the published system has cut off."""
  state = _part(state, "model.") or state
  state = {name: x for name, x in state.items() if not name.startswith("fc.")}
  return Converted(PAPER, {"video_encoder": _component("video_encoder", r2plus1d, state)})


KINDS: dict[str, Callable[[State, int], Converted]] = {
  "vqgan": _vqgan,
  "transformer": _transformer,
  "melgan": _alone("vocoder", "melgan", melgan),
  "vggishish": _alone("classifier", "vggishish", vggishish),
  "sparsesync": _alone("sync", "sparsesync", sparsesync),
  "r2plus1d": _video_encoder,
  "lpaps": _alone("lpaps", "lpaps", lpaps),
}


def _embedded(prefix: str, kind: str, module: ModuleType, state: State, **sizes: int) -> nnx.Module:
  """The component whose tensors are under `prefix`, which are taken out of `state`."""
  try:
    return _component(kind, module, _part(state, prefix), **sizes)
  except KeyError as error:
    raise KeyError(f"{prefix}{error.args[0]}") from error
  except ValueError as error:
    raise ValueError(f"under {prefix[:-1]}: {error}") from error


def _component(kind: str, module: ModuleType, state: State, **sizes: int) -> nnx.Module:
  config = module.config_from_torch(state, **sizes)
  return _restored(kind, config, module.params_from_torch(state, config))


def _restored(kind: str, config: Any, params: State) -> nnx.Module:
  component = nnx.eval_shape(lambda: registry.build(kind, config_tree.to_dict(config), rngs=nnx.Rngs(0)))
  tree.restore(component, params)
  return component


def _part(state: State, prefix: str) -> State:
  """Takes the tensors under `prefix` out of `state`, named relative to it."""
  return {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}


def _grid(permuter: State) -> tuple[int, int]:
  """Rows and columns of codes: the permuter's order runs down the columns of a row-major grid.

  Raises:
    KeyError: it is not there.
    ValueError: it is some other order.
  """
  names = ("forward_shuffle_idx", "backward_shuffle_idx")
  if absent := [f"first_stage_permuter.{name}" for name in names if name not in permuter]:
    raise KeyError(", ".join(absent))
  order, back = (permuter[name].astype(np.int64) for name in names)
  columns = int(order[1]) if len(order) > 1 else 1
  expected = np.arange(len(order)).reshape(-1, columns).T.ravel() if columns and len(order) % columns == 0 else None
  if expected is None or not np.array_equal(order, expected):
    raise ValueError("first_stage_permuter does not order codes column by column")
  if not np.array_equal(back, np.argsort(order)):
    raise ValueError("first_stage_permuter.backward_shuffle_idx does not undo forward_shuffle_idx")
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
