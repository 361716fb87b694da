import jax
import numpy as np
from flax import nnx

from condfoley_jax.models.keys import Keys


def test_keys_are_those_of_flax():
  for seed in (0, jax.random.key(7)):
    ours, theirs = Keys(seed), nnx.Rngs(seed)
    for _ in range(3):
      np.testing.assert_array_equal(jax.random.key_data(ours.params()), jax.random.key_data(theirs.params()))
