"""An earlier result as its generation.json tells of it: what the user had chosen, and its takes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from condfoley_jax.commands.generation import Retake, Take
from condfoley_jax.commands.settings import Example, Settings
from condfoley_jax.sampling.rerank import Sync
from data_pipelines import lock
from data_pipelines.errors import InputError


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
  """Keeps other runs out of a result's folder during the block.

  Raises:
    InputError: there is one.
  """
  if not out.is_dir():
    yield  # What follows says what is wrong.
    return
  with lock.locked(out) as ours:
    if ours is False:
      raise InputError(f"{out}: another run is at work here; wait for its end")
    yield


def settings_of(record: dict) -> Settings:
  """What the user had chosen."""
  examples = []
  for name, told in record["inputs"].items():
    if name != "query":
      examples.append(Example(Path(told["path"]), told["chosen_start_s"], told["from_s"], told["to_s"]))
  return Settings(tuple(examples), **{k: v for k, v in record["settings"].items() if k != "examples"})


def starts_of(record: dict) -> list[float]:
  """Where the clips of the examples start, s."""
  return [example["start_s"] for example in record["settings"]["examples"]]


def take_of(told: dict, wav: Path) -> Take:
  """A take of which the record tells.

  Raises:
    InputError: its file is damaged.
  """
  try:
    audio = soundfile.read(wav, dtype="float32")[0]
  except soundfile.LibsndfileError as error:
    raise InputError(f"{wav}: is damaged; run generate again") from error
  segments = [(s["start_s"], s["end_s"], Sync(s["sync_offset_s"], s["sync_confidence"])) for s in told["segments"]]
  peak = 0.0 if told["true_peak_dbtp"] is None else 10 ** (told["true_peak_dbtp"] / 20)
  retake = Retake(**told["retake"]) if told.get("retake") else None
  onsets = np.array(told["onsets_s"])
  return Take(audio, told["seed"], onsets, segments, told["gain"], told["loudness_lufs"], peak, retake)
