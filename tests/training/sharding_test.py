"""Batches split over devices, on forced CPU devices in a process of their own."""

import os
import subprocess
import sys

SCRIPT = """
import jax, numpy as np
from condfoley_jax.training import sharding
mesh = sharding.make_mesh()
assert mesh.size == 4
placed = sharding.place_batch({"x": np.arange(8.0)}, mesh)["x"]
assert [s.data.shape for s in placed.addressable_shards] == [(2,)] * 4
state = jax.device_put(np.ones(3), sharding.replicated(mesh))
assert all(s.data.shape == (3,) for s in state.addressable_shards)
"""


def test_a_batch_is_split_and_state_is_whole_on_every_device():
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
  subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
