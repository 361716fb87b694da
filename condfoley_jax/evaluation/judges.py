"""What tells materials, actions and timing in generated sound: networks of the stages `classifier` and `sync`.

A verdict on a generated sound is compared with the verdict on a true one (paper sec. 4.1), so that what a judge cannot
hear costs no system anything. How often judges are right on true sound is reported beside every number of theirs.
They are trained for nothing but judging: takes are ranked by other networks.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.models.classifier import VGGishish
from condfoley_jax.models.sync_net import SyncNet
from condfoley_jax.models.video_encoder import prepare_frames
from condfoley_jax.weights import folder
from data_pipelines.errors import InputError

SHIPPED = folder.SHIPPED.with_name("judges")
# What each weights folder in there must hold.
PARTS = {"classifier": ("material_classifier", "action_classifier"), "sync": ("sync_net",)}


class Verdict(NamedTuple):
  """What is heard in one sound.

  Attributes:
    material, action: index into `events.MATERIALS`, `events.ACTIONS`.
    embedding: float32 [D], of the material's judge.
    offset_s: how much later the sound is than the picture, s.
  """

  material: int
  action: int
  embedding: np.ndarray
  offset_s: float


class Judges:
  """The judges of a folder, of clips like `spec`.

  Args:
    spec: of what is judged.
    directory: holds a weights folder for each of `PARTS`, or the folder of the run that trained it.
    of: the weights that are judged, for messages.

  Attributes:
    furthest_s: the largest offset that they can tell, s.

  Raises:
    InputError: one is missing or damaged, or is for other clips.
  """

  def __init__(self, spec: ClipSpec, directory: Path = SHIPPED, *, of: Path):
    places = [_weights_of(directory / name) for name in PARTS]
    classifier, sync = (folder.load(place, only=parts) for place, parts in zip(places, PARTS.values(), strict=True))
    for place, weights in zip(places, (classifier, sync), strict=True):
      if weights.clip != spec:
        remedy = "evaluate weights of the judges' preset, or name judges of theirs by --judges"
        raise InputError(f"{of}: makes other clips than those that {place} judges; {remedy}")
    self.spec, self.id = spec, f"{classifier.id} {sync.id}"
    self._classifiers = [classifier.components[part] for part in PARTS["classifier"]]
    self._sync: SyncNet = sync.components["sync_net"]
    self.furthest_s = float(self._sync.config.offsets_s(self.spec.fps).max())

  @property
  def material(self) -> VGGishish:
    """The judge of material."""
    return self._classifiers[0]

  def watch(self, frames: np.ndarray) -> jax.Array:
    """What is seen in frames uint8 [T, S, S, 3], the same for all sounds to them."""
    return _watch(self._sync, frames[None])

  def __call__(self, audio_N: np.ndarray, seen: jax.Array) -> Verdict:
    """Verdict on mono audio [N] in [-1, 1] at the rate of `spec`, as long as the frames that `watch` saw."""
    sound = np.asarray(audio_N, np.float32)[None]
    (material, embedding), (action, _) = (_classify(network, sound, self.spec) for network in self._classifiers)
    offset = int(_offsets(self._sync, sound, seen, self.spec)[0].argmax())
    offset_s = float(self._sync.config.offsets_s(self.spec.fps)[offset])
    return Verdict(int(material[0].argmax()), int(action[0].argmax()), np.asarray(embedding[0]), offset_s)


def _weights_of(directory: Path) -> Path:
  """The folder itself, or that of the weights where it is a run's."""
  return directory / "weights" if (directory / "weights").is_dir() else directory


@functools.partial(jax.jit, static_argnames="spec")
def _classify(network: nnx.Module, audio: jax.Array, spec: ClipSpec) -> tuple[jax.Array, jax.Array]:
  """Logits [1, classes] and embedding [1, D]."""
  embedding = network.embed(log_mel(audio, spec))
  return network.layers[-1](embedding), embedding


@jax.jit
def _watch(network: SyncNet, frames: jax.Array) -> jax.Array:
  return network.see(prepare_frames(frames).astype(jnp.float32), use_running_average=True)


@functools.partial(jax.jit, static_argnames="spec")
def _offsets(network: SyncNet, audio: jax.Array, seen: jax.Array, spec: ClipSpec) -> jax.Array:
  """Logits [1, classes]."""
  return network.compare(seen, network.hear(log_mel(audio, network.config.grid(spec))))
