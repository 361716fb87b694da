"""What a TPU's compiler makes of the sampler at the published size: what a step moves, and what it holds."""

import jax.numpy as jnp
import pytest
from flax import nnx

from condfoley_jax.commands.train import read_config
from condfoley_jax.hlo import cost
from condfoley_jax.models.keys import Keys
from condfoley_jax.training import sharding
from condfoley_jax.weights import registry
from launch import sampler, topology

TAKES = 100


@pytest.mark.slow
@pytest.mark.parametrize(("slice_", "room"), [("v5e:2x2", 1.3), ("v6e:2x2", 1.4)])
def test_a_step_moves_little_more_than_it_must_and_memory_holds_little_more(libtpu, slice_, room):
  values = read_config("configs/transformer.py:paper", []).to_dict()
  mesh = sharding.make_mesh(sharding.MeshConfig(), topology.find(slice_).devices[:1])
  compiled = sampler.lower(values, mesh, TAKES).compile()
  build = lambda: registry.build("transformer", values["model"]["transformer"], rngs=Keys(0))
  config = nnx.eval_shape(build).config
  least = sampler.least(config, jnp.bfloat16, TAKES)
  found, held = cost.of_text(compiled.as_text()), compiled.memory_analysis()
  assert found.unknown_loops == 0
  # All of the program, prefill included, laid on the steps.
  assert least.step < found.bytes_accessed / (config.codes - 1) <= 1.6 * least.step
  assert held.argument_size_in_bytes + held.temp_size_in_bytes + held.output_size_in_bytes <= room * least.held


def test_the_least_is_counted_by_hand():
  values = read_config("configs/transformer.py:paper", []).to_dict()
  config = nnx.eval_shape(lambda: registry.build("transformer", values["model"]["transformer"], rngs=Keys(0))).config
  least = sampler.least(config, jnp.bfloat16, TAKES)
  assert least.weights == 2 * 305_097_728
  assert least.prefix == 2 * 2 * 24 * 1024 * 110 and least.suffix == 2 * 2 * 24 * 1024 * TAKES * 49
  assert least.step == least.weights + least.prefix + least.suffix / 2 and least.held == 2 * least.step - (
    least.weights + least.prefix
  )
