"""Published LPAPS weights (keys relative to it; in a VQGAN checkpoint under `loss.perceptual_loss.`) in our names."""

import numpy as np

from condfoley_jax.models.lpaps import LPAPSConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State
from condfoley_jax.weights.published.vggishish import block_widths, conv_indices, statistics
from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS


def config_from_torch(state: State) -> LPAPSConfig:
  """Sizes from the tensors."""
  return LPAPSConfig(len(_statistics(state)[0]), block_widths(state, r"net\.slice\d\.(\d+)\.weight"))


def params_from_torch(state: State, config: LPAPSConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and input statistics (those of VGGSound where `state` has none).

  Args:
    state: tensors by name.
    config: gives the blocks.

  Raises:
    ValueError: lists the tensors that are missing or left over; the file of the features alone lacks the heads, which
      a VQGAN checkpoint has under `loss.perceptual_loss.`.
  """
  params = statistics(*_statistics(state))
  with layers.taking({name: x for name, x in state.items() if not name.startswith("scaling_layer.")}) as state:
    for block, indices in enumerate(conv_indices(config.widths)):
      params[f"heads/{block}/kernel"] = state.pop(f"lin{block}.model.1.weight")[:, :, 0, 0].T
      for i, index in enumerate(indices):
        params |= layers.conv2d(state, f"net.slice{block + 1}.{index}", f"features/blocks/{block}/{i}")
  return params


def _statistics(state: State) -> tuple[np.ndarray, np.ndarray]:
  """Mean and deviation [F] of mels in [-1, 1]."""
  shift = state.get("scaling_layer.shift", 2 * MEANS - 1)
  scale = state.get("scaling_layer.scale", 2 * DEVIATIONS)
  return shift.reshape(-1), scale.reshape(-1)
