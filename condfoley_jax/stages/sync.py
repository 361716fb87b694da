"""Stage `sync`: how much later the sound is than the picture, learned from windows that are moved apart."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.augmentation.sound import augment
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.shapes import Audio_BxN, Frames_BxTxHxWx3
from condfoley_jax.stages.stage import Batch, Stage, Trained


class SyncStage(Stage):
  """One player. The windows compared are as much shorter than a clip as the largest offset is long."""

  batches = "clips"

  def create(self, rngs: Keys) -> nnx.Module:
    return Trained(sync_net=self.build("sync_net", rngs))

  def losses(self, phase: str):
    return {"sync_net": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    picture_key, sound_key, window_key = jax.random.split(key, 3)
    frames = augment_frames(batch["frames"], picture_key, self.clip.frame_size, self.picture)
    (audio,) = augment((batch["audio"],), sound_key, self.sound)
    frames, audio, classes = self.windows(model, frames, audio, window_key)
    logits = self._logits(model, frames, audio, running=False)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()
    return loss, {"loss": loss, "accuracy": jnp.mean(logits.argmax(-1) == classes)}

  def windows(self, model, frames: Frames_BxTxHxWx3, audio: Audio_BxN, key: jax.Array):
    """Windows of picture and sound that are a random offset apart, and its class.

    Args:
      model: gives the offsets.
      frames: [B, T, S, S, 3]; audio: [B, N].
      key: of the offsets, evenly drawn for each clip, and of where the windows lie.

    Returns:
      frames [B, T', S, S, 3], audio [B, N'], int32 [B].
    """
    sizes = model.sync_net.config
    furthest, per_frame = sizes.furthest, sizes.steps_per_frame
    length = self.clip.frames - -(-furthest // per_frame)
    class_key, place_key = jax.random.split(key)
    classes = jax.random.randint(class_key, (len(audio),), 0, sizes.classes)
    # An event is heard as much later as the sound's window starts earlier than the picture's.
    offset = classes - furthest
    spare = (self.clip.frames - length) * per_frame
    first, last = -(-jnp.maximum(offset, 0) // per_frame), jnp.minimum(spare, spare + offset) // per_frame
    start = first + jnp.floor(jax.random.uniform(place_key, first.shape) * (last - first + 1)).astype(jnp.int32)
    step = self.clip.samples_per_frame // per_frame
    cut = lambda x, start, size: jax.lax.dynamic_slice_in_dim(x, start, size, axis=0)
    return (
      jax.vmap(lambda x, start: cut(x, start, length))(frames, start),
      jax.vmap(lambda x, start: cut(x, start, length * per_frame * step))(audio, (start * per_frame - offset) * step),
      classes,
    )

  def _logits(self, model, frames: jax.Array, audio: Audio_BxN, *, running: bool) -> jax.Array:
    mel = log_mel(audio, model.sync_net.config.grid(self.clip)).astype(self.dtype)
    return model.sync_net(prepare_frames(frames).astype(self.dtype), mel, use_running_average=running)

  def evaluate(self, model, batch, key):
    # A copy, whose statistics may move with the batch's where it is used so.
    model, running = nnx.clone(model), self.conventions.bn_mode == "running"
    frames = center_crop(batch["frames"], self.clip.frame_size)
    frames, audio, classes = self.windows(model, frames, batch["audio"], key)
    logits = self._logits(model, frames, audio, running=running)
    step_s = 1 / (self.clip.fps * model.sync_net.config.steps_per_frame)
    error_s = jnp.abs(logits.argmax(-1) - classes) * step_s
    within = lambda seconds: jnp.mean(error_s <= seconds + 1e-6)
    return {
      "loss": optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean(),
      "accuracy": jnp.mean(logits.argmax(-1) == classes),
      "within_50ms": within(0.05),
      "within_100ms": within(0.1),
      "median_error_s": jnp.median(error_s),
      "confidence": jnp.mean(jax.nn.softmax(logits).max(-1)),
    }

  def components(self, model):
    return {"sync_net": model.sync_net}
