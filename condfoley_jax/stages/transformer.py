"""Stage `transformer`: cross-entropy of the target's codes given condition clip and query frames (paper sec. 3)."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.augmentation.sound import augment_pair, mask_mel
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.models.vqgan import codes_to_sequence
from condfoley_jax.stages.stage import Batch, Stage, Trained


class TransformerStage(Stage):
  """One player; VQGAN and video encoder are frozen, vocoder and event head pass through to the weights folder."""

  batches = "pairs"

  def create(self, rngs: nnx.Rngs) -> nnx.Module:
    frozen = self.pretrained("vqgan", "vqgan") | self.pretrained("video_encoder", "video_encoder", "event_head")
    transformer = self.build("transformer", rngs)
    if transformer.config.audio_token == "codebook":
      transformer.set_codebook(frozen["vqgan"].quantizer.codebook[...])
    return Trained(transformer=transformer, **frozen, **self.pretrained("vocoder", "vocoder"))

  def losses(self, phase: str):
    return {"transformer": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    sound_key, mask_key, query_key, condition_key = jax.random.split(key, 4)
    condition, target = augment_pair(batch["condition_audio"], batch["target_audio"], sound_key, self.sound)
    mels = {"condition": mask_mel(self.mel(condition), mask_key, self.sound), "target": self.mel(target)}
    frames = {
      name: augment_frames(batch[f"{name}_frames"], key, self.clip.frame_size, self.picture)
      for name, key in (("target", query_key), ("condition", condition_key))
    }
    losses, _ = self._cross_entropy(model, mels, frames)
    loss = losses.mean()
    return loss, {"loss": loss}

  def _cross_entropy(self, model, mels: dict, frames: dict) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and whether the likeliest code is right, [B, L] each."""
    codes = {name: codes_to_sequence(model.vqgan.encode(mel)) for name, mel in mels.items()}
    features = {name: self._features(model, f) for name, f in frames.items()}
    fed = jnp.concatenate([codes["condition"], codes["target"][:, :-1]], 1)
    logits = model.transformer.target_logits(features["condition"], features["target"], fed)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), codes["target"])
    return losses, logits.argmax(-1) == codes["target"]

  def _features(self, model, frames: jax.Array) -> jax.Array:
    # A copy: statistics that move belong to nobody, the encoder being frozen.
    encoder, running = nnx.clone(model.video_encoder), self.conventions.bn_mode == "running"
    features = encoder(prepare_frames(frames).astype(self.dtype), use_running_average=running)
    return jax.lax.stop_gradient(features)

  def evaluate(self, model, batch, key):
    mels = {name: self.mel(batch[f"{name}_audio"]) for name in ("target", "condition")}
    frames = {name: center_crop(batch[f"{name}_frames"], self.clip.frame_size) for name in ("target", "condition")}
    losses, right = self._cross_entropy(model, mels, frames)
    # The same with another clip's frames or example: how much each of them is used.
    other_query = {**frames, "target": jnp.roll(frames["target"], 1, 0)}
    other_example = {**mels, "condition": jnp.roll(mels["condition"], 1, 0)}
    return {
      "loss": losses.mean(),
      "code_accuracy": right.astype(jnp.float32).mean(),
      "loss_other_query": self._cross_entropy(model, mels, other_query)[0].mean(),
      "loss_other_example": self._cross_entropy(model, other_example, frames)[0].mean(),
    }

  def components(self, model):
    return {name: getattr(model, name) for name in ("vqgan", "vocoder", "video_encoder", "event_head", "transformer")}
