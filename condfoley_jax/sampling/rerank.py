"""Ranking of takes by audio-visual agreement (paper sec. 3.3).

The rule is the paper's: keep takes whose |offset| is within tau of the smallest, then the most confident first. Until a
synchronisation network is trained, offset and confidence come from the cross-correlation of the onsets that the video
encoder's event head sees with the onset strength of the take.
"""

from typing import NamedTuple

import numpy as np

MAX_LAG_S = 0.4


class Sync(NamedTuple):
  """offset_s: how much later the sound is than the picture, s; confidence: correlation at that offset, -1 to 1."""

  offset_s: float
  confidence: float


def sync_of(seen: np.ndarray, heard: np.ndarray, fps: int) -> Sync:
  """Best alignment of two onset curves of the same length at `fps` (float [T]), the smallest offset on ties."""
  # Two samples at least are compared at every lag.
  furthest = max(min(round(MAX_LAG_S * fps), len(seen) - 2), 0)
  lags = sorted(range(-furthest, furthest + 1), key=abs)
  scores = [_correlation(*_overlap(seen, heard, lag)) for lag in lags]
  best = int(np.argmax(scores))
  return Sync(lags[best] / fps, float(scores[best]))


def rank(offsets_s: np.ndarray, confidences: np.ndarray, tau_s: float) -> np.ndarray:
  """Order of takes, best first.

  Args:
    offsets_s, confidences: float [N].
    tau_s: takes this close to the smallest |offset| count as in time.
  """
  late = np.abs(offsets_s) > np.abs(offsets_s).min() + tau_s
  # Takes in time by confidence; the others after them, by |offset| first.
  return np.lexsort((-confidences, np.where(late, np.abs(offsets_s), 0), late))


def _overlap(seen: np.ndarray, heard: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
  if lag >= 0:
    return seen[: len(seen) - lag], heard[lag:]
  return seen[-lag:], heard[:lag]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
  if len(a) < 2:
    return 0.0
  a, b = a - a.mean(), b - b.mean()
  norm = np.sqrt((a @ a) * (b @ b))
  return float(a @ b / norm) if norm > 1e-9 else 0.0
