"""Stage `vqgan`: L1 + LPAPS + codebook + hinge PatchGAN on log-mel pictures (paper supp.; Iashin and Rahtu 2021)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from condfoley_jax.augmentation.sound import random_gain
from condfoley_jax.figures import spectrogram_grid
from condfoley_jax.models.discriminator import Discriminator, hinge_loss
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, of_classifier
from condfoley_jax.models.quantizer import CodeAverages, CodeRestarts, Quantized
from condfoley_jax.models.vqgan import VQGAN
from condfoley_jax.shapes import Mel_BxFxM
from condfoley_jax.stages.stage import Batch, Metrics, Stage, Trained
from data_pipelines.errors import InputError


class VQGANStage(Stage):
  """Players: the VQGAN and, from step `discriminator_start` on, the discriminator. LPAPS, where given, is frozen."""

  batches = "clips"
  phases = ("alone", "adversarial")
  shown = 4

  def create(self, rngs: Keys) -> nnx.Module:
    vqgan = self.build("vqgan", rngs)
    quantizer, parts = vqgan.config.quantizer, self.config["accumulate"]
    return Trained(
      vqgan=vqgan,
      discriminator=self.build("discriminator", rngs),
      restarts=CodeRestarts(quantizer, self.config["restart_below"], parts=parts),
      averages=CodeAverages(vqgan.quantizer, parts=parts) if quantizer.loss == "averages" else None,
      lpaps=self._lpaps(),
    )

  def _lpaps(self) -> LPAPS | None:
    """What `config.pretrained.lpaps` names: a folder with an LPAPS, else one with a classifier of materials."""
    if not (directory := self.config["pretrained"]["lpaps"]):
      return None
    found = self.read_pretrained("lpaps", optional=("lpaps", "material_classifier"))
    if not found:
      raise InputError(f"{directory}: no `lpaps` and no `material_classifier`; name another --config.pretrained.lpaps")
    return found["lpaps"] if "lpaps" in found else of_classifier(found["material_classifier"])

  def phase(self, step: int) -> str:
    return "adversarial" if step >= self.config["discriminator_start"] else "alone"

  def steps_of(self, player: str) -> int:
    without = self.config["discriminator_start"] if player == "discriminator" else 0
    return max(self.config["steps"] - without, 0)

  def losses(self, phase: str):
    vqgan = {"vqgan": functools.partial(self._vqgan_loss, phase)}
    return vqgan if phase == "alone" else {**vqgan, "discriminator": self._discriminator_loss}

  def after_step(self, model):
    quantizer = model.vqgan.quantizer
    if model.averages is not None:
      model.averages.apply(quantizer)
    moved = model.restarts.apply(quantizer)
    if model.averages is not None:
      model.averages.restart(moved, quantizer)

  def _mel(self, batch: Batch, key: jax.Array) -> Mel_BxFxM:
    return self.mel(random_gain(batch["audio"], key, self.sound.gain_db))

  def _vqgan_loss(self, phase: str, model, batch: Batch, key: jax.Array):
    gain_key, restart_key = jax.random.split(key)
    loss, metrics, latent, quantized = self.objective(phase, model, self._mel(batch, gain_key))
    model.restarts.observe(latent, quantized.codes, restart_key)
    if model.averages is not None:
      model.averages.observe(latent, quantized.codes)
    return loss, metrics

  def objective(self, phase: str, model: Trained, mel: Mel_BxFxM) -> tuple[jax.Array, Metrics, jax.Array, Quantized]:
    """The VQGAN's loss on mels in [-1, 1] in that phase, its terms, the latents and what became of them; pure."""
    latent = model.vqgan.latent(mel)
    quantized = model.vqgan.quantizer(latent)
    rec = model.vqgan.decode_latent(quantized.z)
    loss, metrics = self._distance(model, mel, rec)
    metrics |= {"codebook": quantized.loss, "perplexity": quantized.perplexity}
    loss += quantized.loss
    if phase == "adversarial":
      fool = fooling_loss(model.discriminator, rec)
      weight = self.config["discriminator_weight"] * self._balance(model, mel, quantized.z)
      loss += weight * fool
      metrics |= {"fool": fool}
    return loss, metrics | {"loss": loss}, latent, quantized

  def _balance(self, model: Trained, mel: Mel_BxFxM, z: jax.Array) -> jax.Array | float:
    """The adaptive weight within its configured range, which as published is one point."""
    low, high = self.config["adaptive_weight"]
    if low == high:
      return low
    weight = adaptive_weight(
      model.vqgan,
      z,
      lambda rec: self._distance(model, mel, rec)[0],
      lambda rec: fooling_loss(model.discriminator, rec),
    )
    return jnp.clip(weight, low, high)

  def _distance(self, model: Trained, mel: Mel_BxFxM, rec: Mel_BxFxM) -> tuple[jax.Array, Metrics]:
    return reconstruction_loss(mel, rec, model.lpaps, self.config["lpaps_weight"])

  def _discriminator_loss(self, model, batch, key):
    mel = self._mel(batch, key)
    loss = discriminator_loss(model.discriminator, mel, model.vqgan(mel)[0])
    return loss, {"discriminator_loss": loss}

  def evaluate(self, model, batch, key):
    mel = self.mel(batch["audio"])
    rec, quantized = model.vqgan(mel)
    return self._distance(model, mel, rec)[1] | {"perplexity": quantized.perplexity}

  def pictures(self, model, batch, key):
    mel = self.mel(batch["audio"])
    rec, _ = model.vqgan(mel)
    rows = np.asarray(jnp.stack([mel, rec], 1).reshape(-1, *mel.shape[1:]))
    titles = [t for i in range(len(mel)) for t in (f"{i} true", f"{i} through codes")]
    return {"reconstruction": spectrogram_grid(list(rows), titles)}, {}

  def components(self, model):
    return {"vqgan": model.vqgan}


