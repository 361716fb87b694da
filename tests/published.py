"""Gradients of our parameters under the names and in the shapes of the published ones."""

from collections.abc import Callable, Mapping

import numpy as np


def by_published_name(
  ours: Mapping[str, np.ndarray],
  state: Mapping[str, np.ndarray],
  convert: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
  """What `convert` would have turned into `ours`, by number of each element: it only moves elements about.

  Args:
    ours: arrays by our names; statistics may be absent.
    state: any arrays of the published names and shapes.
    convert: published names and shapes to ours.
  """
  ends = np.cumsum([x.size for x in state.values()])
  numbers = {k: np.arange(end - x.size, end).reshape(x.shape) for (k, x), end in zip(state.items(), ends, strict=True)}
  values = np.full(ends[-1], np.nan)
  for name, where in convert(numbers).items():
    if name in ours:
      values[where] = ours[name]
  return {k: values[where] for k, where in numbers.items() if not np.isnan(values[where]).all()}
