"""Stage `vocoder`: mel to waveform, trained by spectral distances at several resolutions."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.audio.spectral_loss import spectral_loss
from condfoley_jax.augmentation.sound import random_gain
from condfoley_jax.figures import spectrogram_grid
from condfoley_jax.stages.stage import Batch, Stage, Trained


class VocoderStage(Stage):
  """One player. Each step sees `crop_frames` mel frames from the middle of a clip, the mel being that of the whole."""

  batches = "clips"

  def create(self, rngs: nnx.Rngs) -> nnx.Module:
    return Trained(vocoder=self.build(self.config["vocoder"], rngs))

  def losses(self, phase: str):
    return {"vocoder": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    gain_key, crop_key = jax.random.split(key)
    audio = random_gain(batch["audio"], gain_key, self.sound.gain_db)
    mel, audio = self._crop(log_mel(audio, self.clip), audio, crop_key)
    metrics = spectral_loss(model.vocoder(mel), audio, self.clip)
    return metrics["total"], {"loss": metrics.pop("total"), **metrics}

  def _crop(self, mel: jax.Array, audio: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    frames = self.config["crop_frames"]
    start = jax.random.randint(key, (), 0, mel.shape[2] - frames + 1)
    mel = jax.lax.dynamic_slice_in_dim(mel, start, frames, 2)
    return mel, jax.lax.dynamic_slice_in_dim(audio, start * self.clip.hop, frames * self.clip.hop, 1)

  def evaluate(self, model, batch, key):
    metrics = spectral_loss(model.vocoder(log_mel(batch["audio"], self.clip)), batch["audio"], self.clip)
    return {"loss": metrics.pop("total"), **metrics}

  def pictures(self, model, batch, key):
    audio = batch["audio"][:4]
    mel = log_mel(audio, self.clip)
    made = model.vocoder(mel)
    rows = np.asarray(jnp.stack([mel, log_mel(made, self.clip)], 1).reshape(-1, *mel.shape[1:]))
    titles = [t for i in range(len(mel)) for t in (f"{i} true", f"{i} vocoded")]
    sounds = {f"{i}_{n}": np.asarray(x[i]) for i in range(2) for n, x in (("true", audio), ("vocoded", made))}
    return {"vocoder": spectrogram_grid(list(rows), titles)}, sounds

  def components(self, model):
    return {"vocoder": model.vocoder}
