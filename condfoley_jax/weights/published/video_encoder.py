"""Published video encoder weights (R(2+1)D-18 without temporal stride, keys relative to it) in our names and shapes."""

from condfoley_jax.models.video_encoder import VideoEncoder, VideoEncoderConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State, Tensors

# The stem's spatial stride, which no tensor tells.
_STEM_STRIDE = 2
_LAYERS = ("layer1", "layer2", "layer3", "layer4")


def config_from_torch(state: State) -> VideoEncoderConfig:
  """Sizes that the tensors tell.

  Raises:
    ValueError: a tensor that tells one, or one of the four layers, is missing.
  """
  blocks = tuple(layers.stack(state, name) for name in _LAYERS)
  stem_mid, *_, stem_kernel = layers.shape(state, "stem.0.weight", 5)
  return VideoEncoderConfig(
    stem_kernel=stem_kernel,
    stem_stride=_STEM_STRIDE,
    stem_mid=stem_mid,
    widths=tuple(layers.shape(state, f"{name}.0.conv1.0.3.weight", 5)[0] for name in _LAYERS),
    blocks=blocks,
  )


def params_from_torch(state: State, config: VideoEncoderConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and batch statistics.

  Args:
    state: tensors by name; batch counters are dropped.
    config: gives the number of blocks.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  with layers.taking(state, layers.shapes_of(VideoEncoder, config)) as state:
    params = {
      **layers.spatial_conv(state, "stem.0", "stem/spatial/conv"),
      **layers.batch_norm(state, "stem.1", "stem/spatial_norm"),
      **layers.temporal_conv(state, "stem.3", "stem/temporal"),
      **layers.batch_norm(state, "stem.4", "stem/temporal_norm"),
    }
    blocks = [f"layer{layer}.{block}" for layer, count in enumerate(config.blocks, 1) for block in range(count)]
    for index, source in enumerate(blocks):
      params |= _block(state, source, f"blocks/{index}")
  return params


def _block(state: Tensors, source: str, target: str) -> State:
  params = _conv(state, f"{source}.conv1", f"{target}/conv1") | _conv(state, f"{source}.conv2", f"{target}/conv2")
  if f"{target}/shortcut/conv/kernel" in state.shapes:
    params |= layers.spatial_conv(state, f"{source}.downsample.0", f"{target}/shortcut/conv")
    params |= layers.batch_norm(state, f"{source}.downsample.1", f"{target}/shortcut_norm")
  return params


def _conv(state: Tensors, source: str, target: str) -> State:
  return {
    **layers.spatial_conv(state, f"{source}.0.0", f"{target}/spatial/conv"),
    **layers.batch_norm(state, f"{source}.0.1", f"{target}/spatial_norm"),
    **layers.temporal_conv(state, f"{source}.0.3", f"{target}/temporal"),
    **layers.batch_norm(state, f"{source}.1", f"{target}/temporal_norm"),
  }
