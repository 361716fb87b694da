"""Stage `transformer`: cross-entropy of the target's codes given condition clip and query frames (paper sec. 3)."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.augmentation.sound import augment_pair, mask_mel
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INPUTS, TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.models.vqgan import codes_to_sequence
from condfoley_jax.shapes import Codes_BxL
from condfoley_jax.stages.stage import Batch, Stage, Trained


class TransformerStage(Stage):
  """One player; VQGAN and video encoder are frozen.

  Vocoder, event head and, where config.pretrained.sync_net names a folder with one, the network that ranks takes pass
  through to the weights folder.
  """

  batches = "pairs"

  def create(self, rngs: Keys) -> nnx.Module:
    frozen = self.pretrained("vqgan", "vqgan") | self.pretrained("video_encoder", "video_encoder", "event_head")
    transformer = self._transformer(rngs)
    if transformer.config.audio_token != "learned":
      transformer.set_codebook(frozen["vqgan"].quantizer.codebook[...])
    passed = self.pretrained("vocoder", "vocoder")
    if self.config["pretrained"]["sync_net"]:
      passed |= self.pretrained("sync_net", "sync_net")
    return Trained(transformer=transformer, **frozen, **passed)

  def _transformer(self, rngs: Keys) -> Transformer:
    """A new one, or that of the folder that config.pretrained.transformer names.

    Raises:
      ValueError: it is of other sizes than the config's.
    """
    if not (directory := self.config["pretrained"]["transformer"]):
      return self.build("transformer", rngs)
    found = self.read_pretrained("transformer", "transformer")["transformer"]
    sizes = config_tree.from_dict(TransformerConfig, self.config["model"]["transformer"])
    try:
      return found.computed_as(sizes)
    except ValueError as error:
      raise ValueError(f"{directory}: {error}; name another --config.pretrained.transformer") from error

  def example_shapes(self, *, validation=False):
    if validation or not self.config["data"]["cache"]:
      return super().example_shapes()
    sizes = config_tree.from_dict(TransformerConfig, self.config["model"]["transformer"])
    shapes = {"codes": ("int32", (sizes.codes,)), "features": (str(self.dtype), (sizes.frames, sizes.feature_width))}
    return {f"{name}_{what}": shapes[what] for name in ("target", "condition") for what in shapes}

  def losses(self, phase: str):
    return {"transformer": self._loss}

  def _loss(self, model, batch: Batch, key: jax.Array):
    input_key, drop_key = jax.random.split(key)
    # A cache gives what `inputs` makes.
    inputs = batch if "target_codes" in batch else self.inputs(model, batch, input_key)
    missing = self.missing(len(inputs["target_codes"]), drop_key) if self.config["drop"] else None
    logits = self._logits(model, inputs, missing)
    if not (spread := self.config["label_spread"]):
      loss = _of_codes(logits, inputs["target_codes"]).mean()
    else:
      labels = neighbours(model.vqgan.quantizer.codebook[...], spread)[inputs["target_codes"]]
      loss = optax.softmax_cross_entropy(logits, labels).mean()
    return loss, {"loss": loss}

  def missing(self, pairs: int, key: jax.Array) -> dict[str, jax.Array]:
    """Which inputs each of so many pairs goes without, bool [B] by name: each at its own rate in `config.drop`."""
    keys = dict(zip(INPUTS, jax.random.split(key, len(INPUTS)), strict=True))
    return {name: jax.random.bernoulli(keys[name], rate, (pairs,)) for name, rate in self.config["drop"].items()}

  def inputs(self, model, batch: Batch, key: jax.Array) -> Batch:
    """What the transformer reads of pairs, augmented by one key.

    Returns:
      {"target_codes", "condition_codes": int32 [B, L], "target_features", "condition_features": [B, T, D]}.
    """
    sound_key, mask_key, query_key, condition_key = jax.random.split(key, 4)
    condition, target = augment_pair(batch["condition_audio"], batch["target_audio"], sound_key, self.sound)
    mels = {"condition": mask_mel(self.mel(condition), mask_key, self.sound), "target": self.mel(target)}
    frames = {
      name: augment_frames(batch[f"{name}_frames"], key, self.clip.frame_size, self.picture)
      for name, key in (("target", query_key), ("condition", condition_key))
    }
    return self._frozen(model, mels, frames)

  def inputs_by_pair(self, model, batch: Batch, keys_B: jax.Array) -> Batch:
    """`inputs` of each pair by itself: augmented by its own key, with its own statistics where bn_mode is `batch`."""

    def of_one(pair: Batch, key: jax.Array) -> Batch:
      made = self.inputs(model, {name: value[None] for name, value in pair.items()}, key)
      return {name: value[0] for name, value in made.items()}

    return jax.vmap(of_one)(batch, keys_B)

  def _frozen(self, model, mels: dict, frames: dict) -> Batch:
    codes = {f"{name}_codes": codes_to_sequence(model.vqgan.encode(mel)) for name, mel in mels.items()}
    return codes | {f"{name}_features": self._features(model, f) for name, f in frames.items()}

  def _logits(self, model, inputs: Batch, missing: Mapping | None = None) -> jax.Array:
    """Of the target's codes, float32 [B, L, V]; `missing` as for `Transformer.replace`."""
    fed = jnp.concatenate([inputs["condition_codes"], inputs["target_codes"][:, :-1]], 1)
    read = inputs["condition_features"], inputs["target_features"], fed
    return model.transformer.target_logits(*(model.transformer.replace(*read, missing) if missing else read))

  def _features(self, model, frames: jax.Array) -> jax.Array:
    # A copy: statistics that move belong to nobody, the encoder being frozen.
    encoder, running = nnx.clone(model.video_encoder), self.conventions.bn_mode == "running"
    features = encoder(prepare_frames(frames).astype(self.dtype), use_running_average=running)
    return jax.lax.stop_gradient(features)

  def evaluate(self, model, batch, key):
    mels = {name: self.mel(batch[f"{name}_audio"]) for name in ("target", "condition")}
    frames = {name: center_crop(batch[f"{name}_frames"], self.clip.frame_size) for name in ("target", "condition")}
    inputs = self._frozen(model, mels, frames)
    codes, logits = inputs["target_codes"], self._logits(model, inputs)
    # The same with another clip's frames or example: how much each of them is used.
    loss = lambda changed, missing=None: _of_codes(self._logits(model, inputs | changed, missing), codes).mean()
    with_other = lambda name: loss({name: jnp.roll(inputs[name], 1, 0)})
    scores = {
      "loss": _of_codes(logits, codes).mean(),
      "code_accuracy": jnp.mean(logits.argmax(-1) == codes),
      "loss_other_query": with_other("target_features"),
      "loss_other_example": with_other("condition_codes"),
    }
    # The same with an input missing that training leaves out at times: what guidance compares with.
    return scores | {f"loss_without_{name}": loss({}, {name: True}) for name in self.config["drop"]}

  def components(self, model):
    names = ("vqgan", "vocoder", "video_encoder", "event_head", "sync_net")
    passed = {name: getattr(model, name) for name in names if hasattr(model, name)}
    return passed | {"transformer": model.transformer.unstacked()}


def _of_codes(logits: jax.Array, codes: Codes_BxL) -> jax.Array:
  """Cross-entropy [B, L] of logits [B, L, V]."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, codes)


def neighbours(codebook_VxC: jax.Array, spread: float) -> jax.Array:
  """What is learned for each code instead of that code alone, float32 [V, V] with rows that add up to 1.

  Codes that lie near each other sound alike, and which of them noise fell on cannot be predicted (soft labels, Lee et
  al. 2022, sec. 3.3): weights exp(-d^2 / s), d being the distance of two entries and s `spread` times the mean square
  distance of an entry to the one nearest to it.
  """
  book = codebook_VxC.astype(jnp.float32)
  squared = jnp.sum((book[:, None] - book[None]) ** 2, -1)
  nearest = jnp.min(jnp.where(jnp.eye(len(book), dtype=bool), jnp.inf, squared), 1).mean()
  return jax.nn.softmax(-squared / (spread * nearest), axis=-1)
