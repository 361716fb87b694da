"""Shards made by Apache Beam workers: the direct runner here, Dataflow there."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from etils import epath

from data_pipelines import tfrecord
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError
from data_pipelines.prepare import Mapper, ShardTask, state_of

_STAGED = "condfoley-sources"
Convert = Callable[[ShardTask], int]


def on(options: str) -> Mapper:
  """A mapper for `prepare.prepare`.

  Workers elsewhere read the videos from a copy, which is made in the folder that `--temp_location=gs://...` names.

  Args:
    options: Beam's own, e.g. "--runner=DirectRunner" or "--runner=DataflowRunner --project=P --region=R
      --temp_location=gs://B/tmp --extra_package=WHEEL --requirements_file=FILE", of which FILE holds `gcsfs`.

  Raises:
    InputError: when called, if Beam is not installed, or a runner elsewhere has no place to read from.
  """
  place = re.search(r"--temp_location[= ](gs://\S+)", options)
  if runs_elsewhere(options) and not place:
    raise InputError("--beam: workers elsewhere see no files of this machine; add --temp_location=gs://BUCKET/tmp")

  @contextlib.contextmanager
  def mapper(function: Convert, tasks: Sequence[ShardTask]) -> Iterator[Iterator[int]]:
    try:
      import apache_beam as beam
      from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as e:
      raise InputError("--beam: Apache Beam is not installed; install condfoley-jax[beam] in an environment") from e
    convert, given = staged(function, tasks, place[1]) if place else (function, tasks)
    with beam.Pipeline(options=PipelineOptions(options.split())) as pipeline:
      _ = pipeline | beam.Create(given) | beam.Reshuffle() | beam.Map(convert)
    yield iter([len(task.sources) for task in tasks])

  return mapper


def runs_elsewhere(options: str) -> bool:
  """Whether workers do not see this machine's files: those of every runner but Beam's direct ones."""
  chosen = re.findall(r"--runner[= ](\S+)", options)
  return bool(chosen) and "direct" not in chosen[-1].lower()


@dataclasses.dataclass(frozen=True)
class StagedTask:
  """A task, and where copies of its files are: paths by those of the originals."""

  task: ShardTask
  copies: Mapping[str, str]


def staged(
  function: Convert, tasks: Sequence[ShardTask], place: str | os.PathLike
) -> tuple[Callable[[StagedTask], int], list[StagedTask]]:
  """The same work for machines that see `place` (gs://) and not this one's files; copies that are there stay."""
  found = []
  for task in tasks:
    files = [path for source in task.sources for path in (source.video, source.audio) if path]
    found.append(StagedTask(task, {str(path): str(_copied(path, epath.Path(place) / _STAGED)) for path in files}))
  return functools.partial(_from_copies, function), found


def _copied(path: pathlib.Path, place: epath.Path) -> epath.Path:
  """The copy of a file, or of a folder of pictures, under its own name; made unless one as long is there."""
  if path.is_dir():
    folder = place / _digest(path) / path.name
    for file in sorted(path.iterdir()):
      _copy(file, folder / file.name)
    return folder
  copy = place / _digest(path) / path.name
  _copy(path, copy)
  return copy


def _digest(path: pathlib.Path) -> str:
  told = repr((str(path.resolve()), state_of(path)))
  return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _copy(path: pathlib.Path, to: epath.Path) -> None:
  if to.exists() and tfrecord.length(to) == path.stat().st_size:
    return
  to.parent.mkdir(parents=True, exist_ok=True)
  with path.open("rb") as source, to.open("wb") as target:
    shutil.copyfileobj(source, target)


def _from_copies(function: Convert, given: StagedTask) -> int:
  """On a worker: the work, on files of its own."""
  with tempfile.TemporaryDirectory() as folder:
    sources = tuple(
      _fetched(source, given.copies, pathlib.Path(folder) / str(i)) for i, source in enumerate(given.task.sources)
    )
    return function(dataclasses.replace(given.task, sources=sources))


def _fetched(source: Source, copies: Mapping[str, str], folder: pathlib.Path) -> Source:
  """A source whose files are in `folder`, each in one of its own: names stay."""
  places = {}
  for kind in ("video", "audio"):
    if original := getattr(source, kind):
      copy, here = epath.Path(copies[str(original)]), folder / kind / original.name
      here.parent.mkdir(parents=True)
      pairs = [(file, here / file.name) for file in copy.iterdir()] if copy.is_dir() else [(copy, here)]
      for file, to in pairs:
        to.parent.mkdir(exist_ok=True)
        with file.open("rb") as opened, to.open("wb") as target:
          shutil.copyfileobj(opened, target)
      places[kind] = here
  return dataclasses.replace(source, **places)
