"""Sizes and names of the published SparseSync's tensors."""

import dataclasses

import numpy as np
import pytest

from condfoley_jax.models.sync import SparseSyncConfig
from condfoley_jax.weights.published.sparsesync import config_from_torch, params_from_torch
from tests import golden

pytestmark = pytest.mark.golden
PUBLISHED = SparseSyncConfig()


def tensors(changed=()):
  """Zeros of the published shapes, but for those changed (None: no such tensor), that take no memory."""
  shapes = golden.load("keys_sparsesync.json") | dict(changed)
  return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items() if shape is not None}


def test_sizes_come_from_the_published_tensors():
  assert config_from_torch(tensors()) == PUBLISHED


def test_other_sizes_come_from_other_tensors():
  fewer = {name: None for name in tensors() if ".blocks.2." in name or ".base.15." in name or ".layer1.1." in name}
  changed = {
    "transformer.v_selector.selectors": (4, 512),
    "transformer.vis_pos_emb.time_embed.weight": (8, 172),
    "transformer.vis_pos_emb.width_embed.weight": (5, 170),
    "transformer.aud_pos_emb.time_embed.weight": (30, 256),
    "transformer.off_head.weight": (41, 512),
  }
  video = dataclasses.replace(PUBLISHED.video, stages=(*PUBLISHED.video.stages[:2], PUBLISHED.video.stages[2][:1]))
  assert config_from_torch(tensors(fewer | changed)) == SparseSyncConfig(
    video=video,
    audio=dataclasses.replace(PUBLISHED.audio, blocks=(1, 2, 2, 2)),
    layers=2,
    selectors=4,
    video_grid=(8, 7, 5),
    audio_grid=(9, 30),
    classes=41,
  )


@pytest.mark.parametrize(
  "name",
  [
    "vfeat_extractor.base.9.branch1.1.conv_t.weight",
    "afeat_extractor.layer2.0.downsample.1.running_var",
    "v_bridge.bridge.0.bias",
    "transformer.a_selector.blocks.2.xattn.key.bias",
    "transformer.off_head.weight",
  ],
)
def test_a_missing_tensor_is_named(name):
  with pytest.raises(ValueError, match=rf"missing .*: {name}"):
    params_from_torch(tensors({name: None}), PUBLISHED)


def test_a_size_cannot_be_told_without_its_tensor():
  name = "transformer.v_selector.selectors"
  with pytest.raises(ValueError, match=rf"missing \(1\): {name}$"):
    config_from_torch(tensors({name: None}))


@pytest.mark.parametrize(
  ("part", "message"),
  [
    ("transformer.v_selector.selectors", r"missing \(1\): transformer\.v_selector\.selectors$"),
    (".blocks.", r"missing \(3\): transformer\.a_selector\.blocks\.\*, transformer\.global_transformer\.blocks"),
    ("afeat_extractor.layer", r"missing \(1\): afeat_extractor\.layer1\."),
    (".branch", r"missing \(1\): vfeat_extractor\.base\."),
  ],
)
def test_layers_of_which_there_are_none_are_named(part, message):
  with pytest.raises(ValueError, match=message):
    config_from_torch(tensors({name: None for name in tensors() if part in name}))


def test_joint_blocks_that_are_missing_are_named():
  state = tensors({name: None for name in tensors() if "global_transformer.blocks" in name})
  with pytest.raises(ValueError, match=r"missing .*transformer\.global_transformer\.blocks\.0\.\* \(12\)"):
    params_from_torch(state, config_from_torch(state))


def test_tensors_left_over_are_named():
  with pytest.raises(ValueError, match=r"left over .*: a_bridge\.weight"):
    params_from_torch(tensors({"a_bridge.weight": (1,)}), PUBLISHED)


def test_selectors_hold_their_positions_too():
  state = tensors()
  source = "transformer.v_selector.selectors"
  state[source], state[f"{source}_pos_emb.time_embed.weight"] = np.full((16, 512), 2), np.full((16, 512), 3)
  np.testing.assert_array_equal(params_from_torch(state, PUBLISHED)["video_selector/selectors"], np.full((16, 512), 5))
