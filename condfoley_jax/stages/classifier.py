"""Stage `classifier`: what sounds in a mel picture, by material and by action (paper sec. 4: the judges)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from condfoley_jax.augmentation.sound import augment, mask_mel
from condfoley_jax.figures import spectrogram_grid
from condfoley_jax.models.keys import Keys
from condfoley_jax.stages.scores import mean_where
from condfoley_jax.stages.stage import Batch, Stage, Trained
from condfoley_jax.weights import registry
from data_pipelines.builders.events import ACTIONS, MATERIALS

CLASSES = {"material": MATERIALS, "action": ACTIONS}


class ClassifierStage(Stage):
  """A player, and a network of its own, for each kind of label. Only clips of one material and one action count."""

  batches = "clips"
  shown = 8

  def create(self, rngs: Keys) -> nnx.Module:
    return Trained(**{_part(label): self._network(label, rngs) for label in CLASSES})

  def _network(self, label: str, rngs: Keys) -> nnx.Module:
    network = registry.build("vggishish", self.config["model"][_part(label)], dtype=self.dtype, rngs=rngs)
    for name in ("mean", "deviation"):
      values = getattr(network.scaling, name)
      values[...] = jnp.broadcast_to(jnp.asarray(self.config["standardise"][name], jnp.float32), values.shape)
    if directory := self.config["pretrained"]["vggishish"]:
      found = self.read_pretrained("vggishish", "vggishish")["vggishish"]
      if found.config.widths != network.config.widths:
        raise ValueError(f"{directory}: a classifier of other widths than config.model.{_part(label)}")
      network.features = found.features
    return network

  def losses(self, phase: str):
    return {_part(label): functools.partial(self._loss, label) for label in CLASSES}

  def _loss(self, label: str, model, batch: Batch, key: jax.Array):
    sound_key, mask_key = jax.random.split(key)
    (audio,) = augment((batch["audio"],), sound_key, self.sound)
    mel = mask_mel(self.mel(audio), mask_key, self.sound)
    losses, right = _judged(getattr(model, _part(label))(mel), batch[label])
    known = _known(batch)
    loss = mean_where(losses, known)
    return loss, {f"{label}_loss": loss, f"{label}_accuracy": mean_where(right, known)}

  def evaluate(self, model, batch, key):
    mel, known = self.mel(batch["audio"]), _known(batch)
    means = {"known": jnp.mean(known)}
    for label, names in CLASSES.items():
      losses, right = _judged(getattr(model, _part(label))(mel), batch[label])
      means[f"{label}_loss"] = jnp.mean(losses * known)
      for i, name in enumerate(names):
        there = known * (batch[label] == i)
        means |= {f"{label}_share/{name}": jnp.mean(there), f"{label}_right/{name}": jnp.mean(there * right)}
    return means

  def scores(self, means: dict[str, float]) -> dict[str, float]:
    """Losses and accuracies per class and overall of the means of what `evaluate` gives; classes not seen are left out.

    A class's accuracy is the share of its clips that are told right.
    """
    found = {}
    for label, names in CLASSES.items():
      share, right = ({n: means[f"{label}_{what}/{n}"] for n in names} for what in ("share", "right"))
      seen = [n for n in names if share[n] > 0]
      found[f"{label}_loss"] = means[f"{label}_loss"] / max(means["known"], 1e-9)
      found[f"{label}_accuracy"] = sum(right.values()) / max(sum(share.values()), 1e-9)
      found |= {f"{label}_accuracy/{n}": right[n] / share[n] for n in seen}
    return {"loss": sum(found[f"{label}_loss"] for label in CLASSES), **found}

  def pictures(self, model, batch, key):
    mel = self.mel(batch["audio"])
    columns = []
    for label, names in CLASSES.items():
      guesses = np.asarray(getattr(model, _part(label))(mel).argmax(-1))
      true = [names[i] if i >= 0 else "several" for i in np.asarray(batch[label])]
      columns.append([f"{t} ({names[g]}?)" for t, g in zip(true, guesses, strict=True)])
    return {
      "classifier": spectrogram_grid(list(np.asarray(mel)), [", ".join(row) for row in zip(*columns, strict=True)])
    }, {}

  def components(self, model):
    return {_part(label): getattr(model, _part(label)) for label in CLASSES}


def _part(label: str) -> str:
  return f"{label}_classifier"


def _known(batch: Batch) -> jax.Array:
  """1 for clips of one material and one action, float32 [B]."""
  return ((batch["material"] >= 0) & (batch["action"] >= 0)).astype(jnp.float32)


def _judged(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Cross-entropy and whether the likeliest class is right, float32 [B] each; of no meaning where the label is -1."""
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
  return losses, (logits.argmax(-1) == labels).astype(jnp.float32)
