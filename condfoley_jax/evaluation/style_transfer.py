"""Audio style transfer: the target's true mel, changed until its texture is the example's (paper sec. 4.1).

Gatys et al. 2015 on spectrograms, as Ulyanov 2016: features of a network say what is where (content) and what goes with
what, wherever it is (style, by Gram matrices). The paper's network saw photographs; ours hears materials. It is an
oracle: nobody has the true sound of a silent video.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from condfoley_jax.audio.mel import crop_mel, log_mel
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.classifier import VGGishish
from condfoley_jax.sampling import program
from condfoley_jax.shapes import Mel_BxFxM
from condfoley_jax.weights.folder import Weights

# The authors took 300 steps. On a pair of the world our loss was 1.06 after 30, 1.05 after 100 and 1.04 after 300.
STYLE_WEIGHT, STEPS = 1e6, 50


def restyled(weights: Weights, network: VGGishish, target: np.ndarray, example: np.ndarray) -> np.ndarray:
  """Audio float32 [N] of a target [N] in the style of an example [N], both in [-1, 1], by the weights' vocoder."""
  made = _restyled(weights.components, network, target[None], example[None], weights.clip, weights.conventions)
  return np.asarray(made[0])


@functools.partial(jax.jit, static_argnames=("spec", "conventions"))
def _restyled(
  parts: program.Parts,
  network: VGGishish,
  target: jax.Array,
  example: jax.Array,
  spec: ClipSpec,
  conventions: Conventions,
) -> jax.Array:
  mel = lambda audio: crop_mel(log_mel(audio, spec), spec, conventions.crop)
  content, _ = program.levelled(target, conventions)
  style, gain = program.levelled(example, conventions)
  made = program.vocode(parts["vocoder"], style_transfer(network, mel(content), mel(style)), spec, conventions)
  return program.limit(program.placed(made, target.shape[1], spec, conventions) / gain)


@functools.partial(jax.jit, static_argnames="steps")
def style_transfer(network: VGGishish, content: Mel_BxFxM, style: Mel_BxFxM, steps: int = STEPS) -> Mel_BxFxM:
  """The mel of least loss that L-BFGS finds from `content` on.

  The loss is the mean squared difference from the content's features in the last block, and `STYLE_WEIGHT` times that
  from the style's Gram matrices in all blocks.

  Args:
    network: whose features are compared.
    content, style: float32 [B, F, M] in [-1, 1].
    steps: of the search.

  Returns:
    float32 [B, F, M] in [-1, 1].
  """
  features = lambda mel: network.features(network.scaling(mel))
  wanted, textures = features(content)[-1], [_gram(x) for x in features(style)]

  def loss(mel: Mel_BxFxM) -> jax.Array:
    found = features(mel)
    apart = sum(jnp.mean((_gram(x) - y) ** 2) for x, y in zip(found, textures, strict=True))
    return jnp.mean((found[-1] - wanted) ** 2) + STYLE_WEIGHT * apart

  search = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(loss)

  def step(_: int, state: tuple) -> tuple:
    mel, memory = state
    value, gradient = value_and_grad(mel, state=memory)
    change, memory = search.update(gradient, memory, mel, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(mel, change), memory

  mel, _ = lax.fori_loop(0, steps, step, (content, search.init(content)))
  return jnp.clip(mel, -1, 1)


def _gram(x: jax.Array) -> jax.Array:
  """How much goes with what: [B, C, C] of features [B, F, M, C], per position and channel."""
  _, height, width, channels = x.shape
  return jnp.einsum("bfmc,bfmd->bcd", x, x) / (height * width * channels)
