"""Published LPAPS weights (keys relative to it; in a VQGAN checkpoint under `loss.perceptual_loss.`) in our names."""

import numpy as np

from condfoley_jax.models.lpaps import LPAPSConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State
from condfoley_jax.weights.published.vggishish import block_widths, conv_indices, statistics
from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS


def config_from_torch(state: State) -> LPAPSConfig:
  """Sizes from the tensors."""
  return LPAPSConfig(len(_statistics(dict(state))[0]), block_widths(state, r"net\.slice\d\.(\d+)\.weight"))


def params_from_torch(state: State, config: LPAPSConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and input statistics (those of VGGSound where `state` has none).

  Args:
    state: tensors by name.
    config: gives the blocks.

  Raises:
    KeyError: a tensor is missing; the file of the features alone lacks the heads.
    ValueError: tensors are left over.
  """
  state = dict(state)
  params = statistics(*_statistics(state))
  for block, indices in enumerate(conv_indices(config.widths)):
    params[f"heads/{block}/kernel"] = _head(state, f"lin{block}.model.1.weight")
    for i, index in enumerate(indices):
      params |= layers.conv2d(state, f"net.slice{block + 1}.{index}", f"features/blocks/{block}/{i}")
  layers.refuse_left_over(state)
  return params


def _statistics(state: State) -> tuple[np.ndarray, np.ndarray]:
  """Mean and deviation [F] of mels in [-1, 1]."""
  shift = state.pop("scaling_layer.shift", 2 * MEANS - 1)
  scale = state.pop("scaling_layer.scale", 2 * DEVIATIONS)
  return shift.reshape(-1), scale.reshape(-1)


def _head(state: State, name: str) -> np.ndarray:
  if name not in state:
    raise KeyError(f"{name}: these weights lack LPAPS's heads; a VQGAN checkpoint has them under loss.perceptual_loss")
  return state.pop(name)[:, :, 0, 0].T
