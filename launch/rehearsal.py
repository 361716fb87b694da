"""One rehearsal: a config's training step or sampler, compiled for a slice.

Every number is of one device in one step (or one run of the sampler), but for `batch_size`, `flops_per_example` and
`examples_per_s`, which are of all slices. Beside what `limits.report` gives, a rehearsal holds {"config", "topology",
"slices", "devices", "mesh": {AXIS: size}, "program": the phase of training, or `sampler`, "batch_size": pairs or clips
a step, or takes, "flops_per_example", "examples_per_s": at the roofline}.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from condfoley_jax.commands.train import read_config
from condfoley_jax.training.program import Program
from data_pipelines.errors import InputError
from launch import limits, sampler, topology
from launch.topology import Slice


def run(
  config: str, overrides: Sequence[str], name: str, *, slices: int = 1, takes: int | None = None
) -> dict[str, Any]:
  """Rehearses `config` (`configs/X.py:PRESET`), changed by `overrides` (`--config.key=value`), on the slice `name`.

  Args:
    slices: so many of them.
    takes: sampling so many takes of a clip instead of a training step.

  Returns:
    As above; of several phases of training that which does not fit, or else takes longest.

  Raises:
    InputError: no such config, key or slice, or the config does not fit the slice.
  """
  where = topology.find(name, slices)
  values = read_config(config, overrides).to_dict()
  return {"config": config, "topology": name, "slices": slices} | of(config, values, where, takes=takes)


def of(config: str, values: Mapping[str, Any], where: Slice, *, takes: int | None = None) -> dict[str, Any]:
  """As `run`, of a resolved config.

  Raises:
    InputError: the config does not fit together, or the slice.
  """
  try:
    program = Program(values, where.devices)
    if takes:
      lowered = {"sampler": sampler.lower(values, program.mesh, takes)}
    else:
      lowered = {phase: program.lower(phase) for phase in program.phases}
  except InputError:
    raise
  except (ValueError, TypeError, KeyError) as error:
    raise InputError(f"{config}: {str(error).splitlines()[0]}") from error
  devices = list(program.mesh.devices.flat)
  found = {name: limits.report(step, devices, where) for name, step in lowered.items()}
  worst = max(found, key=lambda name: (not found[name]["fits"], found[name]["roofline_s"] or float("inf")))
  batch = takes or values["batch_size"]
  return {
    "devices": len(devices),
    "mesh": dict(program.mesh.shape),
    "program": worst,
    "batch_size": batch,
    **found[worst],
    **_per_example(found[worst], len(devices), batch),
  }


def _per_example(found: Mapping[str, Any], devices: int, batch: int) -> dict[str, float | None]:
  if found["roofline_s"] is None:
    return {"flops_per_example": None, "examples_per_s": None}
  return {"flops_per_example": found["flops"] * devices / batch, "examples_per_s": batch / found["roofline_s"]}
