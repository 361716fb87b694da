"""Gives takes what the codes do not hold of the example's sound.

A code stands for many sounds that are nearly alike: where a partial lies within its mel bins, and how rough the sound
is, is lost, in the example as in a take. Of the example both are known, what was lost and what was kept. So each frame
of a take gets what the example lost where what it kept is most like the take: as voices are converted by nearest
neighbours (kNN-VC, Baas, van Niekerk and Kamper 2023), but for what is added alone. Codes still say what happens when.
"""

import jax
import jax.numpy as jnp

from condfoley_jax.shapes import Mel_BxFxM


def with_detail(takes: Mel_BxFxM, example: Mel_BxFxM, example_decoded: Mel_BxFxM, span: int) -> Mel_BxFxM:
  """Mels of takes and, added to each frame, `example - example_decoded` where the example sounds most like it.

  Args:
    takes: decoded from codes, float32 [B, F, M] in about [-1, 1].
    example: of each take, float32 [B, F, E] in [-1, 1], at the level of the takes.
    example_decoded: the same by way of its codes.
    span: frames that are compared, the one in question in their middle; odd, static.
  """
  ours, theirs = _spans(takes, span), _spans(example_decoded, span)
  exact = jax.lax.Precision.HIGHEST
  # Squared distance but for what is the same for all frames of the example.
  far = jnp.sum(theirs**2, 1)[:, None] - 2 * jnp.einsum("bfm,bfe->bme", ours, theirs, precision=exact)
  nearest = jnp.argmin(far, axis=-1)
  return takes + jnp.take_along_axis(example - example_decoded, nearest[:, None], axis=2)


def _spans(mel: jax.Array, span: int) -> jax.Array:
  """Each frame with those around it, [B, F * span, M]; at the ends the last one is held."""
  half = span // 2
  padded = jnp.pad(mel, ((0, 0), (0, 0), (half, half)), mode="edge")
  return jnp.concatenate([padded[..., i : i + mel.shape[2]] for i in range(span)], axis=1)
