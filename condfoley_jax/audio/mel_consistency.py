"""Brings a vocoder's sound nearer to the mel that it was made from.

A vocoder that is small, or was not trained for long, misses the mel by some dB, most where a few partials ring. As in
Griffin and Lim (1984) the spectrum's magnitudes are corrected and its phases kept, again and again, with what a mel
says in place of magnitudes: each band's gain is spread over the bins that it is made of.
"""

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.audio import stft
from condfoley_jax.audio.mel import linear_mel, mel_bank
from condfoley_jax.clip import ClipSpec
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM

# The floor of a mel, below which nothing is made louder; and how far one pass changes a band at most.
_FLOOR, _MOST = 1e-4, 100.0


def closer_to_mel(audio_BxN: Audio_BxN, mel_BxFxM: Mel_BxFxM, spec: ClipSpec, passes: int) -> Audio_BxN:
  """The sound whose mel is nearer to the one given, the more so the more passes there are.

  Args:
    audio_BxN: float32, M * spec.hop samples.
    mel_BxFxM: float32 in [-1, 1] of `spec`.
    spec: of the mel.
    passes: each costs an STFT and its inverse; static.

  Returns:
    float32 [B, N], unclipped.
  """
  bank, wanted = mel_bank(spec), linear_mel(mel_BxFxM)
  # Triangles whose sum is 1 wherever there is a band; what lies in none stays as it is.
  share = bank / np.maximum(bank.sum(0), 1e-8)
  kept = (bank.sum(0) == 0).astype(np.float32)
  exact = {"precision": jax.lax.Precision.HIGHEST}
  for _ in range(passes):
    spectrum = stft.stft(audio_BxN, n_fft=spec.n_fft, hop=spec.hop, padding=spec.mel_padding)
    there = jnp.einsum("bmq,fq->bfm", stft.magnitude(spectrum), bank, **exact)
    # With `center` there is a frame more than the vocoder read.
    more = there.shape[-1] - wanted.shape[-1]
    gain = jnp.pad(wanted, ((0, 0), (0, 0), (0, more)), mode="edge") / jnp.maximum(there, _FLOOR)
    gain = jnp.einsum("bfm,fq->bmq", jnp.clip(gain, 1 / _MOST, _MOST), share, **exact) + kept
    audio_BxN = stft.istft(spectrum * gain, hop=spec.hop, padding=spec.mel_padding)
  return audio_BxN
