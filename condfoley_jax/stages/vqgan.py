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
  """Players: the VQGAN, then the discriminator, whose part is not computed before step `discriminator_start`."""

  batches = "clips"

  def create(self, rngs: nnx.Rngs) -> nnx.Module:
    vqgan = self.build("vqgan", rngs)
    config = config_tree.from_dict(DiscriminatorConfig, self.config["model"]["discriminator"])
    return Trained(
      vqgan=vqgan,
      discriminator=Discriminator(config, dtype=self.dtype, rngs=rngs),
      restarts=CodeRestarts(vqgan.config.quantizer, self.config["restart_below"]),
    )

  def losses(self):
    return {"vqgan": self._vqgan_loss, "discriminator": self._discriminator_loss}

  def after_step(self, model):
    model.restarts.apply(model.vqgan.quantizer)

  def _mel(self, batch: Batch, key: jax.Array) -> jax.Array:
    return log_mel(random_gain(batch["audio"], key, self.config["gain_db"]), self.clip)

  def _from_start(self, step: jax.Array, adversarial) -> jax.Array:
    """`adversarial()` once the discriminator has started, else 0 without computing it."""
    return jax.lax.cond(step >= self.config["discriminator_start"], adversarial, lambda: jnp.zeros(()))

  def _vqgan_loss(self, model, batch, key, step):
    gain_key, restart_key = jax.random.split(key)
    mel = self._mel(batch, gain_key)
    latent = model.vqgan.latent(mel)
    quantized = model.vqgan.quantizer(latent)
    model.restarts.observe(latent, quantized.codes, restart_key)
    rec = model.vqgan.decode_latent(quantized.z)
    reconstruction = jnp.mean(jnp.abs(rec - mel))
    fool = self._from_start(step, lambda: -jnp.mean(judge(model.discriminator, rec)))
    loss = reconstruction + quantized.loss + self.config["discriminator_weight"] * fool
    metrics = {"reconstruction": reconstruction, "codebook": quantized.loss, "perplexity": quantized.perplexity}
    return loss, metrics | {"fool": fool, "loss": loss}

  def _discriminator_loss(self, model, batch, key, step):
    def loss():
      mel = self._mel(batch, key)
      rec, _ = model.vqgan(mel)
      return hinge_loss(judge(model.discriminator, mel), judge(model.discriminator, jax.lax.stop_gradient(rec)))

    loss = self._from_start(step, loss)
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
