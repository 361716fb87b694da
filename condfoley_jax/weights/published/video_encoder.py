"""Published video encoder weights (R(2+1)D-18 without temporal stride, keys relative to it) in our names and shapes."""

import numpy as np

from condfoley_jax.models.video_encoder import VideoEncoderConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State


# The stem's spatial stride, which no tensor tells.
_STEM_STRIDE = 2


def config_from_torch(state: State) -> VideoEncoderConfig:
  """Sizes that the tensors tell."""
  names = [f"layer{i}" for i in range(1, 1 + sum(f"layer{i}.0.conv1.0.0.weight" in state for i in range(1, 10)))]
  stem = state["stem.0.weight"]
  return VideoEncoderConfig(
    stem_kernel=stem.shape[-1],
    stem_stride=_STEM_STRIDE,
    stem_mid=len(stem),
    widths=tuple(len(state[f"{name}.0.conv1.0.3.weight"]) for name in names),
    blocks=tuple(layers.count(state, name) for name in names),
  )


def params_from_torch(state: dict[str, np.ndarray], config: VideoEncoderConfig) -> dict[str, np.ndarray]:
  """Maps PyTorch tensors to our flat parameters and batch statistics.

  Args:
    state: tensors by name; batch counters are dropped.
    config: gives the number of blocks.

  Raises:
    KeyError: a tensor is missing.
    ValueError: tensors are left over.
  """
  state = layers.without_counters(state)
  params = {
    **_spatial(state, "stem.0", "stem/spatial"),
    **layers.batch_norm(state, "stem.1", "stem/spatial_norm"),
    **_temporal(state, "stem.3", "stem/temporal"),
    **layers.batch_norm(state, "stem.4", "stem/temporal_norm"),
  }
  blocks = [f"layer{layer}.{block}" for layer, count in enumerate(config.blocks, 1) for block in range(count)]
  for index, source in enumerate(blocks):
    params |= _block(state, source, f"blocks/{index}")
  layers.refuse_left_over(state)
  return params


def _block(state: State, source: str, target: str) -> State:
  params = _conv(state, f"{source}.conv1", f"{target}/conv1") | _conv(state, f"{source}.conv2", f"{target}/conv2")
  if f"{source}.downsample.0.weight" in state:
    params |= _spatial(state, f"{source}.downsample.0", f"{target}/shortcut")
    params |= layers.batch_norm(state, f"{source}.downsample.1", f"{target}/shortcut_norm")
  return params


def _conv(state: State, source: str, target: str) -> State:
  return {
    **_spatial(state, f"{source}.0.0", f"{target}/spatial"),
    **layers.batch_norm(state, f"{source}.0.1", f"{target}/spatial_norm"),
    **_temporal(state, f"{source}.0.3", f"{target}/temporal"),
    **layers.batch_norm(state, f"{source}.1", f"{target}/temporal_norm"),
  }


def _spatial(state: State, source: str, target: str) -> State:
  return {f"{target}/conv/kernel": state.pop(f"{source}.weight")[:, :, 0].transpose(2, 3, 1, 0)}


def _temporal(state: State, source: str, target: str) -> State:
  return {f"{target}/kernel": state.pop(f"{source}.weight")[..., 0, 0].transpose(2, 1, 0)}
