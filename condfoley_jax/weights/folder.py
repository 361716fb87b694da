"""A weights folder: `config.json` and `model.safetensors`, everything that generation needs.

`config.json`: {"format", "clip": ClipSpec, "conventions": Conventions, "components": {NAME: {"kind", "config"}}, "id":
first 16 hex digits of the sha256 of the tensors file}. Tensors are named NAME/path; floats are 16 or 32 bits wide.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import ClipSpec
from condfoley_jax.conventions import OURS, Conventions
from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import registry, tree
from data_pipelines.errors import InputError

FORMAT = 2
# No size of a model is larger; one that a hand put there may take all memory, or all day.
_LARGEST = 2**17
SHIPPED = Path(__file__).parent / "mini"


@dataclasses.dataclass(frozen=True)
class Weights:
  """clip: the grid they were trained for; conventions: how they are used; components: by name.

  id: of the folder, 16 hex digits: of its tensors and all of its config, which both decide what the weights give.
  """

  clip: ClipSpec
  conventions: Conventions
  components: dict[str, nnx.Module]
  id: str


def save(
  directory: Path,
  clip: ClipSpec,
  components: dict[str, nnx.Module],
  *,
  conventions: Conventions = OURS,
  dtype: type[np.floating] = np.float16,
) -> str:
  """Writes the folder (both files aside, then renamed, config last) and returns the id; if it fails, leaves nothing.

  Args:
    directory: made if it is not there.
    clip, components, conventions: what `load` gives back.
    dtype: of the stored floats; float32 keeps every bit.

  Raises:
    ValueError: a weight is not finite in `dtype`.
  """
  tensors = {
    f"{name}/{k}": _stored(name, k, v, dtype) for name, m in components.items() for k, v in tree.flatten(m).items()
  }
  described = {
    name: {"kind": registry.kind_of(m), "config": config_tree.to_dict(m.config)} for name, m in components.items()
  }
  with (
    _made(directory),
    _replacing(directory / "config.json") as config_file,
    _replacing(directory / "model.safetensors") as tensors_file,
  ):
    _write(tensors, tensors_file)
    config = {
      "format": FORMAT,
      "clip": config_tree.to_dict(clip),
      "conventions": config_tree.to_dict(conventions),
      "components": described,
      "id": _identity(tensors_file),
    }
    config_file.write_text(json.dumps(config, indent=1) + "\n")
  return _id(config)


def is_free(directory: Path) -> bool:
  """Whether nothing that a folder of weights consists of is there, but for what a killed `save` has left."""
  config, tensors = directory / "config.json", directory / "model.safetensors"
  # The config is the last to get its name, so tensors beside one that has not got it yet are nobody's.
  return not os.path.lexists(config) and (_aside(config).is_file() or not os.path.lexists(tensors))


def load(
  directory: Path,
  *,
  only: tuple[str, ...] | None = None,
  optional: tuple[str, ...] = (),
  narrow: tuple[str, ...] = (),
  dtype=jnp.float32,
) -> Weights:
  """Reads a folder.

  Args:
    directory: of the weights; `shipped`, where there is no such folder, stands for those that come with the package.
    only: components wanted; None for all.
    optional: those wanted besides where they are there.
    narrow: those whose weights are held and whose products are computed in bfloat16.
    dtype: of the products of the others; their weights are float32.

  Raises:
    InputError: a file is missing or damaged, or a component is not there or does not fit.
  """
  directory = SHIPPED if str(directory) == "shipped" and not directory.exists() else directory
  config = _read_config(directory)
  held = config["components"]
  names = tuple(held) if only is None else (*only, *(name for name in optional if name in held))
  for name in names:
    if name not in held:
      raise InputError(f"{directory}: no component `{name}`; it holds {', '.join(held)}; choose a folder that has it")
  with _refused_as_input(f"{directory / 'config.json'}: clip"):
    clip = config_tree.from_dict(ClipSpec, config["clip"])
  with _refused_as_input(f"{directory / 'config.json'}: conventions"):
    conventions = config_tree.from_dict(Conventions, config["conventions"])
  data = _read_tensors(directory, config["id"], names)
  components = {}
  for name in names:
    with _refused_as_input(f"{directory}: component `{name}`"):
      components[name] = _restored(held[name], data[name], dtype, narrow=name in narrow)
  return Weights(clip, conventions, components, _id(config))


def _restored(described: dict, flat: dict[str, np.ndarray], dtype, *, narrow: bool) -> nnx.Module:
  _refuse_absurd(described["config"])
  dtype = jnp.bfloat16 if narrow else dtype
  # Shapes only: to compute initial weights and overwrite them would take longer than all the rest.
  module = nnx.eval_shape(lambda: registry.build(described["kind"], described["config"], dtype=dtype, rngs=Keys(0)))
  if narrow:
    nnx.update(module, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), nnx.state(module)))
  tree.restore(module, flat)
  if bad := [name for name, value in flat.items() if not np.isfinite(value).all()]:
    raise ValueError(f"{bad[0]} is not finite")
  return module


def _refuse_absurd(config: Any, name: str = "config") -> None:
  """Raises ValueError for a number that is no size of a model, by its name."""
  if isinstance(config, dict | list):
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
      _refuse_absurd(value, f"{name}.{key}")
  elif isinstance(config, int) and abs(config) > _LARGEST:
    raise ValueError(f"{name} is {config}")


@contextlib.contextmanager
def _refused_as_input(what: str):
  """Turns what a wrong config raises into InputError: sizes that nobody thought of may raise anything."""
  try:
    yield
  except Exception as error:
    raise InputError(f"{what}: {error}; undo the change, or convert or train the weights again") from error


def _read_config(directory: Path) -> dict:
  path = directory / "config.json"
  if directory.is_file():
    raise InputError(f"{directory}: a file; --weights takes a folder with config.json and model.safetensors")
  try:
    config = json.loads(path.read_text())
  except FileNotFoundError as error:
    raise InputError(f"{path}: not found; --weights takes a folder with config.json and model.safetensors") from error
  except (OSError, ValueError, RecursionError) as error:
    raise InputError(f"{path}: not readable as JSON; fetch the weights again") from error
  if not isinstance(config, dict):
    raise InputError(f"{path}: not the config of a weights folder; export the weights again")
  made = config.get("format")
  if isinstance(made, int | float) and made > FORMAT:
    raise InputError(f"{path}: made by a newer version (format {made}, this one reads {FORMAT}); update condfoley-jax")
  parts = {"clip": dict, "conventions": dict, "components": dict, "id": str}
  described = {"kind": str, "config": dict}
  if made != FORMAT or not (_has(config, parts) and all(_has(c, described) for c in config["components"].values())):
    raise InputError(f"{path}: not the config of a weights folder of format {FORMAT}; export the weights again")
  return config


def _has(values: Any, kinds: dict[str, type]) -> bool:
  return isinstance(values, dict) and all(isinstance(values.get(name), kind) for name, kind in kinds.items())


def _read_tensors(directory: Path, identity: str, names: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
  """Tensors by path, per component."""
  path = directory / "model.safetensors"
  found: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
  try:
    known = _identity(path) == identity
    with safetensors.safe_open(path, framework="np") as file:
      for key in file.keys():  # noqa: SIM118 (it is no dict)
        name, _, rest = key.partition("/")
        if name in found:
          found[name][rest] = file.get_tensor(key)
  except (OSError, safetensors.SafetensorError) as error:
    raise InputError(f"{path}: missing or damaged; fetch the weights again") from error
  if not known:
    raise InputError(f"{path}: does not belong to the config.json beside it; fetch both again")
  return found


def _write(tensors: dict[str, np.ndarray], path: Path) -> None:
  """Writes a safetensors file of tensors of one dtype: the header's length, the header, and the tensors by name.

  safetensors' own `save_file` writes to a file of a random name first, which a killed run leaves behind.
  """
  header, end = {}, 0
  for name, x in sorted(tensors.items()):
    header[name] = {"dtype": f"F{8 * x.itemsize}", "shape": x.shape, "data_offsets": [end, end + x.nbytes]}
    end += x.nbytes
  text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
  text += b" " * (-len(text) % 8)
  with open(path, "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    for _, x in sorted(tensors.items()):
      file.write(x.data)


def _id(config: dict) -> str:
  """Of a folder with that config, however it is laid out as text; its "id" stands for the tensors."""
  return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def _identity(path: Path) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _stored(name: str, key: str, value: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
  with np.errstate(over="ignore"):  # What overflows is not finite, and refused below.
    stored = np.ascontiguousarray(value, np.dtype(dtype).newbyteorder("<"))
  if not np.isfinite(stored).all():
    raise ValueError(f"{name}/{key} is not finite in {np.dtype(dtype).name}")
  return stored


@contextlib.contextmanager
def _made(directory: Path) -> Iterator[None]:
  """A folder that is made where it is not there; if what is done in it fails, what was made is taken away again."""
  new = [path for path in (directory, *directory.parents) if not path.exists()]
  try:
    directory.mkdir(parents=True, exist_ok=True)
    yield
  except BaseException:
    for path in new:
      with contextlib.suppress(OSError):
        path.rmdir()
    raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
  """A path to write to, which becomes `path` when all went well."""
  aside = _aside(path)
  try:
    yield aside
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
  # Always the same name: what a killed run leaves is written over by the next.
  return path.with_name(f".{path.name}.partial")
