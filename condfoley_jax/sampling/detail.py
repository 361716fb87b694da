"""Gives takes what the codes do not hold of the example's sound.

A code stands for many sounds that are nearly alike: where a partial lies within its mel bins, and how rough the sound
is, is lost, in the example as in a take. Of the example both are known, what was lost and what was kept. So each frame
of a take gets what the example lost where what it kept is most like the take: as voices are converted by nearest
neighbours (kNN-VC, Baas, van Niekerk and Kamper 2023), but for what is added alone. Codes still say what happens when.
Which frame is drawn, a nearer one likelier, not the nearest taken: a sound that goes on would else get the same frame
again and again, which is heard as a hum.
"""

import jax
import jax.numpy as jnp

from condfoley_jax.shapes import Mel_BxFxM

# Distances are told apart in units of this share of the smallest: a frame as far again is e^(-1 / share) as likely.
_SHARE = 0.3
# Mean squares that are as good as none: differences of half a decibel, of mels whose 2 are 100 dB.
_ALIKE = 1e-4


def with_detail(
  keys_B: jax.Array,
  takes: Mel_BxFxM,
  example: Mel_BxFxM,
  example_decoded: Mel_BxFxM,
  span: int,
  first: int | jax.Array = 0,
) -> Mel_BxFxM:
  """Mels of takes and, added to each frame, `example - example_decoded` of one of the frames that sound like it.

  Args:
    keys_B: of each take.
    takes: decoded from codes, float32 [B, F, M] in about [-1, 1].
    example: of each take, float32 [B, F, E] in [-1, 1], at the level of the takes.
    example_decoded: the same by way of its codes.
    span: frames that are compared, the one in question in their middle; odd, static.
    first: frame of the whole takes that these begin with. A frame's draw depends on where in the take it is, so that
      parts of a take that overlap are the same there.
  """
  far = _distances(takes, example_decoded, span)
  logits = -far / (_SHARE * (far.min(axis=2, keepdims=True) + _ALIKE))
  at = first + jnp.arange(takes.shape[2])
  of_frame = lambda key, frame: jax.random.gumbel(jax.random.fold_in(key, frame), example.shape[2:])
  noise = jax.vmap(jax.vmap(of_frame, (None, 0)), (0, None))(keys_B, at)
  frames = jnp.argmax(logits + noise, axis=2)[:, None]
  return takes + jnp.take_along_axis(example - example_decoded, frames, axis=2)


def _distances(takes: jax.Array, example: jax.Array, span: int) -> jax.Array:
  """Mean squared distance of each frame with those around it, at the ends the first and the last held: [B, M, E]."""
  half = span // 2
  takes, example = (jnp.pad(x, ((0, 0), (0, 0), (half, half)), mode="edge") for x in (takes, example))
  # Differences themselves: sums of squares less products would leave rounding alone of what is alike.
  single = jnp.mean((takes[..., None] - example[:, :, None]) ** 2, axis=1)
  frames, others = (x.shape[2] - 2 * half for x in (takes, example))
  return sum(single[:, i : i + frames, i : i + others] for i in range(span)) / span
