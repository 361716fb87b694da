"""Reads every byte of a prepared dataset, of a cache, or of both in one folder, and says what is wrong with it."""

import os
from collections.abc import Iterator

from etils import epath

from data_pipelines import dataset, records, side_shards, tfrecord
from data_pipelines.errors import InputError


def problems(directory: str | os.PathLike) -> Iterator[str]:
  """One line for each thing that is wrong, naming the shard and, where it can, the record; none where all is whole.

  Raises:
    InputError: there is neither a dataset nor a cache, or its description cannot be read.
  """
  directory = epath.Path(directory)
  cached = side_shards.is_in(directory)
  if cached:
    yield from side_shards.problems(directory)
  if not cached or (directory / dataset.FILE_NAME).exists():
    yield from _of_dataset(directory)


def _of_dataset(directory: epath.Path) -> Iterator[str]:
  path = directory / dataset.FILE_NAME
  description = dataset.read_description(path)
  expected = _expected(description)
  first = 0
  for told in description["shards"]:
    yield from _of_shard(directory, told, expected[first : first + told["records"]])
    first += told["records"]


def _expected(description: dict) -> list[tuple[str, int]]:
  """(video, segment) of every record in order."""
  return [(video["id"], segment) for video in description["videos"] for segment in range(video["records"])]


def _of_shard(directory: epath.Path, told: dict, expected: list[tuple[str, int]]) -> Iterator[str]:
  try:
    shard = dataset.open_shard(directory, told)
  except InputError as e:
    yield str(e)
    return
  found = False
  for record in range(len(shard)):
    if problem := _of_record(shard, record, expected[record : record + 1]):
      found = True
      yield problem
  if not found and dataset.sha256(shard.path) != told["sha256"]:
    yield f"{shard.path}: not the shard that dataset.json tells of (sha256); copy it or prepare the data again"


def _of_record(shard: tfrecord.Shard, record: int, expected: list[tuple[str, int]]) -> str | None:
  try:
    segment = dataset.decode_record(shard, record, shard[record])
    records.decode_frames(segment.frames)
  except InputError as e:
    return str(e)
  except ValueError as e:
    return f"{shard.path}: record {record} is damaged ({e}); prepare the data again"
  if [(segment.video, segment.segment)] != expected:
    return f"{shard.path}: record {record} is segment {segment.segment} of {segment.video}; prepare the data again"
  return None
