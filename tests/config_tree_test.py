"""Configs survive JSON and ConfigDict, and a wrong one is refused by name."""

import dataclasses
import json

import pytest
from ml_collections import ConfigDict

from condfoley_jax import config_tree
from condfoley_jax.clip import MINI, PAPER, ClipSpec
from condfoley_jax.models.quantizer import QuantizerConfig
from condfoley_jax.models.vqgan import VQGANConfig

CONFIG = VQGANConfig(
  patch=(5, 2),
  widths=(4, 8),
  strides=((2, 3),),
  encoder_blocks=1,
  decoder_blocks=1,
  attention_levels=(),
  mid_attention=False,
  norm="channel",
  z_channels=3,
  quantizer=QuantizerConfig(vocab=5, width=4, loss="published"),
)


@pytest.mark.parametrize("through", [lambda x: x, lambda x: json.loads(json.dumps(x)), ConfigDict])
@pytest.mark.parametrize("config", [CONFIG, MINI, PAPER])
def test_a_config_comes_back_as_it_was(config, through):
  back = config_tree.from_dict(type(config), through(config_tree.to_dict(config)))
  assert back == config
  assert hash(back) == hash(config), "lists inside would make it unfit as a static argument"


def test_settings_with_a_default_may_be_left_out():
  assert config_tree.from_dict(QuantizerConfig, {"vocab": 5, "width": 4}) == QuantizerConfig(vocab=5, width=4)


@pytest.mark.parametrize("nested", [False, True])
def test_unknown_and_missing_settings_are_named(nested):
  values = config_tree.to_dict(CONFIG)
  part, name = (values["quantizer"], "QuantizerConfig") if nested else (values, "VQGANConfig")
  part |= {"gain": 1, "bata": 2}
  with pytest.raises(ValueError, match=f"{name} has no bata, gain"):
    config_tree.from_dict(VQGANConfig, values)
  del part["gain"], part["bata"]
  removed = "vocab" if nested else "widths"
  del part[removed]
  with pytest.raises(ValueError, match=f"{name} needs {removed}"):
    config_tree.from_dict(VQGANConfig, values)


def test_what_the_class_itself_refuses_is_refused():
  with pytest.raises(ValueError, match="17 fps"):
    config_tree.from_dict(ClipSpec, dataclasses.asdict(MINI) | {"fps": 17})


@pytest.mark.parametrize(("field", "value"), [("fps", "15"), ("fps", 15.0), ("fps", True), ("mel_crop", "all")])
def test_a_value_of_another_type_is_named(field, value):
  with pytest.raises(ValueError, match=rf"ClipSpec\.{field} is {value!r}, not of type"):
    config_tree.from_dict(ClipSpec, dataclasses.asdict(MINI) | {field: value})


@pytest.mark.parametrize(
  ("field", "value"),
  [("patch", 5), ("patch", [5]), ("patch", [5, 2, 1]), ("patch", [5, "2"]), ("widths", 4), ("strides", [[2, 3], 2])],
)
def test_a_tuple_of_another_length_or_type_is_named(field, value):
  with pytest.raises(ValueError, match=rf"VQGANConfig\.{field} is .*, not of type"):
    config_tree.from_dict(VQGANConfig, config_tree.to_dict(CONFIG) | {field: value})
