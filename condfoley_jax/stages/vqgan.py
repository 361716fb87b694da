"""Stage `vqgan`: L1 + codebook + hinge PatchGAN on log-mel pictures (paper supp.)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.audio.mel import log_mel
from condfoley_jax.figures import spectrogram_grid
from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig, hinge_loss
from condfoley_jax.models.quantizer import CodeRestarts
from condfoley_jax.stages.stage import Batch, Stage, Trained, random_gain


class VQGANStage(Stage):
  """Players: the VQGAN and, from step `discriminator_start` on, the discriminator."""

  batches = "clips"

  def create(self, rngs: nnx.Rngs) -> nnx.Module:
    vqgan = self.build("vqgan", rngs)
    config = config_tree.from_dict(DiscriminatorConfig, self.config["model"]["discriminator"])
    return Trained(
      vqgan=vqgan,
      discriminator=Discriminator(config, dtype=self.dtype, rngs=rngs),
      restarts=CodeRestarts(vqgan.config.quantizer, self.config["restart_below"]),
    )

  def phase(self, step: int) -> str:
    return "adversarial" if step >= self.config["discriminator_start"] else "alone"

  def losses(self, phase: str):
    if phase == "alone":
      return {"vqgan": self._reconstruction_loss}
    return {"vqgan": self._adversarial_loss, "discriminator": self._discriminator_loss}

  def after_step(self, model):
    model.restarts.apply(model.vqgan.quantizer)

  def _mel(self, batch: Batch, key: jax.Array) -> jax.Array:
    return log_mel(random_gain(batch["audio"], key, self.config["gain_db"]), self.clip)

  def _reconstruct(self, model, batch: Batch, key: jax.Array):
    """Reconstruction [B, F, M], loss without a discriminator, metrics."""
    gain_key, restart_key = jax.random.split(key)
    mel = self._mel(batch, gain_key)
    latent = model.vqgan.latent(mel)
    quantized = model.vqgan.quantizer(latent)
    model.restarts.observe(latent, quantized.codes, restart_key)
    rec = model.vqgan.decode_latent(quantized.z)
    reconstruction = jnp.mean(jnp.abs(rec - mel))
    metrics = {"reconstruction": reconstruction, "codebook": quantized.loss, "perplexity": quantized.perplexity}
    return rec, reconstruction + quantized.loss, metrics

  def _reconstruction_loss(self, model, batch, key):
    _, loss, metrics = self._reconstruct(model, batch, key)
    return loss, metrics | {"loss": loss}

  def _adversarial_loss(self, model, batch, key):
    rec, loss, metrics = self._reconstruct(model, batch, key)
    fool = -jnp.mean(judge(model.discriminator, rec))
    loss += self.config["discriminator_weight"] * fool
    return loss, metrics | {"fool": fool, "loss": loss}

  def _discriminator_loss(self, model, batch, key):
    mel = self._mel(batch, key)
    rec = jax.lax.stop_gradient(model.vqgan(mel)[0])
    loss = hinge_loss(judge(model.discriminator, mel), judge(model.discriminator, rec))
    return loss, {"discriminator_loss": loss}

  def evaluate(self, model, batch, key):
    mel = log_mel(batch["audio"], self.clip)
    rec, quantized = model.vqgan(mel)
    return {"reconstruction": jnp.mean(jnp.abs(rec - mel)), "perplexity": quantized.perplexity}

  def pictures(self, model, batch, key):
    mel = log_mel(batch["audio"][:4], self.clip)
    rec, _ = model.vqgan(mel)
    rows = np.asarray(jnp.stack([mel, rec], 1).reshape(-1, *mel.shape[1:]))
    titles = [t for i in range(len(mel)) for t in (f"{i} true", f"{i} through codes")]
    return {"reconstruction": spectrogram_grid(list(rows), titles)}, {}

  def components(self, model):
    return {"vqgan": model.vqgan}


def judge(discriminator: nnx.Module, mel: jax.Array) -> jax.Array:
  """Logits by this batch's own statistics; the running ones, which nothing reads, stay as they are."""
  return nnx.clone(discriminator)(mel)
