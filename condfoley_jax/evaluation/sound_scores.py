"""How alike two sounds are: sample by sample of the clock, in the character of their onsets, or as sets.

Audio is mono float [N] in [-1, 1]; the two sounds of a pair have one rate and one length. Front ends are fixed here and
are not a model's, so that systems with different ones are compared by the same numbers.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy.fft import dct
from scipy.sparse import csr_array

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.mel import bank

# Mel cepstra: window, s, to the nearest power of two samples (1,024 at 22,050 Hz), in hops of a quarter; bands from 0
# to half the rate on the Slaney scale; coefficients 1 to 13.
_MEL_WINDOW_S, _BANDS, _CEPSTRA = 0.0464, 80, 13
# Magnitudes below this are silence: -80 dB, where the mel front end ends too.
_MEL_FLOOR = 1e-4

# Windows of the multi-resolution distance, samples, each with hops of a quarter (Parallel WaveGAN's sizes).
_RESOLUTIONS = (512, 1024, 2048)
_STFT_FLOOR = 1e-3
# Least norm of a spectrum that a difference is measured in: that of sound far below hearing.
_LEAST_NORM = 1.0


class StftDistance(NamedTuple):
  """Mean over three resolutions, >= 0; convergence: 0 is equal, 1 what silence has; log_magnitude: in nepers."""

  convergence: float
  log_magnitude: float

  @property
  def total(self) -> float:
    """Their sum, what is usually reported."""
    return self.convergence + self.log_magnitude


def mcd(result_N: np.ndarray, target_N: np.ndarray, rate: int) -> float:
  """Mel-cepstral distortion, dB, >= 0: mean over frames of 10 / ln 10 * sqrt(2 * sum over k = 1..13 of dc_k ** 2).

  Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", 1993, in the form of Kominek,
  Schultz and Black, SLTU 2008, eq. 1. The cepstra c_k are those in ln |mel|(band) = c_0 + sum of c_k * cos(...), so
  that it is the RMS difference of smooth mel spectra in dB. Frames are compared at the same time, never warped, since
  timing is what is judged. c_0, the level, is left out: a gain costs nothing as long as nothing falls below -80 dB, and
  silence is no more than a flat spectrum. It tells reconstructions apart; it does not tell that there is no sound.

  Raises:
    ValueError: lengths differ, or are below 2,048 samples.
  """
  _check(result_N, target_N)
  difference = _mel_cepstra(result_N, rate) - _mel_cepstra(target_N, rate)
  return float(np.mean(10 / np.log(10) * np.sqrt(2 * np.sum(difference**2, axis=0))))


def stft_distance(result_N: np.ndarray, target_N: np.ndarray) -> StftDistance:
  """Multi-resolution STFT distance (Yamamoto, Song and Kim, Parallel WaveGAN, ICASSP 2020, eq. 4-7); phase is not seen.

  convergence: norm of the magnitudes' difference over that of the target's; log_magnitude: mean absolute difference of
  natural logarithms of magnitudes, 1e-3 added. Windows of 512, 1,024 and 2,048 samples.

  Raises:
    ValueError: lengths differ, or are below 2,048 samples.
  """
  _check(result_N, target_N)
  terms = [_stft_terms(_magnitude(result_N, n, n // 4), _magnitude(target_N, n, n // 4)) for n in _RESOLUTIONS]
  return StftDistance(*(float(term) for term in np.mean(terms, axis=0)))


def frechet_distance(first_NxD: np.ndarray, second_NxD: np.ndarray) -> float:
  """Fréchet distance of the Gaussians with the mean and covariance of two sets of embeddings, squared as usual, >= 0.

  |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2). The last trace is the sum of the singular values of
  S1^1/2 S2^1/2: no square root of a matrix that rounding has made asymmetric or indefinite. Sets with fewer items than
  dimensions are allowed. Small sets lie further apart than large ones from the same source: compare equal sizes.

  Args:
    first_NxD, second_NxD: float [N, D], [M, D], any units.

  Raises:
    ValueError: fewer than 2 embeddings, other dimensions, or a value that is not finite.
  """
  first, second = (np.asarray(x, np.float64) for x in (first_NxD, second_NxD))
  if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
    raise ValueError(f"embeddings of shapes {first.shape} and {second.shape}: two sets of 2 or more of one length")
  if not (np.isfinite(first).all() and np.isfinite(second).all()):
    raise ValueError("embeddings that are not finite")
  covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second)]
  overlap = np.linalg.svd(_root(covariances[0]) @ _root(covariances[1]), compute_uv=False).sum()
  means = np.sum((first.mean(0) - second.mean(0)) ** 2)
  return float(max(means + sum(np.trace(c) for c in covariances) - 2 * overlap, 0.0))


def _root(covariance_DxD: np.ndarray) -> np.ndarray:
  """Symmetric square root; eigenvalues that rounding made negative are 0."""
  values, vectors = np.linalg.eigh(covariance_DxD)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _mel_cepstra(audio_N: np.ndarray, rate: int) -> np.ndarray:
  """float32 [13, M]: coefficients 1 to 13 of ln |mel| as a sum of cosines over the bands."""
  window = 2 ** round(np.log2(_MEL_WINDOW_S * rate))
  log_mel = np.log(np.maximum(_mel_bank(rate, window) @ _magnitude(audio_N, window, window // 4), _MEL_FLOOR))
  return dct(log_mel, axis=0, norm="ortho")[1 : _CEPSTRA + 1] * np.sqrt(2 / _BANDS)


@functools.cache
def _mel_bank(rate: int, window: int) -> csr_array:
  """Triangular bank, float32 [80, window // 2 + 1], nearly all of it zeros."""
  return csr_array(bank(rate, window, _BANDS, 0, rate / 2))


def _stft_terms(result: np.ndarray, target: np.ndarray) -> tuple[float, float]:
  convergence = _norm(result - target) / max(_norm(target), _LEAST_NORM)
  return convergence, np.mean(np.abs(np.log(result + _STFT_FLOOR) - np.log(target + _STFT_FLOOR)))


def _norm(x: np.ndarray) -> float:
  return float(np.sqrt(np.sum(np.square(x), dtype=np.float64)))


def _magnitude(audio_N: np.ndarray, window: int, hop: int) -> np.ndarray:
  """|STFT| under a Hann window, float32 [window // 2 + 1, M]."""
  return np.abs(librosa().stft(np.asarray(audio_N, np.float32), n_fft=window, hop_length=hop))


def _check(result_N: np.ndarray, target_N: np.ndarray) -> None:
  if np.shape(result_N) != np.shape(target_N) or np.ndim(result_N) != 1 or len(result_N) < max(_RESOLUTIONS):
    raise ValueError(
      f"audio of shapes {np.shape(result_N)} and {np.shape(target_N)}: both mono, of one length, "
      f"{max(_RESOLUTIONS)} samples at least"
    )
