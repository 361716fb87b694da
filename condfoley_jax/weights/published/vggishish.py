"""Published VGGish-ish weights in our names and shapes."""

import re

import numpy as np

from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.weights.published import layers
from condfoley_jax.weights.published.layers import State
from condfoley_jax.weights.published.vggsound_statistics import DEVIATIONS, MEANS

# The classifier that all others started from; it alone reads mels in [0, 1], as its statistics do.
VGGSOUND_CLASSES = 309


def config_from_torch(state: State) -> VGGishishConfig:
  """Sizes of a published classifier from its tensors.

  Raises:
    ValueError: a tensor that tells one is missing or has another number of axes.
  """
  hidden, classes = (layers.shape(state, f"classifier.{i}.weight", 2)[0] for i in (0, 4))
  return VGGishishConfig(classes, len(MEANS), block_widths(state, r"features\."), hidden=hidden)


def params_from_torch(state: State, config: VGGishishConfig) -> State:
  """Maps PyTorch tensors to our flat parameters and input statistics.

  The classifiers of Greatest Hits were trained on mels in [-1, 1] standardised by numbers meant for [0, 1]: we keep to
  that.

  Args:
    state: tensors by name.
    config: gives the blocks.

  Raises:
    ValueError: lists the tensors that are missing, of another shape, or left over.
  """
  doubled = config.classes == VGGSOUND_CLASSES
  params = statistics(*((2 * MEANS - 1, 2 * DEVIATIONS) if doubled else (MEANS, DEVIATIONS)))
  with layers.taking(state, layers.shapes_of(VGGishish, config)) as state:
    for block, indices in enumerate(conv_indices(config.widths)):
      for i, index in enumerate(indices):
        params |= layers.conv2d(state, f"features.{index}", f"features/blocks/{block}/{i}")
    for i in range(3):
      params |= layers.linear(state, f"classifier.{2 * i}", f"layers/{i}")
    # PyTorch flattens channels first, we flatten them last.
    by_channel = params["layers/0/kernel"].reshape(-1, *config.pool, config.hidden)
    params["layers/0/kernel"] = by_channel.transpose(1, 2, 0, 3).reshape(-1, config.hidden)
  return params


def statistics(mean: np.ndarray, deviation: np.ndarray) -> State:
  """Input statistics [F] under our names."""
  return {"scaling/mean": mean, "scaling/deviation": deviation}


def block_widths(state: State, prefix: str) -> tuple[tuple[int, ...], ...]:
  """Channels of the convolutions, block by block; behind the pattern `prefix` is the index among all layers.

  Raises:
    ValueError: there are none, or the weight of one is missing or has another number of axes.
  """
  pattern = re.compile(rf"({prefix}([0-9]+))\.(weight|bias)")
  names = {int(m[2]): m[1] for name in state if (m := pattern.fullmatch(name))}
  if not names:
    raise ValueError("no convolutions of a VGG")
  found = {index: layers.shape(state, f"{name}.weight", 4)[0] for index, name in names.items()}
  # An activation lies between the convolutions of a block, a pooling too between blocks.
  blocks: list[list[int]] = []
  for index in sorted(found):
    if index - 2 not in found:
      blocks.append([])
    blocks[-1].append(found[index])
  return tuple(map(tuple, blocks))


def conv_indices(widths: tuple[tuple[int, ...], ...]) -> list[list[int]]:
  """Index of each convolution among all layers of the published VGG, block by block."""
  starts = np.cumsum([0] + [2 * len(block) + 1 for block in widths])
  return [[int(start) + 2 * i for i in range(len(block))] for start, block in zip(starts[:-1], widths, strict=True)]
