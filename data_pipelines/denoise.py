"""Removal of background noise, as the published system does for Countix-AV."""

import numpy as np

# Window and hop of the gate, samples.
_N_FFT = 1024
_HOP = 256


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

  return noisereduce.reduce_noise(y=audio_N, sr=sample_rate, n_fft=_N_FFT, hop_length=_HOP)
