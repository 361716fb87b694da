"""Removal of background noise, as the published system does for Countix-AV."""

import numpy as np

# Window and hop of the gate, samples.
_N_FFT = 1024
_HOP = 256
# Amplitude of the noise beneath digital silence, far below the last of 24 bits: the gate divides by what was heard
# lately, and would answer NaN for half a minute around a silence of that length.
_FLOOR = 1e-9


def denoise(audio_N: np.ndarray, sample_rate: int) -> np.ndarray:
  """Spectral gate whose threshold follows the sound, with the published settings (Sainburg et al., noisereduce).

  Args:
    audio_N: float32 [N] in [-1, 1], any N >= 1.
    sample_rate: Hz.

  Returns:
    float32 [N].
  """
  # Imported here: it loads SciPy, and most of the package does without it.
  import noisereduce

  floor_N = _FLOOR * np.random.default_rng(0).standard_normal(len(audio_N), np.float32)
  return noisereduce.reduce_noise(y=audio_N + floor_N, sr=sample_rate, n_fft=_N_FFT, hop_length=_HOP)
