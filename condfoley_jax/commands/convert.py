"""`condfoley convert`: a published PyTorch checkpoint to a weights folder."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from condfoley_jax.commands.generation import timed
from condfoley_jax.conventions import PUBLISHED, REPAIRED, Conventions
from condfoley_jax.sampling.generate import COMPONENTS
from condfoley_jax.weights import fit, folder, torch_file
from condfoley_jax.weights.published import checkpoint
from data_pipelines.errors import InputError, printable

# What each data set's models were trained with: level of the example, and whether its noise is removed.
DATA_SETS = {"greatest_hits": {"level": "rms", "denoise": False}, "countix_av": {"level": "as_is", "denoise": True}}


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    kind: of the checkpoint, one of `checkpoint.KINDS`.
    vocoder, sync: MelGAN and SparseSync checkpoints to put beside a transformer.
    trained_on: one of `DATA_SETS`.
    published: generate as the published system does, bugs included.
    heads: attention heads of the transformer, which its tensors do not tell.
  """

  kind: str
  vocoder: Path | None = None
  sync: Path | None = None
  trained_on: str = "greatest_hits"
  published: bool = False
  heads: int = 16


def run(source: Path, out: Path, settings: Settings) -> None:
  """Writes the weights folder `out`, all floats as float32: narrower ones keep their value, wider ones are rounded.

  Raises:
    InputError: a checkpoint cannot be used, or `out` cannot be written; nothing is written then.
  """
  _refuse_options(settings)
  if not folder.is_free(out):
    raise InputError(f"{out}: holds weights already; choose another folder")
  seconds: dict[str, float] = {}
  with timed("read checkpoint", seconds):
    clip, components = _read(settings.kind, source, settings.heads)
    if settings.vocoder:
      components |= _read("melgan", settings.vocoder, settings.heads).components
      if found := fit.misfits(clip, components):
        raise InputError(f"{settings.vocoder}: was not made for {source} ({found}); choose the vocoder made for it")
    if settings.sync:
      components |= _read("sparsesync", settings.sync, settings.heads).components
  with timed("write weights", seconds):
    try:
      folder.save(out, clip, components, conventions=conventions_of(settings), dtype=np.float32)
    except OSError as error:
      raise InputError(f"{out}: {error.strerror or error}; choose another folder") from error
    except ValueError as error:
      raise InputError(f"{source}: {error}; get the checkpoint from its authors again") from error
  _tell(out, components, settings)


def _refuse_options(settings: Settings) -> None:
  """Refuses options that say nothing of this kind of checkpoint."""
  if settings.kind == "transformer":
    return
  if settings.sync:
    raise InputError("--sync goes with --kind transformer; use --kind sparsesync to convert it alone")
  if settings.vocoder:
    raise InputError("--vocoder goes with --kind transformer; use --kind melgan to convert a vocoder alone")
  if settings != Settings(settings.kind):
    options = "--published, --heads and --trained-on"
    raise InputError(f"{options} go with --kind transformer; leave them out for {settings.kind}")


def conventions_of(settings: Settings) -> Conventions:
  """How the converted weights are used."""
  data_set = DATA_SETS[settings.trained_on]
  if settings.published:
    return dataclasses.replace(PUBLISHED, denoise=data_set["denoise"])
  return dataclasses.replace(REPAIRED, **data_set)


def _read(kind: str, source: Path, heads: int) -> checkpoint.Converted:
  state = torch_file.state_dict(source)
  try:
    return checkpoint.convert(kind, state, heads=heads)
  except InputError:
    raise  # No fault of the file.
  except ValueError as error:
    raise InputError(f"{source}: {error}; is this a {kind} checkpoint?") from error


def _tell(out: Path, components: dict[str, nnx.Module], settings: Settings) -> None:
  """Says what was found and what is still wanted."""
  for name, component in components.items():
    size = sum(x.size for x in jax.tree.leaves(nnx.state(component, nnx.Param)))
    print(f"{name}: {size:,} parameters", file=sys.stderr)
  if settings.kind == "transformer" and (wanted := [name for name in COMPONENTS if name not in components]):
    print(f"`condfoley generate` needs {wanted[0]} too: convert again with --vocoder FILE", file=sys.stderr)
  behaviour = "published behaviour" if settings.published else "repaired behaviour"
  done = behaviour if settings.kind == "transformer" else "converted"
  print(printable(f"{out}: {done}; see docs/published.md"), file=sys.stderr)
