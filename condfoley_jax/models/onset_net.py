"""Where a silent video should sound: a video encoder and a perceptron per frame (paper supp., onset transfer)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import VideoEncoder, VideoEncoderConfig


@dataclasses.dataclass(frozen=True)
class OnsetNetConfig:
  """encoder: of the frames; hidden: width of the perceptron's hidden layer (the published one is 128)."""

  encoder: VideoEncoderConfig
  hidden: int = 128


class OnsetNet(nnx.Module):
  """Frames -> one logit per frame, that of an onset in it."""

  def __init__(self, config: OnsetNetConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.encoder = VideoEncoder(config.encoder, dtype=dtype, rngs=rngs)
    self.hidden = nnx.Linear(config.encoder.feature_width, config.hidden, dtype=dtype, rngs=rngs)
    self.out = nnx.Linear(config.hidden, 1, dtype=dtype, rngs=rngs)

  def __call__(self, frames: jax.Array, *, use_running_average: bool) -> jax.Array:
    """Logits float32 [B, T] of frames [B, T, H, W, 3] from `prepare_frames`; else as `VideoEncoder`."""
    features = self.encoder(frames, use_running_average=use_running_average)
    return self.out(nnx.relu(self.hidden(features)))[..., 0].astype(jnp.float32)
