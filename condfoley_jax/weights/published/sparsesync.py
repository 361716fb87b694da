"""Published SparseSync weights (keys relative to its AVSyncModel) in our names and shapes."""

import re

import numpy as np

from condfoley_jax.models.resnet import ResNetConfig
from condfoley_jax.models.s3d import S3DConfig
from condfoley_jax.models.sync import SparseSyncConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State

_VIDEO = "vfeat_extractor.base"
_AUDIO = "afeat_extractor"
# Convolutions of a mixed block in the order of our config.
_BRANCHES = ("0.0.conv", "1.0.conv", "1.1.conv_t", "2.0.conv", "2.1.conv_t", "3.1.conv")
# Our tables of positions in their order, which is that of the published concatenation.
_VIDEO_TABLES = ("time", "width", "height")
_AUDIO_TABLES = ("freq", "time")


def config_from_torch(state: State) -> SparseSyncConfig:
  """Sizes that the tensors tell; the number of attention heads and the poolings of S3D are the published ones.

  Raises:
    KeyError: a tensor is missing.
    ValueError: S3D has another number of stages.
  """
  selectors, width = state["transformer.v_selector.selectors"].shape
  return SparseSyncConfig(
    video=_video_config(state),
    audio=_audio_config(state),
    width=width,
    layers=layers.count(state, "transformer.v_selector.blocks"),
    selectors=selectors,
    video_grid=_grid(state, "vis", ("time", "height", "width")),
    audio_grid=_grid(state, "aud", ("freq", "time")),
    classes=len(state["transformer.off_head.weight"]),
  )


