"""The runs that the table names can be laid out on their slices."""

import pytest

from condfoley_jax.commands.train import read_config
from condfoley_jax.training.program import Program
from launch import topology
from launch.rehearsals import RUNS


@pytest.mark.parametrize("run", {run.config: run for run in RUNS}.values(), ids=lambda run: run.config)
def test_every_parameter_has_its_place_on_the_slice(libtpu, run):
  program = Program(read_config(run.config, run.changes).to_dict(), topology.find(run.topology).devices)
  where = next(iter(program.batch().values())).sharding
  assert len(where.device_set) == program.mesh.size
  if "large" in run.config:
    blocks = program.state.params["transformer"]["blocks"]
    # Both moments and the parameter itself are stored in parts: 1 / 4 by tensor, the rest by fsdp.
    kernel = blocks["mlp_in"]["kernel"]
    assert kernel.sharding.shard_shape(kernel.shape)[-1] == kernel.shape[-1] // 4
