"""Multi-resolution spectral distance between two waveforms, what a vocoder is trained on.

After Yamamoto et al., Parallel WaveGAN (ICASSP 2020), equations 4-7, with an L1 on log mel added. It does not look at
phase, so that a vocoder is free to choose one.
"""

import jax
import jax.numpy as jnp

from condfoley_jax.audio import mel, stft
from condfoley_jax.clip import ClipSpec
from condfoley_jax.shapes import Audio_BxN

_RESOLUTIONS = (512, 1024, 2048)

# Added before logarithms: what lies below the -80 dB floor of the mel is not worth fitting. A sum rather than a
# maximum, so that the gradient never vanishes.
_FLOOR = 1e-3
_MEL_FLOOR = 1e-4


def spectral_loss(predicted_BxN: Audio_BxN, target_BxN: Audio_BxN, spec: ClipSpec) -> dict[str, jax.Array]:
  """Distance of `predicted` from `target`, float32 scalars.

  Args:
    predicted_BxN, target_BxN: float32 audio at spec.sample_rate, more than 1024 samples.
    spec: the mel front end of the last term.

  Returns:
    `convergence`: Frobenius norm of the magnitudes' difference over that of the target's, mean over resolutions;
    `log_magnitude`: mean absolute difference of natural log magnitudes, mean over resolutions;
    `mel`: mean absolute difference of natural log mel magnitudes;
    `total`: their sum.
  """
  pairs = [(_magnitude(predicted_BxN, n), _magnitude(target_BxN, n)) for n in _RESOLUTIONS]
  terms = {
    "convergence": sum(_convergence(p, t) for p, t in pairs) / len(pairs),
    "log_magnitude": sum(_log_distance(p, t, _FLOOR) for p, t in pairs) / len(pairs),
    "mel": _log_distance(mel.mel_magnitude(predicted_BxN, spec), mel.mel_magnitude(target_BxN, spec), _MEL_FLOOR),
  }
  return terms | {"total": sum(terms.values())}


def _magnitude(audio_BxN: Audio_BxN, n_fft: int) -> jax.Array:
  return stft.magnitude(stft.stft(audio_BxN.astype(jnp.float32), n_fft=n_fft, hop=n_fft // 4, padding="center"))


def _convergence(predicted: jax.Array, target: jax.Array) -> jax.Array:
  # The norm's gradient is infinite at 0, hence the floors: one for a perfect prediction, one for a silent target.
  difference = jnp.sqrt(jnp.maximum(jnp.sum((predicted - target) ** 2), _FLOOR**2))
  return difference / jnp.maximum(jnp.linalg.norm(target), 1.0)


def _log_distance(predicted: jax.Array, target: jax.Array, floor: float) -> jax.Array:
  return jnp.mean(jnp.abs(jnp.log(predicted + floor) - jnp.log(target + floor)))
