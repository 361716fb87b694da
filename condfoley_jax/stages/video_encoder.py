"""Stage `video_encoder`: per-frame features pre-trained on labelled events (onset, time within the frame, kind)."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.stages.scores import mean_where
from condfoley_jax.stages.stage import Batch, Stage, Trained


class VideoEncoderStage(Stage):
  """One player: encoder and event head together.

  They are new, or those of the folder that config.pretrained.video_encoder names: a ValueError if of another config.
  """

  batches = "clips"

  def create(self, rngs: Keys) -> nnx.Module:
    parts = {name: self.build(name, rngs) for name in ("video_encoder", "event_head")}
    if directory := self.config["pretrained"]["video_encoder"]:
      found = self.read_pretrained("video_encoder", *parts)
      for name, part in parts.items():
        if found[name].config != part.config:
          raise ValueError(f"{directory}: its {name} is not as config.model.{name} describes it")
      parts = found
    return Trained(events=Trained(**parts))

  def losses(self, phase: str):
    return {"events": self._loss}

  def _predict(self, model, frames: jax.Array, *, use_running_average: bool):
    features = model.events.video_encoder(
      prepare_frames(frames).astype(self.dtype), use_running_average=use_running_average
    )
    return model.events.event_head(features)

  def _loss(self, model, batch: Batch, key: jax.Array):
    frames = augment_frames(batch["frames"], key, self.clip.frame_size, self.picture)
    predicted = self._predict(model, frames, use_running_average=False)
    onsets = batch["onsets"]
    # Onsets are rare: weighing them up keeps the easy answer (never) from being a good one.
    weight = 1 + (self.config["onset_weight"] - 1) * onsets
    onset = jnp.mean(weight * optax.sigmoid_binary_cross_entropy(predicted.onset, onsets))
    offset = mean_where(jnp.abs(predicted.offset - batch["offsets"]), onsets)
    material = _label_loss(predicted.material, batch["material"])
    action = _label_loss(predicted.action, batch["action"])
    loss = onset + offset + self.config["label_weight"] * (material + action)
    return loss, {"loss": loss, "onset": onset, "offset": offset, "material": material, "action": action}

  def evaluate(self, model, batch, key):
    predicted = self._predict(model, center_crop(batch["frames"], self.clip.frame_size), use_running_average=True)
    onsets = batch["onsets"]
    material = _accuracy(predicted.material, batch["material"])
    action = _accuracy(predicted.action, batch["action"])
    return {
      "onset": jnp.mean(optax.sigmoid_binary_cross_entropy(predicted.onset, onsets)),
      "onset_average_precision": average_precision(predicted.onset, onsets),
      "offset_error_frames": mean_where(jnp.abs(predicted.offset - batch["offsets"]), onsets),
      "material_accuracy": material,
      "action_accuracy": action,
    }

  def components(self, model):
    return {"video_encoder": model.events.video_encoder, "event_head": model.events.event_head}


def average_precision(scores: jax.Array, labels: jax.Array) -> jax.Array:
  """Area under precision over recall of scores against 0/1 labels, any shape; 0 where there is no label of 1."""
  order = jnp.argsort(-scores.ravel())
  hits = labels.ravel()[order]
  precision = jnp.cumsum(hits) / (jnp.arange(hits.size) + 1)
  return jnp.sum(precision * hits) / jnp.maximum(jnp.sum(hits), 1)


def _label_loss(logits_BxTxC: jax.Array, labels_B: jax.Array) -> jax.Array:
  """Cross-entropy of the clip's label from mean logits over its frames; clips labelled -1 do not count."""
  logits = logits_BxTxC.mean(1)
  known = (labels_B >= 0).astype(jnp.float32)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels_B, 0))
  return mean_where(losses, known)


def _accuracy(logits_BxTxC: jax.Array, labels_B: jax.Array) -> jax.Array:
  right = (logits_BxTxC.mean(1).argmax(-1) == labels_B).astype(jnp.float32)
  return mean_where(right, (labels_B >= 0).astype(jnp.float32))
