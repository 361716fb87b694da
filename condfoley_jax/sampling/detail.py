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
  keys_B: jax.Array, takes: Mel_BxFxM, example: Mel_BxFxM, example_decoded: Mel_BxFxM, span: int
) -> Mel_BxFxM:
  """Mels of takes and, added to each frame, `example - example_decoded` of one of the frames that sound like it.

  Args:
    keys_B: of each take.
    takes: decoded from codes, float32 [B, F, M] in about [-1, 1].
    example: of each take, float32 [B, F, E] in [-1, 1], at the level of the takes.
    example_decoded: the same by way of its codes.
    span: frames that are compared, the one in question in their middle; odd, static.
  """
  # Silence is -1. From 0 on, what is quiet has small squares, which do not hide how little it differs.
  ours, theirs = _spans(takes + 1, span), _spans(example_decoded + 1, span)
  exact = jax.lax.Precision.HIGHEST
  far = jnp.sum(ours**2, 1)[:, :, None] + jnp.sum(theirs**2, 1)[:, None]
  far = far - 2 * jnp.einsum("bfm,bfe->bme", ours, theirs, precision=exact)
  far = jnp.maximum(far, 0) / ours.shape[1]
  logits = -far / (_SHARE * (far.min(axis=2, keepdims=True) + _ALIKE))
  # All at once, so that a take's draws do not depend on which others are made with it.
  noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:]))(keys_B)
  frames = jnp.argmax(logits + noise, axis=2)[:, None]
  return takes + jnp.take_along_axis(example - example_decoded, frames, axis=2)


def _spans(mel: jax.Array, span: int) -> jax.Array:
  """Each frame with those around it, [B, F * span, M]; at the ends the first and the last are held."""
  half = span // 2
  padded = jnp.pad(mel, ((0, 0), (0, 0), (half, half)), mode="edge")
  return jnp.concatenate([padded[..., i : i + mel.shape[2]] for i in range(span)], axis=1)
