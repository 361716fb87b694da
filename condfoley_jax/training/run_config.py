"""The config that a workdir was trained with: `config.json`, and what of it may change when a run goes on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from condfoley_jax.conventions import SAMPLING
from data_pipelines.errors import InputError

FILE_NAME = "config.json"
# How long, how often and from where (`pretrained_ids` and `data_ids` tell what was there) do not change what a step
# does; the learning rate's schedule follows the new end. Nor do conventions of sampling, which are those of the weights
# that are written.
_FREE = (
  "steps",
  "every",
  "evaluate_batches",
  "data.train",
  "data.validation",
  "data.cache",
  "data.cache_epochs",
  "pretrained.",
  "mesh",
  "sharding",
  "skip_at_most",
  *(f"conventions.{name}" for name in SAMPLING),
)


def require_folders(workdir: Path) -> None:
  """Raises InputError where there is a file in place of `workdir` or of a folder in it."""
  for folder in (workdir, workdir / "checkpoints", workdir / "profile"):
    if folder.exists() and not folder.is_dir():
      raise InputError(f"{folder}: a file; move it away or name another --workdir")


def check(config: Mapping[str, Any], workdir: Path) -> None:
  """Whether the run in `workdir`, if there is one, can go on with `config`.

  Raises:
    InputError: it was trained with another config, or nobody knows with which.
  """
  path = workdir / FILE_NAME
  if not any((workdir / "checkpoints").glob("[0-9]*")):
    return
  if not path.exists():
    raise InputError(f"{path}: gone, and with it what was trained here; put it back or name another --workdir")
  try:
    before = dict(leaves(json.loads(path.read_text(encoding="utf-8"))))
  except (ValueError, AttributeError) as error:
    raise InputError(f"{path}: damaged ({type(error).__name__}); name another --workdir") from error
  now = dict(leaves(json.loads(_text(config))))
  for name in before | now:
    was, wanted = before.get(name), now.get(name)
    if not name.startswith(_FREE) and was != wanted:
      raise InputError(
        f"{workdir}: trained with {name} {was}, not {wanted}; name another --workdir or leave it as it was"
      )


def write(config: Mapping[str, Any], workdir: Path) -> None:
  """Writes `workdir`/config.json, whole or not at all: without it a killed run could not go on."""
  aside = workdir / f".{FILE_NAME}.partial"
  aside.write_text(_text(config), encoding="utf-8")
  aside.replace(workdir / FILE_NAME)


def _text(config: Mapping[str, Any]) -> str:
  return json.dumps(config, indent=1, default=str) + "\n"


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
  """(name with dots, value) of all that is not a mapping; an empty one is as none."""
  for name, value in config.items():
    if isinstance(value, Mapping):
      yield from leaves(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", value
