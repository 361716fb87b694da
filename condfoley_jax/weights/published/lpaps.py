"""Published LPAPS weights (keys relative to it; in a VQGAN checkpoint under `loss.perceptual_loss.`) in our names."""

from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State
from condfoley_jax.weights.published.vggishish import block_widths, conv_indices, statistics
from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS

_STATISTICS = {"scaling_layer.shift": 2 * MEANS - 1, "scaling_layer.scale": 2 * DEVIATIONS}


def config_from_torch(state: State) -> LPAPSConfig:
  """Sizes from the tensors."""
  told = [name for name in _STATISTICS if name in state]
  n_mels = layers.shape(state, told[0], 4)[2] if told else len(MEANS)
  return LPAPSConfig(n_mels, block_widths(state, r"net\.slice[0-9]\."))


def params_from_torch(state: State, config: LPAPSConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and input statistics (those of VGGSound where `state` has neither).

  Args:
    state: tensors by name.
    config: gives the blocks.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over; the file of the features alone
      lacks the heads, which a VQGAN checkpoint has under `loss.perceptual_loss.`. Or a deviation is not above 0.
  """
  if not any(name in state for name in _STATISTICS):
    state = {name: x.reshape(1, 1, -1, 1) for name, x in _STATISTICS.items()} | state
  with layers.taking(state, layers.shapes_of(LPAPS, config)) as state:
    params = statistics(*(state.pop(name, (1, 1, config.n_mels, 1)).reshape(-1) for name in _STATISTICS))
    for block, indices in enumerate(conv_indices(config.widths)):
      params |= layers.linear(state, f"lin{block}.model.1", f"heads/{block}")
      for i, index in enumerate(indices):
        params |= layers.conv2d(state, f"net.slice{block + 1}.{index}", f"features/blocks/{block}/{i}")
  if (params["scaling/deviation"] <= 0).any():
    raise layers.Misfit({"not above 0 everywhere": ["scaling_layer.scale"]})
  return params
