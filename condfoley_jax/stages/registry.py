"""Stages by name."""

from collections.abc import Mapping
from typing import Any

from condfoley_jax.stages.classifier import ClassifierStage
from condfoley_jax.stages.onset import OnsetStage
from condfoley_jax.stages.stage import Stage
from condfoley_jax.stages.sync import SyncStage
from condfoley_jax.stages.transformer import TransformerStage
from condfoley_jax.stages.video_encoder import VideoEncoderStage
from condfoley_jax.stages.vocoder import VocoderStage
from condfoley_jax.stages.vqgan import VQGANStage

STAGES = {
  "vqgan": VQGANStage,
  "vocoder": VocoderStage,
  "video_encoder": VideoEncoderStage,
  "transformer": TransformerStage,
  "classifier": ClassifierStage,
  "onset": OnsetStage,
  "sync": SyncStage,
}


def create(config: Mapping[str, Any], *, read: bool = True) -> Stage:
  """The stage that `config.stage` names; `read` as for Stage.

  Raises:
    ValueError: there is no such stage.
  """
  if config["stage"] not in STAGES:
    raise ValueError(f"no stage `{config['stage']}`; there are {', '.join(STAGES)}")
  return STAGES[config["stage"]](config, read=read)
