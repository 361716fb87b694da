"""The runs that the table names can be laid out on their slices."""

import pytest

from condfoley_jax import sharding
from condfoley_jax.commands.train import read_config
from condfoley_jax.training.program import Program
from launch import topology
from launch.rehearsals import RUNS

# 24 layers one by one take half a minute as shapes alone; `large` scans its own, and lies on a mesh of two axes.
SLOW = "configs/transformer.py:paper"
CASES = [
  pytest.param(run, id=f"{run.config} {run.slices}x{run.topology}", marks=[pytest.mark.slow] * (run.config == SLOW))
  for run in RUNS
]


@pytest.mark.parametrize("run", CASES)
def test_every_parameter_has_its_place_on_the_slice(libtpu, run):
  program = Program(read_config(run.config, run.changes).to_dict(), topology.find(run.topology, run.slices).devices)
  where = next(iter(program.batch().values())).sharding
  assert len(where.device_set) == program.mesh.size
  rows = [
    sharding.rows_of(program.mesh, program.config["batch_size"], process)
    for process in {device.process_index for device in program.mesh.devices.flat}
  ]
  # Each reads as many as any other, and together all: where `tensor` lies across hosts the same row on several.
  assert set().union(*rows) == set(range(program.config["batch_size"])) and len({len(own) for own in rows}) == 1
  if "large" in run.config:
    blocks = program.state.params["transformer"]["blocks"]
    # Both moments and the parameter itself are stored in parts: 1 / 4 by tensor, the rest by fsdp.
    kernel = blocks["mlp_in"]["kernel"]
    assert kernel.sharding.shard_shape(kernel.shape)[-1] == kernel.shape[-1] // 4
