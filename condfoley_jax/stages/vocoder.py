"""Stage `vocoder`: mel to waveform, by spectral distances and by discriminators at several rates (MelGAN's)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.spectral_loss import spectral_loss
from condfoley_jax.augmentation.sound import random_gain
from condfoley_jax.figures import spectrogram_grid
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.melgan import (
  discriminator_loss,
  feature_distance,
  fooling_loss,
)
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM
from condfoley_jax.stages.stage import Batch, Metrics, Stage, Trained

# Of the features' distance beside the scores, as published.
_FEATURE_WEIGHT = 10.0


class VocoderStage(Stage):
  """Players: from step `discriminator_start` on the discriminators, which are updated first, and the vocoder.

  Each step sees `crop_frames` mel frames from somewhere in each clip, the mel being that of the whole.
  """

  batches = "clips"
  phases = ("alone", "adversarial")
  shown = 4

  def __init__(self, config, *, read: bool = True):
    super().__init__(config, read=read)
    frames, peaks, longest = config["crop_frames"], config["peaks"], self.clip.samples // self.clip.hop
    if not 1 <= frames <= longest:
      raise ValueError(f"crop_frames is {frames}; give one of 1..{longest}, the clip's frames")
    if peaks is not None and (len(peaks) != 2 or not 0 <= peaks[0] <= peaks[1]):
      raise ValueError(f"peaks is {peaks}; give the lowest and the highest, 0 or more")

  def create(self, rngs: Keys) -> nnx.Module:
    vocoder = self.build(self.config["vocoder"], rngs)
    mel = jax.ShapeDtypeStruct((1, self.clip.n_mels, self.config["crop_frames"]), jnp.float32)
    samples = jax.eval_shape(vocoder, mel).shape[1] // self.config["crop_frames"]
    if samples != self.clip.hop:
      raise ValueError(
        f"model.{self.config['vocoder']} makes {samples} samples of a mel frame; clip.hop is {self.clip.hop}"
      )
    return Trained(vocoder=vocoder, discriminator=self.build("melgan_discriminator", rngs))

  def phase(self, step: int) -> str:
    return "adversarial" if step >= self.config["discriminator_start"] else "alone"

  def steps_of(self, player: str) -> int:
    without = self.config["discriminator_start"] if player == "discriminator" else 0
    return max(self.config["steps"] - without, 0)

  def losses(self, phase: str):
    vocoder = {"vocoder": functools.partial(self._vocoder_loss, phase)}
    return vocoder if phase == "alone" else {"discriminator": self._discriminator_loss, **vocoder}

  def _vocoder_loss(self, phase: str, model, batch: Batch, key: jax.Array):
    mel, audio = self.crops(batch["audio"], key)
    return self.objective(phase, model, mel, audio)

  def objective(self, phase: str, model: Trained, mel: Mel_BxFxM, audio: Audio_BxN) -> tuple[jax.Array, Metrics]:
    """The vocoder's loss on mels and the audio [B, M * hop] that they are of in that phase, and its terms; pure."""
    made = model.vocoder(mel)
    metrics, loss = {}, jnp.zeros(())
    if self.config["spectral_weight"]:
      metrics = spectral_loss(made, audio, self.clip)
      loss += self.config["spectral_weight"] * metrics.pop("total")
    if phase == "adversarial":
      real, fake = model.discriminator(audio), model.discriminator(made)
      metrics |= {"fool": fooling_loss(fake), "features": feature_distance(real, fake)}
      loss += self.config["adversarial_weight"] * (metrics["fool"] + _FEATURE_WEIGHT * metrics["features"])
    return loss, {"loss": loss, **metrics}

  def _discriminator_loss(self, model, batch: Batch, key: jax.Array):
    mel, audio = self.crops(batch["audio"], key)
    made = jax.lax.stop_gradient(model.vocoder(mel))
    loss = discriminator_loss(model.discriminator(audio), model.discriminator(made))
    return loss, {"discriminator_loss": loss}

  def crops(self, audio: Audio_BxN, key: jax.Array) -> tuple[Mel_BxFxM, Audio_BxN]:
    """A mel [B, F, crop_frames] from each clip at a random level, and its audio [B, crop_frames * hop]."""
    level_key, crop_key = jax.random.split(key)
    audio = self._leveled(audio, level_key)
    mel, frames, hop = log_mel(audio, self.clip), self.config["crop_frames"], self.clip.hop
    last = min(mel.shape[2], audio.shape[1] // hop) - frames
    starts = jax.random.randint(crop_key, (len(audio),), 0, last + 1)
    cut = lambda x, start, size: jax.lax.dynamic_slice_in_dim(x, start, size, axis=-1)
    return (
      jax.vmap(lambda x, start: cut(x, start, frames))(mel, starts),
      jax.vmap(lambda x, start: cut(x, start * hop, frames * hop))(audio, starts),
    )

  def _leveled(self, audio: Audio_BxN, key: jax.Array) -> Audio_BxN:
    if self.config["peaks"] is None:
      return random_gain(audio, key, self.sound.gain_db)
    low, high = self.config["peaks"]
    loudest = jnp.max(jnp.abs(audio), axis=1, keepdims=True)
    return audio * jax.random.uniform(key, loudest.shape, minval=low, maxval=high) / jnp.maximum(loudest, 1e-4)

  def evaluate(self, model, batch, key):
    metrics = spectral_loss(self._made(model, batch["audio"]), batch["audio"], self.clip)
    return {"loss": metrics.pop("total"), **metrics}

  def _made(self, model: Trained, audio: Audio_BxN) -> Audio_BxN:
    # Where frames are centred on samples, those of a clip make a little more than the clip.
    return model.vocoder(log_mel(audio, self.clip))[:, : audio.shape[1]]

  def pictures(self, model, batch, key):
    audio = batch["audio"]
    made = self._made(model, audio)
    mels = jnp.stack([log_mel(audio, self.clip), log_mel(made, self.clip)], 1)
    rows = np.asarray(mels.reshape(-1, *mels.shape[2:]))
    titles = [t for i in range(len(mels)) for t in (f"{i} true", f"{i} vocoded")]
    sounds = {f"{i}_{n}": np.asarray(x[i]) for i in range(2) for n, x in (("true", audio), ("vocoded", made))}
    return {"vocoder": spectrogram_grid(list(rows), titles)}, sounds

  def components(self, model):
    return {"vocoder": model.vocoder}
