"""What gives way under the stick: soft and loose materials themselves, the table or floor under rigid things."""

import numpy as np

from data_pipelines.builders.drumstick.acoustics.body import Body
from data_pipelines.builders.drumstick.acoustics.textures import Skin

_RATIOS = (1.0, 1.5, 2.6, 4.2)  # of the thump's resonances, before they are detuned; our own


def thump_body(skin: Skin, rng: np.random.Generator, rate: int) -> Body:
  """A few low and well damped resonances, the same wherever it is struck."""
  hertz, ring_s, level = skin.thump
  count = rng.integers(2, len(_RATIOS) + 1)
  frequency = hertz * np.array(_RATIOS[:count]) * np.exp(0.15 * rng.standard_normal(count))
  gain = 10 ** (rng.uniform(-14, 0, count) / 20) * np.array(_RATIOS[:count]) ** -0.5
  return Body(
    frequency=np.minimum(frequency, 0.4 * rate),
    decay=np.array(_RATIOS[:count]) ** 0.5 / ring_s,
    gain=level * gain / np.linalg.norm(gain),
    shape=lambda spot: np.ones(count),
  )
