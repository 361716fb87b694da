"""Stage `transformer`: cross-entropy of the target's codes given condition clip and query frames (paper sec. 3)."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.augmentation.picture import augment_frames, center_crop
from condfoley_jax.augmentation.sound import augment, mask_mel
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import INPUTS, TransformerConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.models.vqgan import codes_to_sequence
from condfoley_jax.stages.stage import Batch, Stage, Trained

# What is left out together, by its name in `config.drop`; guidance compares with `all`.
_LEFT_OUT = {name: (name,) for name in INPUTS} | {"all": INPUTS}


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
    loss = self._cross_entropy(model, inputs, missing)[0].mean()
    return loss, {"loss": loss}

  def missing(self, pairs: int, key: jax.Array) -> dict[str, jax.Array]:
    """Which inputs each of so many pairs goes without, bool [B] by name.

    `config.drop` has the rates, in [0, 1]: of each input by itself, and under `all` of all of them together.
    """
    keys = dict(zip(_LEFT_OUT, jax.random.split(key, len(_LEFT_OUT)), strict=True))
    missing = dict.fromkeys(INPUTS, jnp.zeros(pairs, bool))
    for what, rate in self.config["drop"].items():
      drawn = jax.random.bernoulli(keys[what], rate, (pairs,))
      missing |= {name: missing[name] | drawn for name in _LEFT_OUT[what]}
    return missing

  def inputs(self, model, batch: Batch, key: jax.Array) -> Batch:
    """What the transformer reads of pairs, augmented by one key.

    Returns:
      {"target_codes", "condition_codes": int32 [B, L], "target_features", "condition_features": [B, T, D]}.
    """
    sound_key, mask_key, query_key, condition_key = jax.random.split(key, 4)
    condition, target = augment((batch["condition_audio"], batch["target_audio"]), sound_key, self.sound)
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

  def _cross_entropy(self, model, inputs: Batch, missing: Mapping | None = None) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and whether the likeliest code is right, [B, L] each; `missing` as for `Transformer.replace`."""
    target = inputs["target_codes"]
    fed = jnp.concatenate([inputs["condition_codes"], target[:, :-1]], 1)
    read = inputs["condition_features"], inputs["target_features"], fed
    logits = model.transformer.target_logits(*(model.transformer.replace(*read, missing) if missing else read))
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), target)
    return losses, logits.argmax(-1) == target

  def _features(self, model, frames: jax.Array) -> jax.Array:
    # A copy: statistics that move belong to nobody, the encoder being frozen.
    encoder, running = nnx.clone(model.video_encoder), self.conventions.bn_mode == "running"
    features = encoder(prepare_frames(frames).astype(self.dtype), use_running_average=running)
    return jax.lax.stop_gradient(features)

  def evaluate(self, model, batch, key):
    mels = {name: self.mel(batch[f"{name}_audio"]) for name in ("target", "condition")}
    frames = {name: center_crop(batch[f"{name}_frames"], self.clip.frame_size) for name in ("target", "condition")}
    inputs = self._frozen(model, mels, frames)
    losses, right = self._cross_entropy(model, inputs)
    # The same with another clip's frames or example: how much each of them is used.
    with_other = lambda name: self._cross_entropy(model, {**inputs, name: jnp.roll(inputs[name], 1, 0)})[0].mean()
    scores = {
      "loss": losses.mean(),
      "code_accuracy": right.astype(jnp.float32).mean(),
      "loss_other_query": with_other("target_features"),
      "loss_other_example": with_other("condition_codes"),
    }
    # The same without what training leaves out at times.
    without = lambda what: self._cross_entropy(model, inputs, dict.fromkeys(_LEFT_OUT[what], True))[0].mean()
    return scores | {f"loss_without_{what}": without(what) for what in self.config["drop"]}

  def components(self, model):
    names = ("vqgan", "vocoder", "video_encoder", "event_head", "sync_net")
    passed = {name: getattr(model, name) for name in names if hasattr(model, name)}
    return passed | {"transformer": model.transformer.unstacked()}
