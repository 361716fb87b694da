"""Stage `sync`: how much later the sound is than the picture, learned from windows that are moved apart, and whether it
is the picture's at all, learned from sounds with mistakes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.augmentation.mismatch import Events, mismatched
from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.augmentation.sound import augment
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.shapes import Audio_BxN, Frames_BxTxHxWx3
from condfoley_jax.stages.stage import Batch, Stage, Trained


class Windows(NamedTuple):
  """Windows of picture and sound that are an offset apart.

  Attributes:
    frames: [B, T', S, S, 3].
    audio: [B, N'].
    classes: int32 [B], of the offsets.
    seen_from, heard_from: int32 [B], samples of the clip that they begin at.
  """

  frames: Frames_BxTxHxWx3
  audio: Audio_BxN
  classes: jax.Array
  seen_from: jax.Array
  heard_from: jax.Array


class SyncStage(Stage):
  """One player. The windows compared are as much shorter than a clip as the largest offset is long.

  Its video encoder is new, or that of the folder that config.pretrained.video_encoder names: a ValueError if of another
  config. Where config.model.sync_net.mismatch says so, a share `config.mismatched` of the sounds has a mistake.
  """

  batches = "clips"

  def create(self, rngs: Keys) -> nnx.Module:
    network = self.build("sync_net", rngs)
    if directory := self.config["pretrained"]["video_encoder"]:
      found = self.read_pretrained("video_encoder", "video_encoder")["video_encoder"]
      if found.config != network.config.encoder:
        raise ValueError(f"{directory}: its video_encoder is not as config.model.sync_net.encoder describes it")
      network.encoder = found
    return Trained(sync_net=network)

  def losses(self, phase: str):
    return {"sync_net": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    picture_key, sound_key, window_key, mistake_key, share_key = jax.random.split(key, 5)
    frames = augment_frames(batch["frames"], picture_key, self.clip.frame_size, self.picture)
    windows = self.windows(model, frames, batch["audio"], window_key)
    audio, classes = windows.audio, windows.classes
    if model.sync_net.config.mismatch:
      wrong = jax.random.bernoulli(share_key, self.config["mismatched"], (len(audio),))
      audio = jnp.where(wrong[:, None], self._mistaken(windows, batch, mistake_key), audio)
      classes = jnp.where(wrong, model.sync_net.config.classes, classes)
    (audio,) = augment((audio,), sound_key, self.sound)
    logits = self._logits(model, windows.frames, audio, running=False)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()
    return loss, {"loss": loss, "accuracy": jnp.mean(logits.argmax(-1) == classes)}

  def windows(self, model, frames: Frames_BxTxHxWx3, audio: Audio_BxN, key: jax.Array) -> Windows:
    """Windows that are a random offset apart.

    Args:
      model: gives the offsets.
      frames: [B, T, S, S, 3]; audio: [B, N].
      key: of the offsets, evenly drawn for each clip, and of where the windows lie.
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
    heard_from = (start * per_frame - offset) * step
    cut = lambda x, start, size: jax.lax.dynamic_slice_in_dim(x, start, size, axis=0)
    return Windows(
      jax.vmap(lambda x, start: cut(x, start, length))(frames, start),
      jax.vmap(lambda x, start: cut(x, start, length * per_frame * step))(audio, heard_from),
      classes,
      start * per_frame * step,
      heard_from,
    )

  def _mistaken(self, windows: Windows, batch: Batch, key: jax.Array) -> Audio_BxN:
    """The windows' sounds, each with a mistake that the window's picture tells."""
    frame = jnp.arange(self.clip.frames) + batch["offsets"]
    at = (frame * self.clip.samples_per_frame).astype(jnp.int32) - windows.heard_from[:, None]
    samples, seen = windows.audio.shape[1], windows.seen_from - windows.heard_from
    there = (batch["onsets"] > 0) & (at >= 0) & (at < samples)
    events = Events(at, there, jnp.maximum(seen, 0), jnp.minimum(seen + samples, samples))
    return mismatched(windows.audio, events, self.clip.sample_rate, key)

  def _logits(self, model, frames: jax.Array, audio: Audio_BxN, *, running: bool) -> jax.Array:
    mel = log_mel(audio, model.sync_net.config.grid(self.clip)).astype(self.dtype)
    return model.sync_net(prepare_frames(frames).astype(self.dtype), mel, use_running_average=running)

  def evaluate(self, model, batch, key):
    # A copy, whose statistics may move with the batch's where it is used so.
    model, running = nnx.clone(model), self.conventions.bn_mode == "running"
    window_key, mistake_key = jax.random.split(key)
    windows = self.windows(model, center_crop(batch["frames"], self.clip.frame_size), batch["audio"], window_key)
    offsets, classes = model.sync_net.config.classes, windows.classes
    logits = self._logits(model, windows.frames, windows.audio, running=running)
    told = logits[:, :offsets].argmax(-1)
    step_s = 1 / (self.clip.fps * model.sync_net.config.steps_per_frame)
    error_s = jnp.abs(told - classes) * step_s
    within = lambda seconds: jnp.mean(error_s <= seconds + 1e-6)
    losses = optax.softmax_cross_entropy_with_integer_labels
    scores = {
      "loss": losses(logits, classes).mean(),
      "accuracy": jnp.mean(told == classes),
      "within_50ms": within(0.05),
      "within_100ms": within(0.1),
      "median_error_s": jnp.median(error_s),
      "confidence": jnp.mean(jax.nn.softmax(logits)[:, :offsets].max(-1)),
    }
    if model.sync_net.config.mismatch:
      wrong = self._logits(model, windows.frames, self._mistaken(windows, batch, mistake_key), running=running)
      scores["loss"] = (scores["loss"] + losses(wrong, jnp.full_like(classes, offsets)).mean()) / 2
      sure, unsure = (jax.nn.softmax(x)[:, :offsets].max(-1) for x in (logits, wrong))
      scores |= {"confidence_mismatched": jnp.mean(unsure), "mismatch_told": jnp.mean(unsure < sure)}
    return scores

  def components(self, model):
    return {"sync_net": model.sync_net}
