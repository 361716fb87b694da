"""Published SparseSync weights (keys relative to its AVSyncModel) in our names and shapes."""

import re

import numpy as np

from condfoley_jax.models.resnet import ResNetConfig
from condfoley_jax.models.s3d import S3DConfig
from condfoley_jax.models.sync import SparseSync, SparseSyncConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State, Tensors

_VIDEO = "vfeat_extractor.base"
_AUDIO = "afeat_extractor"
# Convolutions of a mixed block in the order of our config.
_BRANCHES = ("0.0.conv", "1.0.conv", "1.1.conv_t", "2.0.conv", "2.1.conv_t", "3.1.conv")
_BLOCKS = tuple(f"transformer.{part}.blocks" for part in ("v_selector", "a_selector", "global_transformer"))
# Our tables of positions in their order, which is that of the published concatenation.
_VIDEO_TABLES = ("time", "width", "height")
_AUDIO_TABLES = ("freq", "time")


def config_from_torch(state: State) -> SparseSyncConfig:
  """Sizes that the tensors tell; the number of attention heads and the poolings of S3D are the published ones.

  Raises:
    ValueError: a tensor that tells one is missing or has another number of axes, or S3D another number of stages.
  """
  selectors, width = layers.shape(state, "transformer.v_selector.selectors", 2)
  return SparseSyncConfig(
    video=_video_config(state),
    audio=_audio_config(state),
    width=width,
    layers=layers.stack(state, *_BLOCKS),
    selectors=selectors,
    video_grid=_grid(state, "vis", ("time", "height", "width")),
    audio_grid=_grid(state, "aud", ("freq", "time")),
    classes=layers.shape(state, "transformer.off_head.weight", 2)[0],
  )


