"""Our synchronisation network: how much later the sound is than the picture, in steps well below a video frame.

One embedding per step from the picture, one from the sound; the score of an offset is how well they agree when the
sound is moved back by it. Nothing in it knows where in the clip it is, so that a clip of any length can be scored.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.clip import ClipSpec
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import VideoEncoder, VideoEncoderConfig
from condfoley_jax.shapes import Mel_BxFxM


@dataclasses.dataclass(frozen=True)
class SyncNetConfig:
  """Sizes of the network.

  Attributes:
    encoder: of the frames.
    n_mels: mel bins heard.
    steps_per_frame: steps that a video frame is divided into.
    mel_per_step: mel frames of a step.
    furthest: largest offset that is told, steps.
    audio_width, audio_layers: of the convolutions over the sound's steps.
    width: of the embeddings that are compared.
    mismatch: whether it also tells that the sound is not the picture's at all.
  """

  encoder: VideoEncoderConfig
  n_mels: int
  steps_per_frame: int = 2
  mel_per_step: int = 3
  furthest: int = 16
  audio_width: int = 96
  audio_layers: int = 2
  width: int = 48
  mismatch: bool = False

  @property
  def classes(self) -> int:
    """Offsets told apart."""
    return 2 * self.furthest + 1

  def offsets_s(self, fps: int) -> np.ndarray:
    """Offset that each class stands for, float32 [classes], s: positive where the sound comes too late."""
    return np.arange(-self.furthest, self.furthest + 1, dtype=np.float32) / (fps * self.steps_per_frame)

  def grid(self, clip: ClipSpec) -> ClipSpec:
    """The mel that the network hears of such clips: a whole number of frames in a step.

    Raises:
      ValueError: the clip's samples per video frame cannot be divided so.
    """
    hop, rest = divmod(clip.samples_per_frame, self.steps_per_frame * self.mel_per_step)
    if rest:
      raise ValueError(f"{clip.samples_per_frame} samples per frame are no whole number of mel frames for the sync net")
    change = {"n_mels": self.n_mels, "hop": hop, "mel_padding": "same", "mel_crop": None}
    return dataclasses.replace(clip, **change, mel_per_row=self.n_mels, mel_per_column=self.mel_per_step)


class SyncNet(nnx.Module):
  """Logits of the offset between picture and sound."""

  def __init__(self, config: SyncNetConfig, *, dtype=jnp.float32, rngs: Keys):
    self.config = config
    self.encoder = VideoEncoder(config.encoder, dtype=dtype, rngs=rngs)
    self.seen = nnx.Conv(
      config.encoder.feature_width, config.steps_per_frame * config.width, (3,), dtype=dtype, rngs=rngs
    )
    self.patches = nnx.Linear(config.n_mels * config.mel_per_step, config.audio_width, dtype=dtype, rngs=rngs)
    self.convs = nnx.List(
      nnx.Conv(config.audio_width, config.audio_width, (5,), dtype=dtype, rngs=rngs) for _ in range(config.audio_layers)
    )
    self.heard = nnx.Linear(config.audio_width, config.width, dtype=dtype, rngs=rngs)
    self.log_scale = nnx.Param(jnp.zeros(1))
    if config.mismatch:
      self.mismatch_log_scale, self.mismatch_bias = nnx.Param(jnp.zeros(1)), nnx.Param(jnp.zeros(1))

  def __call__(self, frames: jax.Array, mel: Mel_BxFxM, *, use_running_average: bool) -> jax.Array:
    """Logits float32 [B, classes] of the offsets `config.offsets_s`, and after them that of `mismatch`, if it is told.

    Args:
      frames: float [B, T, H, W, 3] from `prepare_frames`; or [1, ...], one video for all sounds.
      mel: float32 [B, F, M] on `config.grid`, as long as the frames.
      use_running_average: as for `VideoEncoder`.
    """
    embedded = self.see(frames, use_running_average=use_running_average), self.hear(mel)
    return jnp.concatenate([self.compare(*embedded), self.mismatch(*embedded)], -1)

  def see(self, frames: jax.Array, *, use_running_average: bool) -> jax.Array:
    """Embeddings float32 [B, S, width] of frames: what is costly, and the same for all takes of one query."""
    x = self.seen(self.encoder(frames, use_running_average=use_running_average))
    return _centred(x.reshape(len(x), -1, self.config.width))

  def hear(self, mel: Mel_BxFxM) -> jax.Array:
    """Embeddings float32 [B, S, width] of a mel."""
    steps = mel.shape[2] // self.config.mel_per_step
    x = mel.swapaxes(1, 2).reshape(len(mel), steps, -1)
    x = nnx.relu(self.patches(x))
    for conv in self.convs:
      x = x + nnx.relu(conv(x))
    return _centred(self.heard(x))

  def compare(self, seen: jax.Array, heard: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of embeddings [B, S, width] each; `seen` may be [1, S, width], for all sounds.

    Raises:
      ValueError: picture and sound are of different lengths, or no longer than the largest offset.
    """
    steps, furthest = heard.shape[1], self.config.furthest
    if seen.shape[1] != steps or steps <= furthest:
      raise ValueError(
        f"{seen.shape[1]} and {steps} steps of picture and sound; equal ones above {furthest} are needed"
      )
    room = jnp.pad(heard, ((0, 0), (furthest, furthest), (0, 0)))
    # Shifted copies and products: the diagonals of the matrix of all pairs would cost a gather.
    sums = [jnp.sum(seen * room[:, i : i + steps], (1, 2)) for i in range(self.config.classes)]
    overlap = steps - np.abs(np.arange(-furthest, furthest + 1))
    # The mean over what overlaps, times the length: a longer clip knows more.
    return jnp.exp(self.log_scale[...]) * jnp.stack(sums, 1) * (steps / overlap)

  def mismatch(self, seen: jax.Array, heard: jax.Array) -> jax.Array:
    """Logit float32 [B, 1] of the sound not being the picture's, [B, 0] where that is not told; as for `compare`.

    What `compare` sums, doubled and subtracted from their squares, is the squared distance of embeddings. So an offset
    is likelier than this where the distance is small, and not wherever there is much to be seen and heard.
    """
    if not self.config.mismatch:
      return jnp.zeros((len(heard), 0))
    squares = jnp.sum(seen**2, (1, 2)) + jnp.sum(heard**2, (1, 2))
    scale = jnp.exp(self.log_scale[...] + self.mismatch_log_scale[...])
    return (scale * squares / 2 + self.mismatch_bias[...])[:, None]


def _centred(x_BxSxE: jax.Array) -> jax.Array:
  """What does not change over time agrees at every offset alike, and says nothing."""
  x = x_BxSxE.astype(jnp.float32)
  return (x - x.mean(1, keepdims=True)) * x.shape[-1] ** -0.5
