"""What the synchronisation network hears (Iashin et al., BMVC 2022, "Sparse in Space and Time")."""

import jax
import jax.numpy as jnp

from condfoley_jax.audio import stft
from condfoley_jax.shapes import Audio_BxN

# The network was trained at this rate and on clips of this length.
SAMPLE_RATE = 16_000
SECONDS = 5
SAMPLES = SAMPLE_RATE * SECONDS
_N_FFT = 512
_HOP = 128
_EPS = 1e-6


def sync_spectrogram(audio_BxN: Audio_BxN) -> jax.Array:
  """Log power spectrogram, each frequency with mean 0 and (unbiased) deviation 1 over time.

  Args:
    audio_BxN: float32 [B, N] in [-1, 1] at 16 kHz (see `resample`), N <= 80 000; silence is added up to 5 s.

  Returns:
    float32 [B, 257, 626], lowest frequency first; 0 where a frequency never changes, as in silence.

  Raises:
    ValueError: the audio is longer than 5 s.
  """
  missing = SAMPLES - audio_BxN.shape[1]
  if missing < 0:
    raise ValueError(f"{audio_BxN.shape[1]} samples are more than the {SAMPLES} that can be compared")
  audio = jnp.pad(audio_BxN.astype(jnp.float32), ((0, 0), (0, missing)))
  spectrum = stft.stft(audio, n_fft=_N_FFT, hop=_HOP, padding="center")
  power = spectrum.real**2 + spectrum.imag**2
  return _standardise(jnp.log(power + _EPS)).swapaxes(1, 2)


def _standardise(x_BxMxQ: jax.Array) -> jax.Array:
  # Changes nothing but the rounding: the mean of equal values must be that value, for _EPS is as small as its error.
  x = x_BxMxQ - x_BxMxQ[:, :1]
  deviation = jnp.std(x, axis=1, keepdims=True, ddof=1)
  return (x - x.mean(axis=1, keepdims=True)) / (deviation + _EPS)
