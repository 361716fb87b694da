"""The published script's scores of generated onsets, kept to be comparable with the paper (its table 1, "onset sync").

The rule has faults that favour systems with few onsets: matching stops when no generated onset is left, so that target
onsets after that are not counted as missed, and silence scores 1.
"""

import numpy as np

# Half the stretch around an onset whose loudest sample is its confidence, and the least distance between onsets, s.
_NEAR_S = 0.05


def legacy_ap(target: np.ndarray, onsets: np.ndarray, audio_N: np.ndarray, delta_s: float, rate: int) -> float:
  """Average precision of generated onsets against the target's.

  Args:
    target: int [n], onsets of the true sound, samples, ascending.
    onsets: int [m], onsets of the generated sound, likewise.
    audio_N: float [N], the generated sound.
    delta_s: how far apart a match may lie, s (the paper's is 0.1).
    rate: Hz.

  Returns:
    In [0, 1]; 0 where the target has no onset but the other sound has. Where neither has one the published script stops
    and there is no score: NaN. Onsets nearer than 50 ms to the start, on which it stops too, count like all others.
  """
  level = np.abs(np.asarray(audio_N, np.float64))
  level = (level - level.min()) / max(np.ptp(level), 1e-12)
  near = int(_NEAR_S * rate)
  confidence = {int(o): level[max(o - near, 0) : o + near].max() for o in onsets}
  kept = _apart(confidence, _NEAR_S * rate)
  unmatched, scores = list(kept), []
  for onset in target:
    close = [o for o in unmatched if abs(o - onset) < delta_s * rate]
    if not close:
      scores.append((1, 0.0))
      continue
    match = max(close, key=lambda o: level[o])
    scores.append((1, confidence[match]))
    unmatched.remove(match)
    if not unmatched:
      break
  scores += [(0, confidence[o]) for o in unmatched]
  return _average_precision(scores)


def _apart(confidence: dict[int, float], near: float) -> list[int]:
  """Onsets left, ascending, when each, surest first, has removed those within `near` samples of it."""
  left, kept = list(confidence), []
  for onset in sorted(confidence, key=confidence.get)[::-1]:
    if onset not in left:
      continue
    left.remove(onset)
    kept.append(onset)
    # As published: the one that follows a removed one is passed over.
    at = 0
    while at < len(left):
      if abs(left[at] - onset) < near:
        del left[at]
      at += 1
  return sorted(kept)


def _average_precision(scores: list[tuple[int, float]]) -> float:
  """Of (label, confidence) pairs; 0 where no label is 1, NaN where there is no pair."""
  from sklearn.metrics import average_precision_score

  if not scores:
    return np.nan
  labels = [label for label, _ in scores]
  return float(average_precision_score(labels, [score for _, score in scores])) if any(labels) else 0.0
