"""Which class and which config each component of a weights folder has."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig
from condfoley_jax.models.istft_vocoder import IstftVocoder, IstftVocoderConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig
from condfoley_jax.models.melgan import MelGAN, MelGANConfig, MelGANDiscriminator, MelGANDiscriminatorConfig
from condfoley_jax.models.onset_net import OnsetNet, OnsetNetConfig
from condfoley_jax.models.sequence import TransformerConfig
from condfoley_jax.models.sync import SparseSync, SparseSyncConfig
from condfoley_jax.models.sync_net import SyncNet, SyncNetConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import EventHead, EventHeadConfig, VideoEncoder, VideoEncoderConfig
from condfoley_jax.models.vqgan import VQGAN, VQGANConfig

CLASSES = {
  "vqgan": (VQGAN, VQGANConfig),
  "istft_vocoder": (IstftVocoder, IstftVocoderConfig),
  "melgan": (MelGAN, MelGANConfig),
  "video_encoder": (VideoEncoder, VideoEncoderConfig),
  "event_head": (EventHead, EventHeadConfig),
  "transformer": (Transformer, TransformerConfig),
  "vggishish": (VGGishish, VGGishishConfig),
  "lpaps": (LPAPS, LPAPSConfig),
  "onset_net": (OnsetNet, OnsetNetConfig),
  "sync_net": (SyncNet, SyncNetConfig),
  "sparsesync": (SparseSync, SparseSyncConfig),
  "discriminator": (Discriminator, DiscriminatorConfig),
  "melgan_discriminator": (MelGANDiscriminator, MelGANDiscriminatorConfig),
}


def build(kind: str, config: Mapping[str, Any], *, dtype=jnp.float32, rngs: Keys) -> nnx.Module:
  """A freshly initialised component.

  Raises:
    ValueError: unknown kind, or a config that its class does not take.
  """
  if kind not in CLASSES:
    raise ValueError(f"no component `{kind}`; there are {', '.join(CLASSES)}")
  module, config_class = CLASSES[kind]
  sizes = config_tree.from_dict(config_class, config)
  _refuse_impossible(sizes)
  return module(sizes, dtype=dtype, rngs=rngs)


def _refuse_impossible(config: Any) -> None:
  """Refuses sizes below 1: heads and strides leave no trace in the weights, which would then fit."""
  for name, value in config_tree.to_dict(config).items():
    # Levels are counted from 0.
    if name != "attention_levels" and any(type(n) is int and n < 1 for n in jax.tree.leaves(value)):
      raise ValueError(f"{type(config).__name__}.{name} is {value}, and sizes are 1 or more")


def kind_of(module: nnx.Module) -> str:
  """The kind under which a component is stored."""
  return next(kind for kind, (cls, _) in CLASSES.items() if type(module) is cls)
