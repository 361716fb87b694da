"""Videos -> TFRecord shards, their indices and `dataset.json`.

A shard holds the records of a few videos in a row and is made by one call that needs nothing else, in this process, in
several or by Beam workers, so its bytes depend on its videos alone. Finished shards wait in a hidden folder, from which
a run that was stopped goes on.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from etils import epath

from condfoley_jax.clip import ClipSpec
from data_pipelines import claim, dataset, interrupt, records, seal, side_shards, tfrecord
from data_pipelines.builders.segments import segments_of
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError, printable
from data_pipelines.workers import mapped

# Small enough that a stopped run loses little and a pod's hosts have shards enough, large enough for long reads.
VIDEOS_PER_SHARD = 8
# Folders of shards that no description tells of yet, and in them the mark of one that is half published.
_WORK, _MARK = ".prepare-", "publishing"
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class ShardTask:
  """One shard to write: its path without suffix, and the videos that go in."""

  path: str
  sources: tuple[Source, ...]


# Runs the function on every task, in any order, and gives back how many videos each had.
Mapper = Callable[[Callable[[ShardTask], int], Sequence[ShardTask]], contextlib.AbstractContextManager[Iterator[int]]]


def prepare(
  sources: Callable[[], Sequence[Source]],
  out_dir: str | os.PathLike,
  spec: ClipSpec,
  *,
  name: str,
  split: str,
  mapper: Mapper,
  progress: Progress | None = None,
  beside: Callable[[], None] | None = None,
) -> dataset.Dataset:
  """Writes videos as a dataset to `out_dir`, in place of the one that is there.

  Videos that cannot be used (shorter than a clip, without sound, unreadable, of a name that is not UTF-8) are left out
  and listed under "skipped" in dataset.json. A run that was stopped is taken up again by the same call, as long as the
  videos have not changed.

  Args:
    sources: gives those of one split, from a builder; called when `out_dir` is this run's alone, so that it may make
      videos in there.
    out_dir: local or gs://; made if absent, but not left empty. A dataset in it stays whole until the new one is ready.
    spec: gives rates and picture size, and the shortest video that is kept.
    name, split: of the dataset, e.g. "drumstick", "train".
    mapper: makes the shards: `in_processes(n)` or `beam.on(runner)`.
    progress: called with (videos done, videos in all).
    beside: writes what lies beside the dataset and tells of its videos; called when it takes the old one's place.

  Raises:
    InputError: no videos, two with the same id, or none that can be used; a split that files cannot be named after; a
      cache of a training run, or a folder called dataset.json, is in `out_dir`, or another run is at work there.
  """
  if not re.fullmatch(r"[\w.-]+", split):
    raise InputError(f"split `{printable(split)}`: files are named after it; use letters, digits, _ and - alone")
  out_dir = epath.Path(out_dir)
  if side_shards.is_in(out_dir):
    raise InputError(f"{out_dir}: holds a cache of a training run; choose another folder")
  if (out_dir / dataset.FILE_NAME).is_dir():
    raise InputError(f"{out_dir / dataset.FILE_NAME}: a folder; remove it or choose another --out")
  with claim.claimed(out_dir) as alone:
    found = sources()
    _check_ids(found, split)
    _prepare(found, out_dir, spec, name, split, mapper, progress, beside or (lambda: None))
    if alone:
      for left in out_dir.glob(f"{_WORK}*"):  # Of runs with other settings, which were killed.
        left.rmtree()
  return dataset.open_dataset(out_dir, spec)


def _prepare(
  sources: Sequence[Source],
  out_dir: epath.Path,
  spec: ClipSpec,
  name: str,
  split: str,
  mapper: Mapper,
  progress: Progress | None,
  beside: Callable[[], None],
) -> None:
  """As `prepare`, in an `out_dir` that is there and nobody else's."""
  work = out_dir / f"{_WORK}{_fingerprint(sources, spec, name, split)}"
  work.mkdir(exist_ok=True)
  groups = [tuple(sources[i : i + VIDEOS_PER_SHARD]) for i in range(0, len(sources), VIDEOS_PER_SHARD)]
  tasks = [ShardTask(os.fspath(work / f"{i:05d}"), group) for i, group in enumerate(groups)]
  try:
    with mapper(functools.partial(write_shard, spec=spec), tasks) as counts:
      for done in _running_total(counts):
        if progress:
          progress(done, len(sources))
  finally:
    if not any(epath.Path(f"{task.path}.json").exists() for task in tasks):
      work.rmtree(missing_ok=True)  # In a bucket a folder without files is none.
  shards = [json.loads(epath.Path(f"{task.path}.json").read_text()) for task in tasks]
  if not any(shard["videos"] for shard in shards):
    work.rmtree()
    reason = shards[0]["skipped"][0]["reason"]
    raise InputError(f"{sources[0].video}: neither it nor the other videos can be used; the first: {reason}")
  _publish(tasks, shards, out_dir, functools.partial(dataset.describe, spec, name=name, split=split), beside)
  work.rmtree()


def in_processes(workers: int) -> Mapper:
  """Makes shards in that many processes; below 2 in this one."""
  return lambda function, tasks: mapped(function, tasks, workers)


