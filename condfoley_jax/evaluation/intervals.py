"""How sure a mean over a test set is, and whether two systems differ on it.

What is drawn anew is videos, not items: the items of one video (two targets with three examples each, on the published
test set) share a scene and are alike, and intervals that take them for independent are too narrow. Items are a system's
scores; those that are NaN were not to be had and are left out. The generator is passed in: the same seed gives the same
numbers.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
# Percentiles between which an interval lies, as shares.
_ENDS = (0.025, 0.975)
# Resamples held at once where each needs a row of items.
_CHUNK = 500


class Interval(NamedTuple):
  """A statistic of `n` items and the ends of its 95 % percentile interval; NaN where n is 0."""

  value: float
  low: float
  high: float
  n: int


class Comparison(NamedTuple):
  """Mean difference of two systems with its interval, and the two-sided p of its being chance, in (0, 1]."""

  difference: Interval
  p: float


def mean(values_I: np.ndarray, videos_I: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
  """Mean over items, each weighing the same, and its bootstrap interval.

  Args:
    values_I: float or bool [I].
    videos_I: [I], which video each is of: any values that compare equal within a video.
    rng: draws the videos.
    resamples: how many times.

  Returns:
    Interval. Of a single video it has no width: nothing is known of others.

  Raises:
    ValueError: lengths differ.
  """
  values, videos = _kept(values_I, videos_I)
  if not len(values):
    return _NOTHING
  sums, sizes = np.bincount(videos, values), np.bincount(videos)
  draws = _draws(len(sizes), rng, resamples)
  return Interval(values.mean(), *np.quantile((draws @ sums) / (draws @ sizes), _ENDS), len(values))


def quantile(
  values_I: np.ndarray, videos_I: np.ndarray, q: float, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
  """Quantile over items (0.5: the median) and its bootstrap interval; see `mean`.

  It is the least item that at least a share `q` of the items do not exceed (NumPy's `inverted_cdf`): always an item.
  """
  values, videos = _kept(values_I, videos_I)
  if not len(values):
    return _NOTHING
  order = np.argsort(values)
  values, videos = values[order], videos[order]
  draws = _draws(videos.max() + 1, rng, resamples)
  found = np.concatenate([_quantiles(values, draws[i : i + _CHUNK, videos], q) for i in range(0, resamples, _CHUNK)])
  value = np.quantile(values, q, method="inverted_cdf")
  return Interval(value, *np.quantile(found, _ENDS), len(values))


def statistic(
  function: Callable[[np.ndarray], float], videos_I: np.ndarray, rng: np.random.Generator, resamples: int
) -> Interval:
  """Any statistic of items and its bootstrap interval: one call for each resample, so few of them where it is slow.

  A statistic that grows where items repeat (a Fréchet distance) has an interval that lies above its value.

  Args:
    function: takes the numbers of the items, int [K], repeated ones included; gives a float.
    videos_I, rng, resamples: see `mean`.
  """
  videos = np.unique(videos_I, return_inverse=True)[1]
  if not len(videos):
    return _NOTHING
  items = np.arange(len(videos))
  found = [function(np.repeat(items, draw[videos])) for draw in _draws(videos.max() + 1, rng, resamples)]
  return Interval(float(function(items)), *np.quantile(found, _ENDS), len(items))


def paired(
  first_I: np.ndarray,
  second_I: np.ndarray,
  videos_I: np.ndarray,
  rng: np.random.Generator,
  resamples: int = RESAMPLES,
) -> Comparison:
  """Whether the first system's mean on the same items differs from the second's.

  The test swaps the two systems in whole videos, at random: p is the share of swaps, the actual arrangement among them,
  whose mean difference is at least as large. It supposes videos independent and nothing else. p is at least
  1 / (1 + resamples), and for V videos about 2 ** (1 - V): five cannot show anything.

  Args:
    first_I, second_I: float or bool [I]; an item that is NaN in one is left out of both.
    videos_I, rng, resamples: see `mean`.

  Returns:
    Comparison; p is NaN where there are no items.
  """
  differences = np.asarray(first_I, np.float64) - np.asarray(second_I, np.float64)
  interval = mean(differences, videos_I, rng, resamples)
  if not interval.n:
    return Comparison(interval, np.nan)
  values, videos = _kept(differences, videos_I)
  sums = np.bincount(videos, values)
  signs = 2.0 * rng.integers(0, 2, (resamples, len(sums)), np.int8) - 1
  # Equal sums in another order differ in the last digits.
  as_large = np.abs(signs @ sums) >= np.abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
  return Comparison(interval, (1 + int(as_large.sum())) / (1 + resamples))


_NOTHING = Interval(np.nan, np.nan, np.nan, 0)


def _kept(values_I: np.ndarray, videos_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Items that are not NaN, float64, and the numbers of their videos from 0 on, all used."""
  values, videos = np.asarray(values_I, np.float64), np.asarray(videos_I)
  if values.shape != videos.shape:
    raise ValueError(f"{values.shape} items have videos of shape {videos.shape}")
  there = ~np.isnan(values)
  return values[there], np.unique(videos[there], return_inverse=True)[1]


def _draws(videos: int, rng: np.random.Generator, resamples: int) -> np.ndarray:
  """How often each video is in each resample, int64 [resamples, videos]; every row adds up to `videos`."""
  return rng.multinomial(videos, np.full(videos, 1 / videos), resamples)


def _quantiles(ascending_I: np.ndarray, weights_RxI: np.ndarray, q: float) -> np.ndarray:
  """Weighted quantile of each row of weights, [R]."""
  below = np.cumsum(weights_RxI, axis=1)
  return ascending_I[np.argmax(below >= q * below[:, -1:], axis=1)]
