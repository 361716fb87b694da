"""What the train loop asks of a stage, and what stages share."""

import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.audio.mel import crop_mel, log_mel, rms_normalise
from condfoley_jax.augmentation.picture import PictureAugmentation
from condfoley_jax.augmentation.sound import SoundAugmentation
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.keys import Keys
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM
from condfoley_jax.weights import folder, registry
from data_pipelines import pipeline

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
# (model, batch, key) -> (loss, metrics)
LossFn = Callable[[nnx.Module, Batch, jax.Array], tuple[jax.Array, Metrics]]


class Stage(abc.ABC):
  """One trained thing: its model, its losses, its evaluation.

  Attributes:
    config: the whole run's config.
    clip: the grid it is trained for.
    conventions: how its weights are used; training follows the same.
    sound, picture: how training changes sound and frames.
    batches: `clips` or `pairs`, what the data pipeline feeds.
    phases: of the training, in order.
    shown: examples of a validation batch that `pictures` is given; 0 where it shows nothing.
    pretrained_ids: of the folders that weights were read from, by their names in config.pretrained.

  Args:
    config: as above.
    read: whether pretrained parts are read. Otherwise they are built as config.model describes them, or left out where
      it does not: enough for compiling. An LPAPS, and what training begins from, are read all the same where the
      config names them.
  """

  batches: str
  phases: tuple[str, ...] = ("train",)
  shown = 0

  def __init__(self, config: Mapping[str, Any], *, read: bool = True):
    self.config, self._read = config, read
    self.pretrained_ids: dict[str, str] = {}
    self.clip = config_tree.from_dict(ClipSpec, config["clip"])
    self.conventions = config_tree.from_dict(Conventions, config["conventions"])
    self.dtype = jnp.dtype(config["dtype"])
    self.sound = config_tree.from_dict(SoundAugmentation, config["sound"])
    self.picture = config_tree.from_dict(PictureAugmentation, config["picture"])

  @abc.abstractmethod
  def create(self, rngs: Keys) -> nnx.Module:
    """The model; its attributes that config.optimizers names are trained, others with parameters are frozen."""

  def example_shapes(self, *, validation: bool = False) -> dict[str, tuple[str, tuple[int, ...]]]:
    """(dtype, shape) of each array of one example that the step reads, or validation."""
    del validation
    return pipeline.example_shapes(self.clip, pairs=self.batches == "pairs")

  def phase(self, step: int) -> str:
    """The one of `phases` that step (from 0) belongs to. Each is compiled by itself."""
    del step
    return self.phases[0]

  def steps_of(self, player: str) -> int:
    """Steps that update a player, over which its learning rate's schedule goes."""
    del player
    return self.config["steps"]

  @abc.abstractmethod
  def losses(self, phase: str) -> dict[str, LossFn]:
    """Per player of that phase, a function (model, batch, key) -> (loss, metrics), in the order of their updates."""

  def after_step(self, model: nnx.Module) -> None:
    """Changes `model` in place after each update, within the compiled step."""
    del model

  @abc.abstractmethod
  def evaluate(self, model: nnx.Module, batch: Batch, key: jax.Array) -> Metrics:
    """Mean scores of one validation batch; pure, compiled."""

  def scores(self, means: dict[str, float]) -> dict[str, float]:
    """What the means over the validation batches of what `evaluate` gives come to."""
    return means

  def pictures(self, model: nnx.Module, batch: Batch, key: jax.Array) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(uint8 [H, W, 3] images, float32 [N] sounds) of at most `shown` examples, to look at and listen to."""
    del model, batch, key
    return {}, {}

  @abc.abstractmethod
  def components(self, model: nnx.Module) -> dict[str, nnx.Module]:
    """What goes into the run's weights folder, by name."""

  def mel(self, audio: Audio_BxN) -> Mel_BxFxM:
    """What the models are trained on: the mel of whole clips, its central frames where they read fewer."""
    if self.conventions.level == "rms":
      audio = rms_normalise(audio)
    return crop_mel(log_mel(audio, self.clip), self.clip, "center")

  def build(self, kind: str, rngs: Keys) -> nnx.Module:
    """The component that the config's `model` section describes."""
    return registry.build(kind, self.config["model"][kind], dtype=self.dtype, rngs=rngs)

  def pretrained(self, key: str, *names: str) -> dict[str, nnx.Module]:
    """Components of the weights folder that `config.pretrained[key]` names."""
    if not self._read:
      return {name: self.build(name, Keys(0)) for name in names if name in self.config["model"]}
    return self.read_pretrained(key, *names)

  def read_pretrained(self, key: str, *names: str, optional: tuple[str, ...] = ()) -> dict[str, nnx.Module]:
    """As `pretrained`, but read in any case, and those of `optional` where they are there."""
    directory = Path(self.config["pretrained"][key])
    weights = folder.load(directory, only=names, optional=optional, dtype=self.dtype)
    self.pretrained_ids[key] = weights.id
    return weights.components


class Trained(nnx.Module):
  """A stage's model: components by name."""

  def __init__(self, **parts: nnx.Module):
    for name, part in parts.items():
      setattr(self, name, part)
