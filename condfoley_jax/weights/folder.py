"""A weights folder: `config.json` and `model.safetensors`, everything that generation needs.

`config.json`: {"format", "clip": ClipSpec, "components": {NAME: {"kind", "config"}}, "id": first 16 hex digits of the
sha256 of the tensors file}. Tensors are named NAME/path and stored as float16.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import ClipSpec
from condfoley_jax.weights import registry, tree
from data_pipelines.errors import InputError

FORMAT = 1
SHIPPED = Path(__file__).parent / "mini"


@dataclasses.dataclass(frozen=True)
class Weights:
  """clip: the grid they were trained for; components: by name; id: what identifies the tensors."""

  clip: ClipSpec
  components: dict[str, nnx.Module]
  id: str


def save(directory: Path, clip: ClipSpec, components: dict[str, nnx.Module]) -> str:
  """Writes the folder (aside, then renamed file by file, config last) and returns the id.

  Raises:
    ValueError: a weight is not finite in float16.
  """
  tensors = {f"{name}/{k}": _to_half(name, k, v) for name, m in components.items() for k, v in tree.flatten(m).items()}
  data = safetensors.numpy.save(tensors)
  identity = hashlib.sha256(data).hexdigest()[:16]
  described = {
    name: {"kind": registry.kind_of(m), "config": config_tree.to_dict(m.config)} for name, m in components.items()
  }
  config = {"format": FORMAT, "clip": config_tree.to_dict(clip), "components": described, "id": identity}
  directory.mkdir(parents=True, exist_ok=True)
  _replace(directory / "model.safetensors", data)
  _replace(directory / "config.json", (json.dumps(config, indent=1) + "\n").encode())
  return identity


def load(directory: Path, *, only: tuple[str, ...] | None = None, dtype=jnp.float32) -> Weights:
  """Reads a folder; `only` names the components wanted.

  Raises:
    InputError: a file is missing or damaged, or a component is not there or does not fit.
  """
  config = _read_config(directory)
  data = _read_tensors(directory, config["id"])
  names = tuple(config["components"]) if only is None else only
  components = {}
  for name in names:
    if name not in config["components"]:
      raise InputError(f"{directory}: no component `{name}`; it holds {', '.join(config['components'])}")
    flat = {k.removeprefix(f"{name}/"): v for k, v in data.items() if k.startswith(f"{name}/")}
    with _refused_as_input(f"{directory}: component `{name}`"):
      components[name] = _restored(config["components"][name], flat, dtype)
  with _refused_as_input(f"{directory / 'config.json'}: clip"):
    clip = config_tree.from_dict(ClipSpec, config["clip"])
  return Weights(clip, components, config["id"])


def _restored(described: dict, flat: dict[str, np.ndarray], dtype) -> nnx.Module:
  # Shapes only: to compute initial weights and overwrite them would take longer than all the rest.
  module = nnx.eval_shape(lambda: registry.build(described["kind"], described["config"], dtype=dtype, rngs=nnx.Rngs(0)))
  tree.restore(module, flat)
  if bad := [name for name, value in flat.items() if not np.isfinite(value).all()]:
    raise ValueError(f"{bad[0]} is not finite")
  return module


@contextlib.contextmanager
def _refused_as_input(what: str):
  """Turns what a wrong config raises into InputError."""
  try:
    yield
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f"{what}: {error}; export the weights again") from error


def _read_config(directory: Path) -> dict:
  path = directory / "config.json"
  try:
    config = json.loads(path.read_text())
  except FileNotFoundError as error:
    raise InputError(f"{path}: not found; --weights takes a folder with config.json and model.safetensors") from error
  except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
    raise InputError(f"{path}: not readable as JSON; fetch the weights again") from error
  known = isinstance(config, dict) and config.get("format") == FORMAT and {"clip", "id"} <= set(config)
  if not known or not isinstance(config.get("components"), dict):
    raise InputError(f"{path}: not a weights folder of format {FORMAT}; export the weights again")
  return config


def _read_tensors(directory: Path, identity: str) -> dict[str, np.ndarray]:
  path = directory / "model.safetensors"
  try:
    data = path.read_bytes()
    tensors = safetensors.numpy.load(data)
  except (OSError, safetensors.SafetensorError) as error:
    raise InputError(f"{path}: missing or damaged; fetch the weights again") from error
  if hashlib.sha256(data).hexdigest()[:16] != identity:
    raise InputError(f"{path}: does not belong to the config.json beside it; fetch both again")
  return tensors


def _to_half(name: str, key: str, value: np.ndarray) -> np.ndarray:
  with np.errstate(over="ignore"):  # What overflows is not finite, and refused below.
    half = value.astype(np.float16)
  if not np.isfinite(half).all():
    raise ValueError(f"{name}/{key} is not finite in float16")
  return half


def _replace(path: Path, data: bytes) -> None:
  aside = path.with_name(f".{path.name}.{os.getpid()}")
  aside.write_bytes(data)
  os.replace(aside, path)
