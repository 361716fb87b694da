"""Kinds of arguments of the `condfoley` command: text in, a value or one line that says what is wrong out."""

import argparse
import os
import re
from pathlib import Path

from condfoley_jax.commands.settings import Example, parse_example
from data_pipelines.errors import InputError


def path(text: str) -> Path:
  if not text:
    raise argparse.ArgumentTypeError("empty; name a file or folder")
  return Path(text)


def place(text: str) -> os.PathLike:
  """A folder here, or one of Cloud Storage: gs://BUCKET/FOLDER."""
  if not text.startswith("gs://"):
    return path(text)
  from etils import epath  # Which takes a while to load.

  return epath.Path(text)


def paths(text: str) -> tuple[Path, ...]:
  return tuple(path(part) for part in text.split(","))


def example(text: str) -> Example:
  path(text)
  try:
    return parse_example(text)
  except InputError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def decibels(text: str) -> float:
  """`-18dB` or `-18`."""
  return in_range(float, re.sub(r"\s*dB$", "", text, flags=re.IGNORECASE), "in [-60, 0]", lambda x: -60 <= x <= 0)


def positive(text: str) -> int:
  return in_range(int, text, "in 1..2^32-1", lambda value: 1 <= value < 2**32)


def counts(text: str) -> tuple[int, ...]:
  """`1,10,100`"""
  return tuple(positive(part) for part in text.split(","))


def natural(text: str) -> int:
  return in_range(int, text, "in 0..2^32-1", lambda value: 0 <= value < 2**32)


def not_negative(text: str) -> float:
  return in_range(float, text, "0 or more", lambda value: 0 <= value < float("inf"))


def delays(text: str) -> tuple[float, ...]:
  """`0.05,0.2`"""
  return tuple(not_negative(part) for part in text.split(","))


def shard(text: str) -> tuple[int, int]:
  """`2/8` -> (1, 8)"""
  found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
  number, count = map(int, found.groups()) if found else (0, 0)
  if not 1 <= number <= count:
    raise argparse.ArgumentTypeError(f"`{text}` is no share; give K/N, K from 1 to N")
  return number - 1, count


def strength(text: str) -> float:
  return in_range(float, text, "in [0, 100]", lambda value: 0 <= value <= 100)


def above_zero(text: str) -> float:
  return in_range(float, text, "in (0, 3600]", lambda value: 0 < value <= 3600)


def share(text: str) -> float:
  return in_range(float, text, "in (0, 1]", lambda value: 0 < value <= 1)


def fraction(text: str) -> float:
  return in_range(float, text, "in [0, 1]", lambda value: 0 <= value <= 1)


def split_shares(text: str) -> dict[str, float]:
  """`train=0.8,test=0.2` -> {"train": 0.8, "test": 0.2}"""
  pairs = [part.rpartition("=") for part in text.split(",")]
  if not all(name for name, _, _ in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
    raise argparse.ArgumentTypeError(f"`{text}` are no shares; give each split its own, as train=0.8,val=0.1,test=0.1")
  return {name: fraction(share) for name, _, share in pairs}


def strengths(text: str) -> tuple[float, ...]:
  """`1,2.5`"""
  return tuple(strength(part) for part in text.split(","))


def in_range(kind, text: str, wanted: str, fits):
  try:
    value = kind(text)
  except ValueError:
    value = None
  if value is None or not fits(value):
    raise argparse.ArgumentTypeError(f"{text} is not a {'whole ' if kind is int else ''}number that is {wanted}")
  return value
