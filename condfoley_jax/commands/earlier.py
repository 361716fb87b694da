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


class _Sound:
  """Samples of a wav, float32, that are read where they are asked for: of many long takes not all are in memory."""

  def __init__(self, wav: Path):
    with _damaged(wav):
      told = soundfile.info(wav)
    self._wav = wav
    self.shape = (told.frames,) if told.channels == 1 else (told.frames, told.channels)

  def __len__(self) -> int:
    return self.shape[0]

  def __getitem__(self, key) -> np.ndarray:
    if not isinstance(key, slice):
      return np.asarray(self)[key]
    first, last, step = key.indices(len(self))
    with _damaged(self._wav):
      return soundfile.read(self._wav, start=first, stop=max(first, last), dtype="float32")[0][::step]

  def __array__(self, dtype=None, copy=None) -> np.ndarray:
    return np.asarray(self[:], dtype)


@contextlib.contextmanager
def _damaged(wav: Path) -> Iterator[None]:
  try:
    yield
  except soundfile.LibsndfileError as error:
    raise InputError(f"{wav}: is damaged; run generate again") from error


def take_of(told: dict, wav: Path) -> Take:
  """A take of which the record tells; its sound is read from the file as it is needed.

  Raises:
    InputError: its file is damaged; of what can be read of it, that is told when its sound is.
  """
  segments = [(s["start_s"], s["end_s"], Sync(s["sync_offset_s"], s["sync_confidence"])) for s in told["segments"]]
  peak = 0.0 if told["true_peak_dbtp"] is None else 10 ** (told["true_peak_dbtp"] / 20)
  retake = Retake(**told["retake"]) if told.get("retake") else None
  onsets = np.array(told["onsets_s"])
  return Take(_Sound(wav), told["seed"], onsets, segments, told["gain"], told["loudness_lufs"], peak, retake)
