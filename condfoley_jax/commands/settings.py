"""What a user chooses of `condfoley generate`."""

import dataclasses
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from data_pipelines.errors import InputError

# Shorter stretches of a query, and shorter examples, say nothing of how a thing sounds, s.
SHORTEST_S = 0.3
_STRETCH = re.compile(r"(?P<path>.+)@(?P<start>\d+(\.\d+)?)-(?P<end>\d+(\.\d+)?)?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Example:
  """A clip that sounds right, for a stretch of the query.

  Attributes:
    path: video with sound, or sound alone.
    start_s: where in it the clip starts, s; None takes the loudest one.
    from_s, to_s: the stretch, s; to_s None is the query's end.
  """

  path: Path
  start_s: float | None = None
  from_s: float = 0.0
  to_s: float | None = None


def parse_example(text: str) -> Example:
  """`clip.mp4`, for all of the query, or `clip.mp4@0-4`, `clip.mp4@4-`: for 0 to 4 s, for 4 s to the end.

  A file of that very name is meant before a stretch is.

  Raises:
    InputError: what follows the @ after a file's name is no stretch.
  """
  found = _STRETCH.fullmatch(text)
  if os.path.exists(text):
    return Example(Path(text))
  if found is None:
    path, _, stretch = text.rpartition("@")
    if os.path.isfile(path):
      raise InputError(f"{text}: `{stretch}` is no stretch of the query in seconds; write 0-4, or 4- for all after 4 s")
    return Example(Path(text))
  end = found["end"]
  return Example(Path(found["path"]), None, float(found["start"]), None if end is None else float(end))


def bounds(query: Path, seconds: float, examples: Sequence[Example]) -> list[float]:
  """Where in the query one example follows another, s.

  Raises:
    InputError: they leave out some of the query, overlap, or are for too short a stretch of it.
  """
  at = 0.0
  for number, example in enumerate(examples):
    if not math.isclose(example.from_s, at, abs_tol=1e-6):
      remedy = f"let each --example begin where the one before ends, as in {example.path.name}@{at:g}-"
      missing, after = sorted((at, example.from_s))
      told = f"from {missing:g} to {after:g} s there is {'no' if at == missing else 'more than one'} example"
      raise InputError(f"{query}: {told}; {remedy}")
    last = number == len(examples) - 1
    end = seconds if example.to_s is None or (last and example.to_s > seconds) else example.to_s
    if end - at < SHORTEST_S - 1e-6 and len(examples) > 1:
      told = f"{example.path.name} is for {max(end - at, 0):.2f} s of {seconds:.2f}"
      raise InputError(f"{query}: {told}; give every --example a stretch of {SHORTEST_S:g} s or more of the query")
    at = end
  if at < seconds - 1e-6:
    remedy = f"leave out where the last --example ends, as in {examples[-1].path.name}@{examples[-1].from_s:g}-"
    raise InputError(f"{query}: from {at:g} to {seconds:.2f} s there is no example; {remedy}")
  return [example.from_s for example in examples[1:]]


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    examples: what sounds right, one after another; empty where the rows of a batch name them.
    candidates: takes to make; take i has seed `seed` + i, modulo 2^32.
    seed: of the first take.
    temperature, top_k, top_p, min_p, guidance: of the sampler; top_k and guidance None are what the weights say.
    tau_s: takes whose |offset| is this close to the smallest count as in time, s; None is what goes with the ranking.
    original_db: how loud the query's own sound is under the takes in the mp4s, dB; None leaves it out.
  """

  examples: tuple[Example, ...] = ()
  candidates: int = 1
  seed: int = 0
  temperature: float = 1.0
  top_k: int | None = None
  top_p: float = 1.0
  min_p: float = 0.0
  guidance: float | None = None
  tau_s: float | None = None
  original_db: float | None = None

  @property
  def files(self) -> list[Path]:
    """Of the examples."""
    return [example.path for example in self.examples]

  def chosen(self) -> dict[str, object]:
    """All but the examples."""
    return {k: v for k, v in dataclasses.asdict(self).items() if k != "examples"}
