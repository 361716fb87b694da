"""`condfoley prepare`: videos of a data set, or the procedural world, to TFRecord shards; and checks of both ends."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from etils import epath

from condfoley_jax.clip import LARGE, MINI, PAPER
from condfoley_jax.commands.bar import Bar
from data_pipelines import beam, prepare, verify
from data_pipelines.builders import countix_av, folder, greatest_hits
from data_pipelines.builders.drumstick import builder as drumstick
from data_pipelines.builders.source import Source
from data_pipelines.dataset import Dataset
from data_pipelines.errors import InputError, is_utf8, printable

MODELS = {"mini": MINI, "paper": PAPER, "large": LARGE}
PUBLIC = {"greatest_hits": greatest_hits, "countix_av": countix_av}


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the user chose.

  Attributes:
    dataset: drumstick, folder, greatest_hits or countix_av.
    source: folder of the videos; the procedural world needs none.
    annotations: folder of the published lists, by default the source.
    labels: CSV file of events, for folder.
    shares: of a folder's videos by split; by default all are of `split`.
    split: a name; of the public data sets one of theirs or ours.
    seed, videos: of the procedural world.
    model: whose rates, picture size and filter are stored, and whose clips a video is at least as long as.
    workers: processes.
    beam: options of Apache Beam, which then makes the shards.
  """

  dataset: str
  source: Path | None = None
  annotations: Path | None = None
  labels: Path | None = None
  shares: Mapping[str, float] | None = None
  split: str = "train"
  seed: int = 0
  videos: int = 16
  model: str = "mini"
  workers: int = 1
  beam: str | None = None


def run(settings: Settings, out: Path | epath.Path) -> None:
  """Prepares a split in `out`, and says which videos and events were left out.

  Raises:
    InputError: the source or a choice cannot be used, no video can, or another run is at work in `out`.
  """
  _check_flags(settings, out)
  mapper = beam.on(settings.beam) if settings.beam else prepare.in_processes(settings.workers)
  with Bar("preparing") as bar:
    sources = functools.cache(lambda: _sources(settings, out, bar))
    made = prepare.prepare(
      sources,
      out,
      MODELS[settings.model],
      name=_name(settings),
      split=settings.split,
      mapper=mapper,
      progress=bar.show,
      beside=_beside(settings, out),
    )
  for note in _left_out(sources(), made):
    print(printable(f"left out {note}"), file=sys.stderr)


def check(settings: Settings) -> None:
  """Prints what of a public data set is there and what to fetch from where.

  Raises:
    InputError: something is missing, or the data set is not one of the public ones.
  """
  if settings.dataset not in PUBLIC:
    raise InputError(f"--check: {settings.dataset} has no published list of files; it goes with {', '.join(PUBLIC)}")
  source = _required(settings)
  report = PUBLIC[settings.dataset].check(source, settings.annotations)
  print(report.text())
  if not report.complete:
    raise InputError(f"{source}: not all of {settings.dataset} is there; fetch what the report names")


def verify_all(directory: Path | epath.Path) -> None:
  """Prints a line for each thing that is wrong with a prepared dataset.

  Raises:
    InputError: something is.
  """
  found = 0
  for problem in verify.problems(directory):
    print(printable(problem))
    found += 1
  if found:
    raise InputError(f"{directory}: {found} problem{'s' * (found > 1)}; each line above has its remedy")
  print(f"{directory}: whole")


def _check_flags(settings: Settings, out: Path | epath.Path) -> None:
  """Raises InputError for a flag that would change nothing, or goes with another one."""
  if settings.dataset == "drumstick" and not isinstance(out, Path):
    raise InputError(f"{out}: the world's videos are rendered beside its shards; give a folder here, and copy it")
  if settings.beam and beam.runs_elsewhere(settings.beam) and isinstance(out, Path):
    raise InputError(f"{out}: Beam's workers elsewhere do not see it; give --out gs://BUCKET/FOLDER")
  public = tuple(PUBLIC)
  flags = (
    ("--source", settings.source, ("folder", *public)),
    ("--annotations", settings.annotations, public),
    ("--labels", settings.labels, ("folder",)),
    ("--shares", settings.shares, ("folder",)),
  )
  for flag, value, datasets in flags:
    if value is not None and settings.dataset not in datasets:
      raise InputError(f"{flag}: goes with {', '.join(datasets)}, not with {settings.dataset}; leave it out")


def _left_out(sources: Sequence[Source], made: Dataset) -> Iterator[str]:
  for skipped in made.skipped:
    yield f"{skipped['source']}: {skipped['reason']}"
  given = {source.id: len(source.events) for source in sources}
  for video in made.videos:
    if late := given[video.id] - len(video.events):
      yield f"{late} event{'s' * (late > 1)} of {video.source}: after its end; correct the times"


def _sources(settings: Settings, out: Path, bar: Bar) -> list[Source]:
  match settings.dataset:
    case "drumstick":
      if _has_trials(settings):
        drumstick.check_protocol(out / "videos")
      world = {"seed": settings.seed, "count": settings.videos, "workers": settings.workers}
      return drumstick.sources(out / "videos", settings.split, **world, progress=bar.show)
    case "folder":
      shares = settings.shares or {settings.split: 1.0}
      return folder.sources(_required(settings), settings.split, shares=shares, labels=settings.labels)
    case public:
      return PUBLIC[public].sources(_required(settings), settings.split, settings.annotations)


def _beside(settings: Settings, out: Path) -> Callable[[], None] | None:
  """Writes the trials of the world's test split."""
  if not _has_trials(settings):
    return None
  seconds = MODELS[settings.model].seconds
  return lambda: drumstick.write_protocol(out / "videos", settings.seed, settings.videos, seconds)


def _has_trials(settings: Settings) -> bool:
  return (settings.dataset, settings.split) == ("drumstick", "test")


def _required(settings: Settings) -> Path:
  if settings.source is None:
    raise InputError(f"{settings.dataset}: name the folder of videos with --source DIR")
  if not settings.source.is_dir():
    what = "a file" if settings.source.exists() else "no such folder"
    raise InputError(f"{settings.source}: {what}; --source takes a folder of videos")
  return settings.source


def _name(settings: Settings) -> str:
  """What shards and dataset.json call the data set."""
  if settings.dataset != "folder":
    return settings.dataset
  name = _required(settings).resolve().name
  if not is_utf8(name):
    raise InputError(f"{settings.source}: the name is not UTF-8; rename it")
  return name