def params_from_torch(state: State, config: SparseSyncConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and batch statistics.

  Args:
    state: tensors by name; batch counters are dropped.
    config: gives the numbers of blocks and layers.

  Raises:
    ValueError: lists the tensors that are missing or left over.
  """
  with layers.taking(state) as state:
    joint = "transformer.global_transformer"
    params = {
      **_video(state, config.video),
      **layers.linear(state, "v_bridge.bridge.0", "bridge"),
      **_audio(state, config.audio),
      **_selector(state, "vis", "video_selector", _VIDEO_TABLES, config.layers),
      **_selector(state, "aud", "audio_selector", _AUDIO_TABLES, config.layers),
      "tokens": np.concatenate([state.pop(f"{joint}.{name}_tok")[0] for name in ("OFF", "MOD")]),
      **layers.norm(state, f"{joint}.ln_f", "norm"),
      **layers.linear(state, "transformer.off_head", "head", bias=False),
    }
    for i in range(config.layers):
      params |= _block(state, f"{joint}.blocks.{i}", f"blocks/{i}", crossed=False)
  return params


def _video_config(state: State) -> S3DConfig:
  pattern = rf"{_VIDEO}\.(\d+)\.branch0\.0\.conv\.weight"
  indices = sorted(int(m[1]) for name in state if (m := re.fullmatch(pattern, name)))
  stages: list[list[tuple[int, ...]]] = []
  for index in indices:
    # A pooling lies between the blocks of one stage and the next.
    if index - 1 not in indices:
      stages.append([])
    stages[-1].append(tuple(len(state[f"{_VIDEO}.{index}.branch{branch}.weight"]) for branch in _BRANCHES))
  stem = state[f"{_VIDEO}.0.conv_s.weight"]
  return S3DConfig(
    stem_kernel=stem.shape[-1],
    stem=len(stem),
    second=len(state[f"{_VIDEO}.3.conv_s.weight"]),
    stages=tuple(map(tuple, stages)),
  )


def _audio_config(state: State) -> ResNetConfig:
  names = [f"{_AUDIO}.layer{i}" for i in range(1, 10) if f"{_AUDIO}.layer{i}.0.conv1.weight" in state]
  return ResNetConfig(
    stem_kernel=state[f"{_AUDIO}.conv1.weight"].shape[-1],
    widths=tuple(len(state[f"{name}.0.conv1.weight"]) for name in names),
    blocks=tuple(layers.count(state, name) for name in names),
  )


def _grid(state: State, side: str, axes: tuple[str, ...]) -> tuple[int, ...]:
  return tuple(len(state[f"transformer.{side}_pos_emb.{axis}_embed.weight"]) for axis in axes)


def _video(state: State, config: S3DConfig) -> State:
  params = {
    **_separable(state, f"{_VIDEO}.0", "video_features/stem"),
    **_pointwise(state, [f"{_VIDEO}.2"], "video_features/first"),
    **_separable(state, f"{_VIDEO}.3", "video_features/second"),
  }
  # Layers 1 and 4 are poolings, and so is one after each stage but the last.
  index = 5
  for stage, blocks in enumerate(config.stages):
    for block in range(len(blocks)):
      params |= _mixed(state, f"{_VIDEO}.{index + block}", f"video_features/stages/{stage}/{block}")
    index += len(blocks) + 1
  return params


def _mixed(state: State, source: str, target: str) -> State:
  return {
    **_pointwise(state, [f"{source}.branch{i}.0" for i in range(3)], f"{target}/entry"),
    **_separable(state, f"{source}.branch1.1", f"{target}/second"),
    **_separable(state, f"{source}.branch2.1", f"{target}/third"),
    **_pointwise(state, [f"{source}.branch3.1"], f"{target}/pooled"),
  }


def _pointwise(state: State, sources: list[str], target: str) -> State:
  """Convolutions that read the same, as one, with their batch norms."""
  parts = [
    layers.linear(state, f"{source}.conv", f"{target}/conv", bias=False)
    | layers.batch_norm(state, f"{source}.bn", f"{target}/norm")
    for source in sources
  ]
  return layers.side_by_side(parts)


def _separable(state: State, source: str, target: str) -> State:
  return {
    **layers.spatial_conv(state, f"{source}.conv_s", f"{target}/spatial/conv"),
    **layers.batch_norm(state, f"{source}.bn_s", f"{target}/spatial_norm"),
    **layers.temporal_conv(state, f"{source}.conv_t", f"{target}/temporal"),
    **layers.batch_norm(state, f"{source}.bn_t", f"{target}/temporal_norm"),
  }


def _audio(state: State, config: ResNetConfig) -> State:
  params = _conv_norm(state, f"{_AUDIO}.conv1", f"{_AUDIO}.bn1", "audio_features/stem")
  blocks = [f"{_AUDIO}.layer{layer}.{block}" for layer, n in enumerate(config.blocks, 1) for block in range(n)]
  for index, source in enumerate(blocks):
    target = f"audio_features/blocks/{index}"
    for i in (1, 2):
      params |= _conv_norm(state, f"{source}.conv{i}", f"{source}.bn{i}", f"{target}/conv{i}")
    if f"{source}.downsample.0.weight" in state:
      params |= _conv_norm(state, f"{source}.downsample.0", f"{source}.downsample.1", f"{target}/shortcut")
  return params


def _conv_norm(state: State, conv: str, norm: str, target: str) -> State:
  return {
    **layers.conv2d(state, conv, f"{target}/conv", bias=False),
    **layers.batch_norm(state, norm, f"{target}/norm"),
  }


def _selector(state: State, side: str, target: str, tables: tuple[str, ...], depth: int) -> State:
  source = f"transformer.{side[0]}_selector"
  params = {
    **layers.norm(state, f"transformer.pre_lnorm_{side}", f"{target}/norm_in"),
    **layers.norm(state, f"transformer.global_transformer.{side}_in_lnorm", f"{target}/norm_out"),
    # Selectors have positions too, but only the sum of both is ever read.
    f"{target}/selectors": state.pop(f"{source}.selectors")
    + state.pop(f"{source}.selectors_pos_emb.time_embed.weight"),
  }
  for i, axis in enumerate(tables):
    params[f"{target}/positions/tables/{i}"] = state.pop(f"transformer.{side}_pos_emb.{axis}_embed.weight")
  for i in range(depth):
    params |= _block(state, f"{source}.blocks.{i}", f"{target}/blocks/{i}", crossed=True)
  return params


def _block(state: State, source: str, target: str, *, crossed: bool) -> State:
  norms = ("attention_norm", "cross_norm", "mlp_norm") if crossed else ("attention_norm", "mlp_norm")
  params = {
    **_attention(state, f"{source}.attn", f"{target}/attention"),
    **(_attention(state, f"{source}.xattn", f"{target}/cross") if crossed else {}),
    **layers.linear(state, f"{source}.mlp.0", f"{target}/mlp_in"),
    **layers.linear(state, f"{source}.mlp.2", f"{target}/mlp_out"),
  }
  for i, name in enumerate(norms, 1):
    params |= layers.norm(state, f"{source}.ln{i}", f"{target}/{name}")
  return params


def _attention(state: State, source: str, target: str) -> State:
  return {
    **layers.linear(state, f"{source}.query", f"{target}/query"),
    **layers.fused(state, [f"{source}.key", f"{source}.value"], f"{target}/key_value"),
    **layers.linear(state, f"{source}.proj", f"{target}/out"),
  }
