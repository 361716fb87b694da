"""Where weights, jobs and takes lie on the devices of one process."""

import math
from collections.abc import Mapping

import jax
from flax import nnx
from jax.sharding import Mesh

from condfoley_jax import sharding
from configs.sharding import RULES

# Of a device's memory, what weights may take: the rest is for takes.
_SHARE = 0.5


def mesh_of(parts: Mapping[str, nnx.Module]) -> Mesh:
  """The devices of this process as copies of the weights: whole ones, or in as few parts as fit.

  What is not in parts (`place`) is small beside the transformer, and counted with it.
  """
  devices = jax.local_devices()
  room = _memory(devices[0])
  size = sum(x.nbytes for x in jax.tree.leaves(nnx.state(nnx.Dict(parts))))
  divisors = (n for n in range(1, len(devices) + 1) if len(devices) % n == 0)
  tensor = next((n for n in divisors if size / n <= room * _SHARE), len(devices))
  return sharding.make_mesh(sharding.MeshConfig(tensor=tensor), devices)


def _memory(device: jax.Device) -> float:
  """Bytes; endless where the device does not say, as CPUs."""
  return (device.memory_stats() or {}).get("bytes_limit", math.inf)


def place(parts: Mapping[str, nnx.Module], mesh: Mesh) -> dict[str, nnx.Module]:
  """The same modules on every device of the mesh, a copy's transformer in parts along `tensor`."""
  return {name: _placed(name, module, mesh) for name, module in parts.items()}


def _placed(name: str, module: nnx.Module, mesh: Mesh) -> nnx.Module:
  graph, state = nnx.split(module)
  pure = {name: nnx.to_pure_dict(state)}
  if name == "transformer":
    shardings = sharding.parameter_shardings(pure, RULES, mesh)
  else:
    shardings = jax.tree.map(lambda _: sharding.replicated(mesh), pure)
  nnx.replace_by_pure_dict(state, jax.device_put(pure, shardings)[name])
  return nnx.merge(graph, state)
