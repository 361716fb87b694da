"""Keys that models are made with."""

import jax


class Keys:
  """Stands in for `nnx.Rngs` and gives the same keys in the same order.

  It counts them by a number, `nnx.Rngs` by an array: under a trace, most of the time of making a model would go into
  adding to that.

  Args:
    key: a key, or the seed of one.
  """

  def __init__(self, key: jax.Array | int):
    self._key = jax.random.key(key) if isinstance(key, int) else key
    self._count = 0

  def params(self) -> jax.Array:
    """The next key."""
    key = jax.random.fold_in(self._key, self._count)
    self._count += 1
    return key
