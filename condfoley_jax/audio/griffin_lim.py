"""Mel to audio without a network: least-squares magnitudes and the fast Griffin-Lim algorithm."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from condfoley_jax.audio import mel, stft
from condfoley_jax.clip import ClipSpec
from condfoley_jax.shapes import Audio_BxN, Mel_BxFxM

_MAGNITUDE_STEPS = 20
_PHASE_STEPS = 32
_MOMENTUM = 0.99


def griffin_lim(mel_BxFxM: Mel_BxFxM, spec: ClipSpec, key: jax.Array) -> Audio_BxN:
  """Audio whose mel is close to the one given (Perraudin, Balazs and Sondergaard, WASPAA 2013, algorithm 2).

  Args:
    mel_BxFxM: float32 in [-1, 1].
    spec: the front end that made the mel; static under jit.
    key: draws the initial phase.

  Returns:
    float32 [B, M * hop], unclipped. With `center` padding the last hop is silent: no frame reaches beyond its centre.
  """
  magnitude = mel_to_magnitude(mel.linear_mel(mel_BxFxM), spec)
  audio = _invert(_estimate_phase(magnitude, spec, key), spec)
  return jnp.pad(audio, ((0, 0), (0, mel_BxFxM.shape[-1] * spec.hop - audio.shape[1])))


def mel_to_magnitude(magnitude_BxFxM: Mel_BxFxM, spec: ClipSpec) -> jax.Array:
  """Non-negative STFT magnitudes [B, M, n_fft // 2 + 1] whose mel is close, in least squares, to `magnitude_BxFxM`.

  The clipped pseudo-inverse, refined by multiplicative steps (Lee and Seung, NeurIPS 2000), which keep the sign.
  """
  bank = mel.mel_bank(spec)
  target = magnitude_BxFxM.swapaxes(1, 2)
  wanted = target @ bank

  def step(_, x):
    return x * wanted / jnp.maximum(x @ bank.T @ bank, 1e-9)

  return jax.lax.fori_loop(0, _MAGNITUDE_STEPS, step, jnp.maximum(target @ _inverse_bank(spec), 1e-6))


def _estimate_phase(magnitude: jax.Array, spec: ClipSpec, key: jax.Array) -> jax.Array:
  """Spectrum with these magnitudes and a phase that overlapping frames agree on, complex64 [B, M, n_fft // 2 + 1]."""

  def step(_, carry):
    spectrum, previous = carry
    audio = _invert(spectrum, spec)
    consistent = stft.stft(audio, n_fft=spec.n_fft, hop=spec.hop, padding=spec.mel_padding)
    return _with_phase(magnitude, consistent + _MOMENTUM * (consistent - previous)), consistent

  phase = jax.random.uniform(key, magnitude.shape, maxval=2 * np.pi)
  start = jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))
  return jax.lax.fori_loop(0, _PHASE_STEPS, step, (start, jnp.zeros_like(start)))[0]


def _invert(spectrum: jax.Array, spec: ClipSpec) -> Audio_BxN:
  return stft.istft(spectrum, hop=spec.hop, padding=spec.mel_padding)


def _with_phase(magnitude: jax.Array, spectrum: jax.Array) -> jax.Array:
  return spectrum * (magnitude / stft.magnitude(spectrum))


@functools.cache
def _inverse_bank(spec: ClipSpec) -> np.ndarray:
  """Pseudo-inverse of the bank, float32 [F, n_fft // 2 + 1]."""
  return np.linalg.pinv(mel.mel_bank(spec)).T.astype(np.float32)
