"""The runs that the table names can be laid out on their slices."""

import pytest

from condfoley_jax.commands.train import read_config
from condfoley_jax.training.program import Program
from launch import topology
from launch.rehearsals import RUNS

# 24 layers one by one take half a minute as shapes alone; `large` scans its own, and lies on a mesh of two axes.
SLOW = "configs/transformer.py:paper"
CASES = [
  pytest.param(run, id=config, marks=[pytest.mark.slow] * (config == SLOW))
  for config, run in {run.config: run for run in RUNS}.items()
]


@pytest.mark.parametrize("run", CASES)
def test_every_parameter_has_its_place_on_the_slice(libtpu, run):
  program = Program(read_config(run.config, run.changes).to_dict(), topology.find(run.topology).devices)
  where = next(iter(program.batch().values())).sharding
  assert len(where.device_set) == program.mesh.size
  if "large" in run.config:
    blocks = program.state.params["transformer"]["blocks"]
    # Both moments and the parameter itself are stored in parts: 1 / 4 by tensor, the rest by fsdp.
    kernel = blocks["mlp_in"]["kernel"]
    assert kernel.sharding.shard_shape(kernel.shape)[-1] == kernel.shape[-1] // 4
