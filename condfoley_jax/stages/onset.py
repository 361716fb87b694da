"""Stage `onset`: which frames of a silent video sound (paper supp., the onset-transfer baseline)."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.audio.onset_labels import onset_labels
from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.stages.stage import Batch, Stage, Trained
from condfoley_jax.stages.video_encoder import average_precision


class OnsetStage(Stage):
  """One player. Labels are the labelled events (`labels`: `events`) or what is heard in the sound (`audio`)."""

  batches = "clips"

  def create(self, rngs: Keys) -> nnx.Module:
    if self.config["labels"] not in ("events", "audio"):
      raise ValueError(f"labels are `events` or `audio`, not `{self.config['labels']}`")
    return Trained(onset_net=self.build("onset_net", rngs))

  def losses(self, phase: str):
    return {"onset_net": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    frames = augment_frames(batch["frames"], key, self.clip.frame_size, self.picture)
    loss = balanced_cross_entropy(self._logits(model, frames, running=False), self.labels(batch))
    return loss, {"loss": loss}

  def labels(self, batch: Batch) -> jax.Array:
    """1 for frames with an onset, float32 [B, T]."""
    if self.config["labels"] == "events":
      return batch["onsets"]
    return onset_labels(batch["audio"], self.clip.sample_rate, self.clip.fps, self.clip.frames)

  def _logits(self, model, frames: jax.Array, *, running: bool) -> jax.Array:
    return model.onset_net(prepare_frames(frames).astype(self.dtype), use_running_average=running)

  def evaluate(self, model, batch, key):
    # A copy, whose statistics may move with the batch's where it is used so.
    model, running = nnx.clone(model), self.conventions.bn_mode == "running"
    logits = self._logits(model, center_crop(batch["frames"], self.clip.frame_size), running=running)
    labels = self.labels(batch)
    return {
      "loss": balanced_cross_entropy(logits, labels),
      "average_precision": average_precision(logits, labels),
      # Of a guess that knows nothing: what the precision is to be compared with.
      "share_of_onsets": jnp.mean(labels),
    }

  def components(self, model):
    return {"onset_net": model.onset_net}


def balanced_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Binary cross-entropy in which the labels of 1 weigh as much, together, as those of 0."""
  positive = jnp.sum(labels)
  weight = (labels.size - positive) / jnp.maximum(positive, 1)
  losses = optax.sigmoid_binary_cross_entropy(logits, labels)
  return jnp.mean(jnp.where(labels > 0, weight, 1.0) * losses)
