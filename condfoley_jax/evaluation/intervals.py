"""How sure a mean over a test set is, and whether two systems differ on it.

What is drawn anew is videos, not items: the items of one video (two targets with three examples each, on the published
test set) share a scene and are alike, and intervals that take them for independent are too narrow. Where items are
alike for two reasons, the target's video and the example's, both are factors. Items are a system's scores; those that
are NaN were not to be had and are left out.

Every function takes `factors`, one or two arrays [I] that say which video each item is of (any values that compare
equal within a video), and a seed: the same one gives the same resamples to every metric and system.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
# Groups of videos of which a jackknife leaves out one at a time.
GROUPS = 40
# Percentiles between which an interval lies, as shares.
_ENDS = (0.025, 0.975)
# Standard errors either side of a value that hold as much of a normal distribution.
_Z = 1.959963984540054
# Resamples held at once where each needs a row of items.
_CHUNK = 500


class Interval(NamedTuple):
  """A statistic of `n` items and the ends of its 95 % interval; NaN where n is 0."""

  value: float
  low: float
  high: float
  n: int


class Comparison(NamedTuple):
  """Mean difference of two systems with its interval, and the two-sided p of its being chance, in (0, 1]."""

  difference: Interval
  p: float


def mean(values_I: np.ndarray, factors: Sequence[np.ndarray], seed: int, resamples: int = RESAMPLES) -> Interval:
  """Mean over items, each weighing the same, and its percentile interval by a bootstrap of videos.

  With two factors the videos of each are drawn by themselves, and an item counts as often as its two were drawn,
  multiplied: the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007). It
  is never too narrow in the long run, and too wide, by up to sqrt(3), where items of one video are not alike at all.

  Args:
    values_I: float or bool [I].
    factors: see above.
    seed: of the draws.
    resamples: how many times; those in which no item is drawn are left out.

  Returns:
    Interval. Of a single video it has no width: nothing is known of others.

  Raises:
    ValueError: lengths differ.
  """
  values, groups = _kept(values_I, factors)
  if not len(values):
    return _NOTHING
  sizes = _resampled(np.ones(len(values)), groups, seed, resamples)
  found = _resampled(values, groups, seed, resamples)[sizes > 0] / sizes[sizes > 0]
  return Interval(values.mean(), *np.quantile(found, _ENDS), len(values))


def quantile(
  values_I: np.ndarray, factors: Sequence[np.ndarray], q: float, seed: int, resamples: int = RESAMPLES
) -> Interval:
  """Quantile over items (0.5: the median) and its bootstrap interval; see `mean`. By one factor alone.

  It is the least item that at least a share `q` of the items do not exceed (NumPy's `inverted_cdf`): always an item.
  """
  values, (videos,) = _kept(values_I, factors)
  if not len(values):
    return _NOTHING
  order = np.argsort(values)
  values, videos = values[order], videos[order]
  draws = _draws(videos.max() + 1, (seed, 0), resamples)
  found = np.concatenate([_quantiles(values, draws[i : i + _CHUNK, videos], q) for i in range(0, resamples, _CHUNK)])
  value = np.quantile(values, q, method="inverted_cdf")
  return Interval(value, *np.quantile(found, _ENDS), len(values))


def jackknife(
  function: Callable[[np.ndarray], float], factors: Sequence[np.ndarray], seed: int, groups: int = GROUPS
) -> Interval:
  """Any smooth statistic of items, and 1.96 standard errors by the delete-a-group jackknife either side of it.

  A bootstrap will not do for one that grows where items repeat (a Fréchet distance): its interval lies above its value.
  Videos are put into groups at random, and the statistic is had without each group in turn (Kott, "The delete-a-group
  jackknife", Journal of Official Statistics 17(4), 2001). Variances of two factors are added: rather too wide.

  Args:
    function: takes the numbers of the items that are left, int [K]; gives a float.
    factors, seed: see above.
    groups: how many; as many as there are videos if these are fewer.
  """
  items = np.arange(len(factors[0]))
  if not len(items):
    return _NOTHING
  value, numbers = float(function(items)), _kept(items, factors)[1]
  half = _Z * np.sqrt(sum(_jackknife_variance(function, videos, seed, groups) for videos in numbers))
  return Interval(value, value - half, value + half, len(items))


def paired(
  first_I: np.ndarray,
  second_I: np.ndarray,
  factors: Sequence[np.ndarray],
  seed: int,
  resamples: int = RESAMPLES,
) -> Comparison:
  """Whether the first system's mean on the same items differs from the second's.

  The test swaps the two systems in whole videos, at random: p is the share of swaps, the actual arrangement among them,
  whose mean difference is at least as large. It supposes videos independent and nothing else. p is at least
  1 / (1 + resamples), and for V videos about 2 ** (1 - V): five cannot show anything.

  With two factors the change by swaps of the one's videos and that by swaps of the other's, independent of it, are
  added up. Their variances add up to no less than that of the difference (Cameron, Gelbach and Miller, "Robust
  inference with multiway clustering", 2011, take that of cells off again), so that p is rather too large.

  Args:
    first_I, second_I: float or bool [I]; an item that is NaN in one is left out of both.
    factors, seed, resamples: see `mean`.

  Returns:
    Comparison; p is NaN where there are no items.
  """
  differences = np.asarray(first_I, np.float64) - np.asarray(second_I, np.float64)
  interval = mean(differences, factors, seed, resamples)
  if not interval.n:
    return Comparison(interval, np.nan)
  values, groups = _kept(differences, factors)
  swapped = sum(
    _signs(videos.max() + 1, (seed, which), resamples) @ np.bincount(videos, values)
    for which, videos in enumerate(groups)
  )
  # Equal sums in another order differ in the last digits.
  as_large = np.abs(swapped) >= np.abs(values.sum()) - 1e-9 * np.abs(values).sum()
  return Comparison(interval, (1 + int(as_large.sum())) / (1 + resamples))


def holm(p_K: Sequence[float]) -> np.ndarray:
  """Each p of a family of tests, corrected, float64 [K]: the chance that any is below a where nothing differs is a.

  Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979.
  """
  p = np.asarray(p_K, np.float64)
  order = np.argsort(p)
  found = np.empty(len(p))
  found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
  return found


_NOTHING = Interval(np.nan, np.nan, np.nan, 0)


def _kept(values_I: np.ndarray, factors: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
  """Items that are not NaN, float64, and by factor the numbers of their videos from 0 on, all used."""
  values, factors = np.asarray(values_I, np.float64), [np.asarray(videos) for videos in factors]
  if any(videos.shape != values.shape for videos in factors):
    raise ValueError(f"{values.shape} items have videos of shapes {[videos.shape for videos in factors]}")
  there = ~np.isnan(values)
  return values[there], [np.unique(videos[there], return_inverse=True)[1] for videos in factors]


def _resampled(values_I: np.ndarray, groups: Sequence[np.ndarray], seed: int, resamples: int) -> np.ndarray:
  """Sum of the items in each resample, float64 [resamples]."""
  # A second factor of a single video, which is always drawn once, changes nothing.
  first, second = (*groups, np.zeros(len(values_I), int))[:2]
  sums = np.zeros((first.max() + 1, second.max() + 1))
  np.add.at(sums, (first, second), values_I)
  one, other = (_draws(size, (seed, which), resamples) for which, size in enumerate(sums.shape))
  return np.einsum("rv,rv->r", one @ sums, other)


@functools.lru_cache(maxsize=32)
def _draws(videos: int, seed: tuple[int, int], resamples: int) -> np.ndarray:
  """How often each video is in each resample, int16 [resamples, videos]; every row adds up to `videos`."""
  draws = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), resamples).astype(np.int16)
  draws.flags.writeable = False
  return draws


@functools.lru_cache(maxsize=32)
def _signs(videos: int, seed: tuple[int, int], resamples: int) -> np.ndarray:
  """1 or -1 for each video, int8 [resamples, videos]."""
  signs = 2 * np.random.default_rng(seed).integers(0, 2, (resamples, videos), np.int8) - 1
  signs.flags.writeable = False
  return signs


def _quantiles(ascending_I: np.ndarray, weights_RxI: np.ndarray, q: float) -> np.ndarray:
  """Weighted quantile of each row of weights, [R]."""
  below = np.cumsum(weights_RxI, axis=1)
  return ascending_I[np.argmax(below >= q * below[:, -1:], axis=1)]


def _jackknife_variance(function: Callable[[np.ndarray], float], videos_I: np.ndarray, seed: int, groups: int) -> float:
  """By one factor; 0 of a single video, of which nothing is left out."""
  videos = videos_I.max() + 1
  groups = min(groups, videos)
  if groups == 1:
    return 0.0
  group = np.random.default_rng(seed).permutation(videos)[videos_I] % groups
  left = np.array([function(np.flatnonzero(group != out)) for out in range(groups)])
  return (groups - 1) / groups * float(np.sum((left - left.mean()) ** 2))