def params_from_torch(state: State, config: SparseSyncConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and batch statistics.

  Args:
    state: tensors by name; batch counters are dropped.
    config: gives the numbers of blocks and layers.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  with layers.taking(state, layers.shapes_of(SparseSync, config)) as state:
    joint = "transformer.global_transformer"
    params = {
      **_video(state, config.video),
      **layers.linear(state, "v_bridge.bridge.0", "bridge"),
      **_audio(state, config.audio),
      **_selector(state, "vis", "video_selector", _VIDEO_TABLES, config.layers),
      **_selector(state, "aud", "audio_selector", _AUDIO_TABLES, config.layers),
      "tokens": np.concatenate([state.pop(f"{joint}.{name}_tok", (1, 1, config.width))[0] for name in ("OFF", "MOD")]),
      **layers.norm(state, f"{joint}.ln_f", "norm"),
      **layers.linear(state, "transformer.off_head", "head"),
    }
    for i in range(config.layers):
      params |= _block(state, f"{joint}.blocks.{i}", f"blocks/{i}", crossed=False)
  return params


def _video_config(state: State) -> S3DConfig:
  pattern = rf"{_VIDEO}\.([0-9]+)\.branch[0-9]\..+"
  if not (indices := sorted({int(m[1]) for name in state if (m := re.fullmatch(pattern, name))})):
    raise layers.Misfit({"missing": [f"{_VIDEO}.*.branch*"]})
  stages: list[list[tuple[int, ...]]] = []
  for index in indices:
    # A pooling lies between the blocks of one stage and the next.
    if index - 1 not in indices:
      stages.append([])
    stages[-1].append(
      tuple(layers.shape(state, f"{_VIDEO}.{index}.branch{branch}.weight", 5)[0] for branch in _BRANCHES)
    )
  stem, *_, stem_kernel = layers.shape(state, f"{_VIDEO}.0.conv_s.weight", 5)
  return S3DConfig(
    stem_kernel=stem_kernel,
    stem=stem,
    second=layers.shape(state, f"{_VIDEO}.3.conv_s.weight", 5)[0],
    stages=tuple(map(tuple, stages)),
  )


def _audio_config(state: State) -> ResNetConfig:
  names = [f"{_AUDIO}.layer{i}" for i in range(1, 5)]
  return ResNetConfig(
    stem_kernel=layers.shape(state, f"{_AUDIO}.conv1.weight", 4)[-1],
    widths=tuple(layers.shape(state, f"{name}.0.conv1.weight", 4)[0] for name in names),
    blocks=tuple(layers.stack(state, name) for name in names),
  )


def _grid(state: State, side: str, axes: tuple[str, ...]) -> tuple[int, ...]:
  return tuple(layers.shape(state, f"transformer.{side}_pos_emb.{axis}_embed.weight", 2)[0] for axis in axes)


def _video(state: Tensors, config: S3DConfig) -> State:
  params = {
    **_separable(state, f"{_VIDEO}.0", "video_features/stem"),
    **_pointwise(state, {f"{_VIDEO}.2": config.stem}, "video_features/first"),
    **_separable(state, f"{_VIDEO}.3", "video_features/second"),
  }
  # Layers 1 and 4 are poolings, and so is one after each stage but the last.
  index = 5
  for stage, blocks in enumerate(config.stages):
    for block, widths in enumerate(blocks):
      params |= _mixed(state, f"{_VIDEO}.{index + block}", f"video_features/stages/{stage}/{block}", widths)
    index += len(blocks) + 1
  return params


def _mixed(state: Tensors, source: str, target: str, widths: tuple[int, ...]) -> State:
  width = dict(zip(_BRANCHES, widths, strict=True))
  entry = {f"{source}.branch{i}.0": width[f"{i}.0.conv"] for i in range(3)}
  return {
    **_pointwise(state, entry, f"{target}/entry"),
    **_separable(state, f"{source}.branch1.1", f"{target}/second"),
    **_separable(state, f"{source}.branch2.1", f"{target}/third"),
    **_pointwise(state, {f"{source}.branch3.1": width["3.1.conv"]}, f"{target}/pooled"),
  }


def _pointwise(state: Tensors, widths: dict[str, int], target: str) -> State:
  """Convolutions that read the same, of these widths, as one, with their batch norms."""
  parts = [
    layers.linear(state, f"{source}.conv", f"{target}/conv", width=width)
    | layers.batch_norm(state, f"{source}.bn", f"{target}/norm", width=width)
    for source, width in widths.items()
  ]
  return layers.side_by_side(parts)


def _separable(state: Tensors, source: str, target: str) -> State:
  return {
    **layers.spatial_conv(state, f"{source}.conv_s", f"{target}/spatial/conv"),
    **layers.batch_norm(state, f"{source}.bn_s", f"{target}/spatial_norm"),
    **layers.temporal_conv(state, f"{source}.conv_t", f"{target}/temporal"),
    **layers.batch_norm(state, f"{source}.bn_t", f"{target}/temporal_norm"),
  }


def _audio(state: Tensors, config: ResNetConfig) -> State:
  params = _conv_norm(state, f"{_AUDIO}.conv1", f"{_AUDIO}.bn1", "audio_features/stem")
  blocks = [f"{_AUDIO}.layer{layer}.{block}" for layer, n in enumerate(config.blocks, 1) for block in range(n)]
  for index, source in enumerate(blocks):
    target = f"audio_features/blocks/{index}"
    for i in (1, 2):
      params |= _conv_norm(state, f"{source}.conv{i}", f"{source}.bn{i}", f"{target}/conv{i}")
    if f"{target}/shortcut/conv/kernel" in state.shapes:
      params |= _conv_norm(state, f"{source}.downsample.0", f"{source}.downsample.1", f"{target}/shortcut")
  return params


def _conv_norm(state: Tensors, conv: str, norm: str, target: str) -> State:
  return {
    **layers.conv2d(state, conv, f"{target}/conv"),
    **layers.batch_norm(state, norm, f"{target}/norm"),
  }


def _selector(state: Tensors, side: str, target: str, tables: tuple[str, ...], depth: int) -> State:
  source = f"transformer.{side[0]}_selector"
  params = {
    **layers.norm(state, f"transformer.pre_lnorm_{side}", f"{target}/norm_in"),
    **layers.norm(state, f"transformer.global_transformer.{side}_in_lnorm", f"{target}/norm_out"),
    # Selectors have positions too, but only the sum of both is ever read.
    f"{target}/selectors": sum(
      state.pop_same(f"{source}.{part}", f"{target}/selectors")
      for part in ("selectors", "selectors_pos_emb.time_embed.weight")
    ),
  }
  for i, axis in enumerate(tables):
    ours = f"{target}/positions/tables/{i}"
    params[ours] = state.pop_same(f"transformer.{side}_pos_emb.{axis}_embed.weight", ours)
  for i in range(depth):
    params |= _block(state, f"{source}.blocks.{i}", f"{target}/blocks/{i}", crossed=True)
  return params


def _block(state: Tensors, source: str, target: str, *, crossed: bool) -> State:
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


def _attention(state: Tensors, source: str, target: str) -> State:
  return {
    **layers.linear(state, f"{source}.query", f"{target}/query"),
    **layers.fused(state, [f"{source}.key", f"{source}.value"], f"{target}/key_value"),
    **layers.linear(state, f"{source}.proj", f"{target}/out"),
  }