def reconstruction_loss(
  mel: Mel_BxFxM, rec: Mel_BxFxM, lpaps: LPAPS | None, lpaps_weight: float = 1.0
) -> tuple[jax.Array, Metrics]:
  """Mean absolute difference, plus the weighted mean LPAPS distance where there is an LPAPS; and both by name."""
  loss = jnp.mean(jnp.abs(rec - mel))
  metrics = {"reconstruction": loss}
  if lpaps is not None:
    metrics["lpaps"] = jnp.mean(lpaps(mel, rec))
    loss += lpaps_weight * metrics["lpaps"]
  return loss, metrics


def fooling_loss(discriminator: Discriminator, rec: Mel_BxFxM) -> jax.Array:
  """What the VQGAN lowers to be taken for real."""
  return -jnp.mean(judge(discriminator, rec))


def discriminator_loss(discriminator: Discriminator, mel: Mel_BxFxM, rec: Mel_BxFxM) -> jax.Array:
  """Hinge loss; no gradient reaches the reconstruction."""
  return hinge_loss(judge(discriminator, mel), judge(discriminator, jax.lax.stop_gradient(rec)))


def adaptive_weight(
  vqgan: VQGAN,
  z: jax.Array,
  reconstruction: Callable[[Mel_BxFxM], jax.Array],
  fool: Callable[[Mel_BxFxM], jax.Array],
) -> jax.Array:
  """|grad reconstruction| / (|grad fool| + 1e-4) in the decoder's last kernel, without gradient (Esser et al. 2021).

  Args:
    vqgan: whose decoder it is.
    z: quantised latents [B, R, K, C].
    reconstruction, fool: losses of the decoded mel.
  """

  def decode(kernel: jax.Array) -> Mel_BxFxM:
    changed = nnx.clone(vqgan)
    changed.decoder.conv_out.kernel[...] = kernel
    return changed.decode_latent(z)

  rec, pull = jax.vjp(decode, vqgan.decoder.conv_out.kernel[...])
  norms = [optax.global_norm(pull(jax.grad(loss)(rec))) for loss in (reconstruction, fool)]
  return jax.lax.stop_gradient(norms[0] / (norms[1] + 1e-4))


def judge(discriminator: nnx.Module, mel: jax.Array) -> jax.Array:
  """Logits by this batch's own statistics; the running ones, which nothing reads, stay as they are."""
  return nnx.clone(discriminator)(mel)
