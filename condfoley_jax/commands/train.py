"""`condfoley train`: a config and its overrides to a run of the train loop."""

import contextlib
import math
import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

import configs
from condfoley_jax.training import run_config
from condfoley_jax.training.input_cache import OtherFailed
from condfoley_jax.training.train_loop import Run
from data_pipelines import claim
from data_pipelines.errors import InputError
from data_pipelines.interrupt import Interrupted

# What the runtime says of programs that are too large, or that are none.
_OF_THE_CONFIG = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT")


def run(config: str, workdir: Path, *, overrides: Sequence[str], profile: bool = False) -> dict[str, float]:
  """Trains what `config` (`configs/X.py:PRESET`) describes, changed by `overrides` (`--config.key=value`).

  `profile` leaves a trace of a few steps in the workdir.

  Raises:
    InputError: no such config, preset or key, a value of the wrong type, or data that cannot be used.
  """
  values = read_config(config, overrides)
  run_config.require_folders(workdir)
  _join_processes()
  with claim.claimed(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
    run = _made(config, values, workdir, profile)
    try:
      return run.go()
    except Interrupted:
      if jax.distributed.is_initialized():
        jax.distributed.shutdown()  # Waits for all: none may find that another one is gone.
      raise


def _made(config: str, values: ConfigDict, workdir: Path, profile: bool) -> Run:
  """The run; what does not fit together in a config can show in any way, while it is put together."""
  try:
    return Run(values.to_dict(), workdir, profile=profile)
  except (InputError, OSError, OtherFailed):
    raise
  except Exception as error:
    # Of a device or another process that failed, which another start may mend.
    if isinstance(error, jax.errors.JaxRuntimeError) and not any(x in str(error) for x in _OF_THE_CONFIG):
      raise
    raise InputError(f"{config}: {_one_line(error)}") from error


def _join_processes() -> None:
  """Joins the other processes of this run, where JAX_COORDINATOR_ADDRESS says that there are some; `auto` on hosts of
  TPU slices, where JAX finds out who they are.

  Raises:
    InputError: it is no address, or JAX_NUM_PROCESSES or JAX_PROCESS_ID is no number; there is nobody to find.
  """
  address = os.environ.get("JAX_COORDINATOR_ADDRESS")
  if not address or jax.distributed.is_initialized():
    return
  if address == "auto":
    del os.environ["JAX_COORDINATOR_ADDRESS"]  # JAX would take it for an address.
    try:
      jax.distributed.initialize()
    except ValueError as error:
      remedy = "name HOST:PORT, or leave it out where one process trains alone"
      raise InputError(f"JAX_COORDINATOR_ADDRESS: auto, but this is no host of a TPU slice; {remedy}") from error
    return
  numbers = {}
  for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
    if not (text := os.environ.get(name, "")).isdecimal():
      raise InputError(f"{name}: `{text}` is not a number; set it beside JAX_COORDINATOR_ADDRESS")
    numbers[name] = int(text)
  if not re.fullmatch(r".+:\d+", address):
    raise InputError(f"JAX_COORDINATOR_ADDRESS: `{address}` is not HOST:PORT")
  if numbers["JAX_PROCESS_ID"] >= numbers["JAX_NUM_PROCESSES"]:
    raise InputError(f"JAX_PROCESS_ID: {numbers['JAX_PROCESS_ID']} is not below JAX_NUM_PROCESSES; number from 0")
  jax.distributed.initialize(num_processes=numbers["JAX_NUM_PROCESSES"], process_id=numbers["JAX_PROCESS_ID"])


def read_config(config: str, overrides: Sequence[str]) -> ConfigDict:
  """The resolved config.

  Raises:
    InputError: as `run`.
  """
  path, _, preset = config.partition(":")
  found = _find(path)
  words = ["condfoley train", f"--config={found}" + (f":{preset}" if preset else ""), *overrides]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
  try:
    left = values(words)
    resolved = values.config
  except Exception as error:  # Whatever the config's own code raises.
    raise InputError(f"{config}: {_one_line(error)}") from error
  if len(left) > 1:
    raise InputError(f"{config}: unknown argument {left[1]}; overrides look like --config.steps=100")
  if not isinstance(resolved, ConfigDict) or "stage" not in resolved:
    raise InputError(f"{config}: its get_config() gives no config of a stage; see configs/vqgan.py for one that does")
  try:
    _check_numbers(config, resolved)
  except (AttributeError, TypeError) as error:
    raise InputError(f"{config}: lacks a number that every stage has, or it is none ({_one_line(error)})") from error
  return resolved


def _check_numbers(config: str, values: ConfigDict) -> None:
  """Raises InputError if a number is out of its range; AttributeError or TypeError if it is none."""
  cached = ("data.cache_epochs",) if "cache_epochs" in values.data else ()
  counts = ("steps", "batch_size", "evaluate_batches", "accumulate", "skip_at_most")
  for name in (*counts, *cached, *(f"every.{k}" for k in values.every)):
    if operator.attrgetter(name)(values) < 1:
      raise InputError(f"{config}: --config.{name} must be 1 or more")
  for name, value in run_config.leaves(values.to_dict()):
    numbers = value if isinstance(value, tuple | list) else [value]
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
      raise InputError(f"{config}: --config.{name} is {value}; give a number")
    if name.endswith("_weight") and any(number < 0 for number in numbers):
      raise InputError(f"{config}: --config.{name} must be 0 or more")
  if not 0 <= values.ema < 1:
    raise InputError(f"{config}: --config.ema must be 0 or more and less than 1")
  if not 0 <= values.seed < 2**32:
    raise InputError(f"{config}: --config.seed must be in 0..2^32-1")


def _one_line(error: Exception) -> str:
  """What is wrong, in words: the config loader wraps errors in errors and puts tracebacks before what they say."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  if isinstance(error, SyntaxError):
    return f"line {error.lineno}: {error.msg}"
  lines = str(error.args[0] if error.args else error).strip().splitlines() or [type(error).__name__]
  if isinstance(error, KeyError) and " " not in lines[0]:
    return "; ".join(["no key " + lines[0].strip("'"), *lines[1:]])
  return re.sub(r"^\w*Error: |: SyntaxError\(.*", "", lines[-1].strip())


def _find(path: str) -> Path:
  """The config file itself, or the installed one of that name."""
  for candidate in (Path(path), Path(configs.__file__).parent / Path(path).name):
    if candidate.is_file():
      return candidate
  raise InputError(f"{path}: no such config; the shipped ones are {', '.join(_shipped())}")


def _shipped() -> list[str]:
  return sorted(
    f"configs/{p.name}" for p in Path(configs.__file__).parent.glob("*.py") if "def get_config" in p.read_text()
  )
