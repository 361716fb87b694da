"""Which mesh, batch size and remat policy is the fastest that fits a slice."""

import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from condfoley_jax.commands.train import read_config
from condfoley_jax.partition import AXES
from data_pipelines.errors import InputError
from launch import rehearsal, topology
from launch.topology import Slice

REMAT = ("none", "dots", "full")
# Meshes whose batch sizes and remat policies are tried too.
_KEPT = 3
_COLUMNS = ("fits", "roofline_s", "seconds", "bound", "examples_per_s", "peak_share")


def run(config: str, overrides: Sequence[str], name: str) -> dict[str, Any]:
  """Tries every mesh as the config is, then, on the best of them, half and twice its batch and every remat policy.

  Progress goes to standard error.

  Returns:
    {"config", "topology", "recommended": a row, or None where nothing fits, "overrides": that bring it about, "tried":
    rows}. A row: {"mesh", "batch_size", "remat", "needed_bytes", "fits", "roofline_s", "seconds", "bound",
    "examples_per_s", "peak_share"}, or its "mesh", "batch_size", "remat" and what does not go together as "error".

  Raises:
    InputError: no such config, key or slice.
  """
  where = topology.find(name)
  values = read_config(config, overrides)
  attempt = _Attempts(config, overrides, where)
  batch, policies = values.batch_size, _policies(values)
  first = [attempt(mesh, batch, policies[0]) for mesh in meshes(len(where.devices))]
  for mesh, size, remat in itertools.product(_best(first), (max(batch // 2, 1), batch, 2 * batch), policies):
    attempt(mesh, size, remat)
  fitting = [row for row in attempt.rows.values() if row.get("fits")]
  best = max(fitting, key=lambda row: row["examples_per_s"], default=None)
  chosen = best and _overrides(best["mesh"], best["batch_size"], best["remat"])
  tried = list(attempt.rows.values())
  return {"config": config, "topology": name, "recommended": best, "overrides": chosen, "tried": tried}


def meshes(devices: int) -> Iterator[dict[str, int]]:
  """Every way to write a number of devices as a product over the mesh's axes."""
  divisors = [n for n in range(1, devices + 1) if devices % n == 0]
  for sizes in itertools.product(divisors, repeat=len(AXES)):
    if math.prod(sizes) == devices:
      yield dict(zip(AXES, sizes, strict=True))


class _Attempts:
  """Rehearses a combination once, and says so."""

  def __init__(self, config: str, overrides: Sequence[str], where: Slice):
    self._config, self._overrides, self._where = config, list(overrides), where
    self.rows: dict[tuple, dict[str, Any]] = {}

  def __call__(self, mesh: Mapping[str, int], batch: int, remat: str | None) -> dict[str, Any]:
    key = (*mesh.values(), batch, remat)
    if key not in self.rows:
      row = {"mesh": dict(mesh), "batch_size": batch, "remat": remat}
      self.rows[key] = row | self._outcome(_overrides(mesh, batch, remat))
      print(f"{len(self.rows)}: {_told(self.rows[key])}", file=sys.stderr, flush=True)
    return self.rows[key]

  def _outcome(self, changes: Sequence[str]) -> dict[str, Any]:
    values = read_config(self._config, [*self._overrides, *changes]).to_dict()
    try:
      found = rehearsal.of(self._config, values, self._where)
    except InputError as error:
      return {"error": str(error)}
    return {"needed_bytes": found["hbm_bytes"]["needed"], **{name: found[name] for name in _COLUMNS}}


def _policies(values: Mapping[str, Any]) -> list[str | None]:
  """Remat policies of the model that is trained, the config's own first; one None for a model without any."""
  own = values["model"].get(values["stage"], {}).get("remat")
  return [own, *(policy for policy in REMAT if policy != own)] if own else [None]


def _overrides(mesh: Mapping[str, int], batch: int, remat: str | None) -> list[str]:
  changes = [f"--config.mesh.{axis}={size}" for axis, size in mesh.items()]
  changes.append(f"--config.batch_size={batch}")
  return changes + ([f"--config.model.transformer.remat={remat}"] if remat else [])


def _best(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
  """Meshes of the rows that fit, the fastest first, then of those that lack the least memory."""
  able = [row for row in rows if "error" not in row]
  order = lambda row: (not row["fits"], -(row["examples_per_s"] or 0), row["needed_bytes"] or math.inf)
  return [row["mesh"] for row in sorted(able, key=order)[:_KEPT]]


def _told(row: Mapping[str, Any]) -> str:
  mesh = " x ".join(str(size) for size in row["mesh"].values())
  what = f"mesh {mesh}, batch {row['batch_size']}" + (f", remat {row['remat']}" if row["remat"] else "")
  if "error" in row:
    return f"{what}: {row['error']}"
  if not row["fits"]:
    return f"{what}: does not fit"
  return f"{what}: {row['examples_per_s']:.4g} examples/s, {row['bound']}-bound"
