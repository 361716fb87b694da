"""What tells materials and actions in generated sound: the networks of the stage `classifier`.

A verdict on a generated sound is compared with the verdict on a true one (paper sec. 4.1), so that what a judge cannot
hear costs no system anything. How often judges are right on true sound is reported beside every number of theirs.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.weights import folder

SHIPPED = folder.SHIPPED.with_name("judges")
PARTS = ("material_classifier", "action_classifier")


class Verdict(NamedTuple):
  """material, action: index into `events.MATERIALS`, `events.ACTIONS`; embedding: float32 [D], of the material's."""

  material: int
  action: int
  embedding: np.ndarray


class Judges:
  """The two classifiers of a weights folder.

  Args:
    directory: holds both.

  Raises:
    InputError: it does not, or is damaged.
  """

  def __init__(self, directory: Path = SHIPPED):
    weights = folder.load(directory, only=PARTS)
    self.spec, self.id = weights.clip, weights.id
    self._parts = [weights.components[part] for part in PARTS]

  def __call__(self, audio_N: np.ndarray) -> Verdict:
    """Verdict on mono audio [N] in [-1, 1] at the rate of `spec`, of about a clip's length."""
    sound = np.asarray(audio_N, np.float32)[None]
    (material, embedding), (action, _) = (_judge(part, sound, self.spec) for part in self._parts)
    return Verdict(int(material[0].argmax()), int(action[0].argmax()), np.asarray(embedding[0]))


@functools.partial(jax.jit, static_argnames="spec")
def _judge(network: nnx.Module, audio: jax.Array, spec: ClipSpec) -> tuple[jax.Array, jax.Array]:
  """Logits [1, classes] and embedding [1, D]."""
  embedding = network.embed(log_mel(audio, spec))
  return network.layers[-1](embedding), embedding
