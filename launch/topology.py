"""TPU slices that programs can be compiled for without having one."""

import contextlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from condfoley_jax import chips
from condfoley_jax.chips import Chip
from data_pipelines.errors import InputError

# What libtpu would ask of a TPU machine. Its compiler takes the slice from the topology alone.
ENVIRONMENT = {
  "JAX_PLATFORMS": "cpu",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  # Several processes may compile at a time: no device is held.
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
# Two cores that share their memory work as one device, as they do by default on these machines.
_OPTIONS = {"v4": {"chip_config_name": "megacore"}}
_REMEDY = "name one like v5e:4x4 or v4:2x2x4"


class Slice(NamedTuple):
  """One slice, or several alike.

  chip: its kind; sizes: of the torus or mesh along each axis; devices: `jax.Device`s to compile for, of all slices;
  count: of slices.
  """

  chip: Chip
  sizes: tuple[int, ...]
  devices: Sequence
  count: int = 1

  def coordinates(self) -> list[tuple[int, ...]]:
    """Where each device is in its slice."""
    return [tuple(device.coords)[: len(self.sizes)] for device in self.devices]


def find(name: str, count: int = 1) -> Slice:
  """The slice of that name, for example `v5e:16x16`, or so many of them.

  The environment must be set (`prepare`) before JAX is imported.

  Raises:
    InputError: there is no such slice, or libtpu is not installed; nobody says how fast such slices talk.
  """
  chip, sizes = parse(name)
  if count > 1 and not chip.slices_rate:
    raise InputError(f"{name}: how fast {chip.name} slices talk to one another is not known; rehearse one")
  from jax.experimental import topologies

  try:
    several = {"num_slices": count} if count > 1 else {}
    described = topologies.get_topology_desc(name, platform="tpu", **several, **_OPTIONS.get(chip.name, {}))
  except (RuntimeError, ValueError, NotImplementedError) as error:
    if not _is_installed():
      raise InputError(f"{name}: compiling for a TPU needs libtpu; pip install 'condfoley-jax[tpu]'") from error
    reason = str(error).strip().splitlines()[0]
    raise InputError(f"{name}: the compiler knows no such slice ({reason}); {_REMEDY}") from error
  if len(described.devices) != count * math.prod(sizes):
    raise InputError(f"{name}: the compiler takes it for {len(described.devices)} devices; {_REMEDY}")
  return Slice(chip, sizes, described.devices, count)


def parse(name: str) -> tuple[Chip, tuple[int, ...]]:
  """(chip, sizes along each axis) of a slice's name.

  Raises:
    InputError: it is no name of a slice.
  """
  match = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", name)
  known = {chip.name: chip for chip in chips.CHIPS if chip.axes}
  if not match:
    raise InputError(f"{name}: not the name of a TPU slice; {_REMEDY}")
  if match[1] not in known:
    raise InputError(f"{name}: no chip `{match[1]}`; there are {', '.join(known)}")
  chip, sizes = known[match[1]], tuple(int(size) for size in match[2].split("x"))
  if len(sizes) != chip.axes or not all(sizes):
    raise InputError(f"{name}: a {chip.name} slice has {chip.axes} sizes of 1 or more; {_REMEDY}")
  return chip, sizes


def prepare() -> None:
  """Sets the environment; called before JAX is imported."""
  os.environ.update(ENVIRONMENT)


@contextlib.contextmanager
def quiet_output() -> Iterable[None]:
  """What native code writes to standard output meanwhile goes to standard error."""
  kept = os.dup(1)
  os.dup2(2, 1)
  try:
    yield
  finally:
    os.dup2(kept, 1)
    os.close(kept)


def _is_installed() -> bool:
  import importlib.util

  return importlib.util.find_spec("libtpu") is not None
