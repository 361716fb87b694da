"""What a TPU's compiler makes of the sampler at the published size: what a step moves, and what it holds."""

import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from condfoley_jax import sharding
from condfoley_jax.clip import MINI
from condfoley_jax.commands.train import read_config
from condfoley_jax.hlo import cost
from condfoley_jax.models.keys import Keys
from condfoley_jax.sampling import program
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import folder, registry
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


@pytest.mark.slow
@pytest.mark.parametrize("slice_", ["v5e:2x2", "v6e:2x2"])
def test_the_whole_program_compiles_for_a_host_of_four_chips(libtpu, slice_):
  mesh = sharding.make_mesh(sharding.MeshConfig(), topology.find(slice_).devices)
  weights = folder.load(folder.SHIPPED, narrow=("transformer",))
  everywhere = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding.replicated(mesh))
  abstract = jax.tree.map(lambda x: everywhere(x.shape, x.dtype), weights.components)
  pictures = lambda frames: everywhere((1, frames, MINI.frame_size, MINI.frame_size, 3), jnp.uint8)
  jobs = program.Jobs(
    pictures(2 * MINI.frames),
    everywhere((1,), jnp.int32),
    pictures(MINI.frames),
    everywhere((1, MINI.example_samples), jnp.float32),
    everywhere((1, 100), jnp.uint32),
  )
  sampling = Sampling(*(everywhere((), kind) for kind in (jnp.float32, jnp.int32, jnp.float32, jnp.float32)))
  of = {"spec": MINI, "conventions": weights.conventions, "mesh": mesh, "split": "takes"}
  compiled = program.make_takes_on.lower(abstract, jobs, sampling, **of).compile()
  # Takes do not know of each other, so nothing is sent.
  assert not re.search(r"= \S+ (all-reduce|all-gather|all-to-all|collective-permute)\(", compiled.as_text())
  assert compiled.memory_analysis().temp_size_in_bytes < 2**32


def test_the_least_is_counted_by_hand():
  values = read_config("configs/transformer.py:paper", []).to_dict()
  config = nnx.eval_shape(lambda: registry.build("transformer", values["model"]["transformer"], rngs=Keys(0))).config
  least = sampler.least(config, jnp.bfloat16, TAKES)
  assert least.weights == 2 * 305_097_728
  assert least.prefix == 2 * 2 * 24 * 1024 * 110 and least.suffix == 2 * 2 * 24 * 1024 * TAKES * 49
  assert least.step == least.weights + least.prefix + least.suffix / 2 and least.held == 2 * least.step - (
    least.weights + least.prefix
  )