def write_shard(task: ShardTask, *, spec: ClipSpec) -> int:
  """Writes a shard, its index and, last, the JSON file that tells what is in it, unless that is there already.

  Returns:
    How many videos the task has.
  """
  told = epath.Path(f"{task.path}.json")
  if told.exists():
    return len(task.sources)
  shard = epath.Path(f"{task.path}.tfrecord")
  kept: list[dataset.Video] = []
  skipped: list[dict[str, str]] = []
  count = tfrecord.write(shard, _records(task.sources, spec, kept, skipped))
  content = {
    "records": count,
    "bytes": tfrecord.length(shard),
    "sha256": dataset.sha256(shard),
    "videos": [dataclasses.asdict(video) for video in kept],
    "skipped": skipped,
  }
  aside = told.with_name(f".{told.name}")
  aside.write_text(json.dumps(content))
  aside.replace(told)
  return len(task.sources)


def _records(
  sources: Iterable[Source], spec: ClipSpec, kept: list[dataset.Video], skipped: list[dict[str, str]]
) -> Iterator[bytes]:
  """Yields the records of the videos in order; notes in `kept` and `skipped` what became of each video."""
  first = 0
  for source in sources:
    events, segment = [], None
    try:
      for segment in segments_of(source, spec):
        events.extend(segment.events)
        yield records.encode(segment)
    except InputError as e:
      skipped.append({"source": printable(source.video.name), "reason": _without_name(e, source)})
      continue
    kept.append(
      dataset.Video(
        id=source.id,
        source=segment.source,
        source_sha256=segment.source_sha256,
        frames=segment.video_frames,
        seconds=segment.video_frames / spec.fps,
        first_record=first,
        records=segment.segment + 1,
        events=tuple(events),
        label=source.label,
        span_s=source.span_s,
      )
    )
    first += segment.segment + 1


def _without_name(error: InputError, source: Source) -> str:
  """The reason without the path, which stands beside it."""
  return str(error).removeprefix(f"{printable(source.video)}: ")


def _check_ids(sources: Sequence[Source], split: str) -> None:
  if not sources:
    raise InputError(f"no videos of split `{split}` to prepare; name a folder that holds some, or another --split")
  seen: dict[str, Source] = {}
  for source in sources:
    if source.id in seen:
      raise InputError(f"{printable(source.video)}: has the same name as {seen[source.id].video}; rename one of them")
    seen[source.id] = source


def _fingerprint(sources: Sequence[Source], spec: ClipSpec, name: str, split: str) -> str:
  """Of all that the shards depend on, the size and age of the videos for their content."""
  files = [[(path, state_of(path)) for path in (x.video, x.audio) if path] for x in sources]
  told = repr((records.SCHEMA_VERSION, VIDEOS_PER_SHARD, name, split, spec, list(sources), files))
  return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def state_of(path: pathlib.Path) -> tuple:
  """What changes with the content of a file, or with that of the files of a folder: names, sizes and ages."""
  if path.is_dir():
    return tuple((file.name, state_of(file)) for file in sorted(path.iterdir()))
  stat = path.stat()
  return stat.st_size, stat.st_mtime_ns


def _running_total(counts: Iterable[int]) -> Iterator[int]:
  total = 0
  for count in counts:
    total += count
    yield total


def _publish(
  tasks: Sequence[ShardTask],
  shards: list[dict[str, Any]],
  out_dir: epath.Path,
  describe: Callable[..., dict[str, Any]],
  beside: Callable[[], None],
) -> None:
  """Moves the shards to their final names; the old dataset's description goes first, the new one comes last."""
  held = [(task, shard) for task, shard in zip(tasks, shards, strict=True) if shard["records"]]
  described = describe(videos=[], shards=[], skipped=[s for shard in shards for s in shard["skipped"]])
  stem = f"{described['name']}-{described['split']}"
  first, moves = 0, []
  for i, (task, shard) in enumerate(held):
    name = f"{stem}-{i:05d}-of-{len(held):05d}.tfrecord"
    moves.append((epath.Path(f"{task.path}.tfrecord"), out_dir / name))
    described["videos"] += [video | {"first_record": first + video["first_record"]} for video in shard["videos"]]
    described["shards"].append({"file": name} | {key: shard[key] for key in ("records", "bytes", "sha256")})
    first += shard["records"]
  aside = moves[0][0].with_name(dataset.FILE_NAME)
  aside.write_text(seal.sealed(described))
  with interrupt.held():
    _remove_dataset(out_dir, {target for _, target in moves}, aside.with_name(_MARK))
    for source, target in moves:
      for before, after in ((tfrecord.index_path(source), tfrecord.index_path(target)), (source, target)):
        # What is not there any more was moved by a run that was killed here.
        if before.exists():
          before.replace(after)
    beside()
    aside.replace(out_dir / dataset.FILE_NAME)


def _remove_dataset(directory: epath.Path, but: set[epath.Path], mark: epath.Path) -> None:
  """Removes a dataset by the form of its names, so that an older schema or a damaged description is no obstacle.

  Args:
    directory: of the dataset; where no description is in it, nothing is removed, unless a run was killed at it.
    but: shards to leave.
    mark: file to make, which says that shards are moved now.
  """
  description = directory / dataset.FILE_NAME
  others = description.exists() or any(directory.glob(f"{_WORK}*/{_MARK}"))
  mark.touch()
  if not others:
    return
  description.unlink(missing_ok=True)
  keep = but | {tfrecord.index_path(shard) for shard in but}
  # Each by itself: a run can be killed between the moves of a shard and its index.
  for suffix in ("", tfrecord.INDEX_SUFFIX):
    for path in directory.glob(f"*-[0-9]*-of-[0-9]*.tfrecord{suffix}"):
      if path not in keep:
        path.unlink()
