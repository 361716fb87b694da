"""What `condfoley generate` makes, as it is before anything is written."""

import contextlib
import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from condfoley_jax.clip import ClipSpec
from condfoley_jax.commands import bar
from condfoley_jax.commands.settings import Settings
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import generate as sampler
from condfoley_jax.sampling.rerank import Sync, over_segments
from data_pipelines import interrupt, media

# True peak that no take is above, dB of full scale (EBU R 128), and how exactly the meter tells it, of full scale.
PEAK_DB = -1.0
_PEAK_STEP = 0.0005


class Retake(NamedTuple):
  """Which take a take was made from by making `from_s` to `to_s` of it anew."""

  take: int
  from_s: float
  to_s: float


@dataclasses.dataclass(frozen=True)
class Take:
  """One generated soundtrack.

  Attributes:
    audio: float32 [N], its true peak at most `PEAK_DB`; of a take of an earlier result what reads it from there.
    seed: of what was drawn.
    onsets_s: onsets that are heard, s.
    segments: start and end, s, and sync of stretches of a clip's length.
    gain: what the sound as it was made was multiplied with, in (0, 1], that it is not louder; a part that was made
      anew may be turned down further.
    lufs: integrated loudness; None of what is silent or shorter than 0.4 s.
    peak: true peak, 1 being full scale.
    retake: where it is a take with a stretch made anew, with the seed, of what.
  """

  audio: np.ndarray
  seed: int
  onsets_s: np.ndarray
  segments: list[tuple[float, float, Sync]]
  gain: float
  lufs: float | None
  peak: float
  retake: Retake | None = None

  @property
  def sync(self) -> Sync:
    """Of the whole."""
    return Sync(*map(float, over_segments(Sync(*np.array([sync for *_, sync in self.segments]).T))))


@dataclasses.dataclass(frozen=True)
class Generation:
  """Everything that one call made; `takes` best first.

  Attributes:
    query, settings: what was asked.
    inputs: the files as they were when they were read (`describe_inputs`).
    starts_s: where the clips of the examples start, s.
    examples: their frames and audio.
    takes: ranked.
    seen: [T], onset probability per query frame.
    spec: grid of the weights.
    weights_id, conventions: of the weights folder.
    ranked_by: what ranked the takes.
    damaged_s: by names of `inputs`, times of what could not be decoded and was concealed, s.
    seconds: wall-clock seconds per stage.
  """

  query: Path
  settings: Settings
  inputs: dict[str, dict]
  starts_s: list[float]
  examples: list[sampler.Example]
  takes: list[Take]
  seen: np.ndarray
  spec: ClipSpec
  weights_id: str
  conventions: Conventions
  ranked_by: str
  damaged_s: dict[str, list[float]]
  seconds: dict[str, float]


def describe_inputs(query: Path, settings: Settings) -> dict[str, dict]:
  """Path and content of query and examples (`example`, `example_2`, ...); where the user chose that these start and
  what stretch they are for, s; start None where it was found."""
  told = {"query": {"path": str(query), "sha256": _sha256(query)}}
  for number, example in enumerate(settings.examples, 1):
    chosen = {"chosen_start_s": example.start_s, "from_s": example.from_s, "to_s": example.to_s}
    file = {"path": str(example.path), "sha256": _sha256(example.path)}
    told["example" if number == 1 else f"example_{number}"] = file | chosen
  return told


def _sha256(path: Path) -> str | None:
  """None where there is no file that can be read."""
  try:
    if not path.is_file():
      return None
    with path.open("rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError:
    return None


def held_down(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, float, media.Loudness]:
  """float32 audio [N], turned down in place where its true peak is above `PEAK_DB`; by what; how loud it is then."""
  over = max(1.0, float(audio.max()), float(-audio.min()))
  if over > 1:
    audio /= over  # The meter tells no loudness above 10 LUFS.
  heard = media.measure_loudness(audio, sample_rate)
  gain = min(1.0, 10 ** (PEAK_DB / 20) / (heard.true_peak + _PEAK_STEP))
  if gain == 1:
    return audio, gain, heard
  audio *= gain
  lufs = None if heard.integrated_lufs is None else heard.integrated_lufs + 20 * math.log10(gain)
  return audio, gain / over, media.Loudness(lufs, heard.true_peak * gain)


@contextlib.contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[Callable[[], dict[str, float]]]:
  """Says what is going on, on stderr, and notes how long it took; gives a function for the seconds so far.

  Raises:
    Interrupted: a signal came before.
  """
  start = time.monotonic()

  def so_far() -> dict[str, float]:
    return seconds | {stage: time.monotonic() - start}

  interrupt.check()
  with interrupt.undone(bar.CONSOLE.show_cursor), bar.CONSOLE.status(f"{stage} ..."):
    yield so_far
  seconds.update(so_far())
