"""Videos -> TFRecord shards, their indices and `dataset.json`.

Each video is decoded by one process; this one writes their records in the order of the videos, so the shards' bytes do
not depend on the number of workers.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from condfoley_jax.clip import ClipSpec
from data_pipelines import dataset, interrupt, media, records, tfrecord
from data_pipelines.builders import drumstick
from data_pipelines.builders import events as event_files
from data_pipelines.errors import InputError, is_utf8, printable
from data_pipelines.pairs import event_frame
from data_pipelines.workers import mapped

SHARD_BYTES = 128 * 2**20
Progress = Callable[[int, int], None]


def prepare_videos(
  videos: Sequence[str | os.PathLike],
  out_dir: str | os.PathLike,
  spec: ClipSpec,
  *,
  name: str,
  split: str,
  workers: int,
  progress: Progress | None = None,
) -> dataset.Dataset:
  """Writes `videos` as a dataset to `out_dir`, in place of the one that is there.

  Labelled events are read from `<stem>_times.txt` beside a video where there is one. Videos that cannot be used
  (shorter than a clip, without sound, unreadable, of a name that is not UTF-8) are left out and listed under "skipped"
  in dataset.json.

  Args:
    videos: files; their stems become the videos' ids.
    out_dir: made if absent, but not left empty. A dataset in it stays whole until the new one is ready.
    spec: gives rates and picture size, and the shortest video that is kept.
    name, split: of the dataset, e.g. "drumstick", "train".
    workers: processes that decode; below 2 all is done in this one.
    progress: called with (videos done, videos in all).

  Raises:
    InputError: no videos, two with the same stem, or none that can be used.
  """
  videos, out_dir = [pathlib.Path(v) for v in videos], pathlib.Path(out_dir)
  _check_stems(videos)
  kept: list[dataset.Video] = []
  skipped: list[_Skipped] = []
  with interrupt.partial_folder(out_dir) as aside:
    with mapped(functools.partial(_convert, spec=spec), videos, workers) as converted:
      counted = _report(converted, len(videos), progress)
      shards = _write_shards(_sort_out(counted, kept, skipped), aside)
    if not kept:
      raise InputError(f"{videos[0]}: neither it nor the other videos can be used; the first: {skipped[0].reason}")
    names = [f"{name}-{split}-{i:05d}-of-{len(shards):05d}.tfrecord" for i in range(len(shards))]
    content = dataset.describe(
      spec,
      name=name,
      split=split,
      videos=kept,
      shards=[_describe_shard(path, as_name) for path, as_name in zip(shards, names, strict=True)],
      skipped=[dataclasses.asdict(s) for s in skipped],
    )
    _publish(dict(zip(names, shards, strict=True)), content, out_dir)
  return dataset.open_dataset(out_dir, spec)


def prepare_drumstick(
  out_dir: str | os.PathLike,
  *,
  split: str,
  seed: int,
  count: int,
  spec: ClipSpec,
  workers: int,
  progress: Progress | None = None,
) -> dataset.Dataset:
  """Renders `count` videos of the procedural world into `out_dir`/videos and prepares them.

  Args:
    split: train, val or test.
    seed: of the world; equal arguments give equal bytes.
    progress: called with (videos done, videos in all), from the start again for the second half, the preparing.
  """
  videos = drumstick.render_videos(
    pathlib.Path(out_dir) / "videos", split=split, seed=seed, count=count, workers=workers, progress=progress
  )
  return prepare_videos(videos, out_dir, spec, name="drumstick", split=split, workers=workers, progress=progress)


@dataclasses.dataclass(frozen=True)
class _Converted:
  """A video and its records, whose place in the dataset is not known yet."""

  video: dataset.Video
  records: list[bytes]


@dataclasses.dataclass(frozen=True)
class _Skipped:
  source: str
  reason: str


_Outcome = _Converted | _Skipped


def _check_stems(videos: Sequence[pathlib.Path]) -> None:
  if not videos:
    raise InputError("no videos to prepare; name a folder that holds some")
  seen: dict[str, pathlib.Path] = {}
  for video in videos:
    if video.stem in seen:
      raise InputError(f"{video}: has the same name as {seen[video.stem]}; rename one of them")
    seen[video.stem] = video


def _convert(path: pathlib.Path, spec: ClipSpec) -> _Outcome:
  if not is_utf8(path.name):
    return _Skipped(printable(path.name), "the name is not UTF-8; rename it")
  try:
    frames = media.decode_frames(path, spec.fps, spec.frame_resize, resize=spec.frame_filter)
    if len(frames) < spec.frames:
      return _Skipped(path.name, f"shorter than {spec.seconds} s")
    audio = media.decode_audio(path, spec.sample_rate, duration_s=len(frames) / spec.fps)
    events = _read_events(path, len(frames), spec.fps)
  except InputError as e:
    return _Skipped(path.name, str(e))
  with open(path, "rb") as f:
    sha256 = hashlib.file_digest(f, "sha256").hexdigest()
  segments = -(-len(frames) // spec.fps)
  video = dataset.Video(
    id=path.stem,
    source=path.name,
    source_sha256=sha256,
    frames=len(frames),
    seconds=len(frames) / spec.fps,
    first_record=0,
    records=segments,
    events=events,
  )
  pcm = records.to_pcm(audio)
  return _Converted(video, [records.encode(_cut(video, frames, pcm, k, spec)) for k in range(segments)])


def _read_events(path: pathlib.Path, frames: int, fps: int) -> tuple[event_files.Event, ...]:
  """Events within the video, in the order of time."""
  times = event_files.times_path(path)
  if not times.exists():
    return ()
  events = (e for e in event_files.read_events(times) if event_frame(e.time_s, fps) < frames)
  return tuple(sorted(events, key=lambda e: e.time_s))


def _cut(video: dataset.Video, frames: np.ndarray, pcm: np.ndarray, segment: int, spec: ClipSpec) -> records.Segment:
  """Segment of a video, the last one padded with its last picture and silence."""
  first = segment * spec.fps
  jpegs = [records.encode_frame(frame) for frame in frames[first : first + spec.fps]]
  audio = pcm[segment * spec.sample_rate : (segment + 1) * spec.sample_rate]
  return records.Segment(
    video=video.id,
    segment=segment,
    fps=spec.fps,
    sample_rate=spec.sample_rate,
    video_frames=video.frames,
    valid_frames=len(jpegs),
    frames=tuple(jpegs + jpegs[-1:] * (spec.fps - len(jpegs))),
    audio=np.pad(audio, (0, spec.sample_rate - len(audio))),
    events=tuple(e for e in video.events if event_frame(e.time_s, spec.fps) // spec.fps == segment),
    source=video.source,
    source_sha256=video.source_sha256,
  )


def _report(items: Iterable[_Outcome], total: int, progress: Progress | None) -> Iterator[_Outcome]:
  """Passes `items` on and counts them to `progress`."""
  for done, item in enumerate(items, 1):
    yield item
    if progress:
      progress(done, total)


def _sort_out(items: Iterable[_Outcome], kept: list[dataset.Video], skipped: list[_Skipped]) -> Iterator[bytes]:
  """Yields the records of all videos in order; notes in `kept` and `skipped` what became of each video."""
  count = 0
  for item in items:
    if isinstance(item, _Skipped):
      skipped.append(item)
      continue
    kept.append(dataclasses.replace(item.video, first_record=count))
    count += len(item.records)
    yield from item.records


def _write_shards(stream: Iterator[bytes], directory: pathlib.Path) -> list[pathlib.Path]:
  """Writes the records to shards of about SHARD_BYTES."""
  paths = []
  for first in stream:
    paths.append(directory / f"{len(paths)}.tfrecord")
    tfrecord.write(paths[-1], _take_bytes(itertools.chain([first], stream), SHARD_BYTES))
  return paths


def _take_bytes(stream: Iterator[bytes], limit: int) -> Iterator[bytes]:
  """Items up to and with the one that reaches `limit` bytes in all."""
  total = 0
  for item in stream:
    yield item
    total += len(item)
    if total >= limit:
      return


def _describe_shard(path: pathlib.Path, name: str) -> dict[str, Any]:
  with open(path, "rb") as f:
    sha256 = hashlib.file_digest(f, "sha256").hexdigest()
  return {"file": name, "records": len(tfrecord.Shard(path)), "bytes": path.stat().st_size, "sha256": sha256}


def _publish(shards: dict[str, pathlib.Path], content: dict[str, Any], out_dir: pathlib.Path) -> None:
  """Moves the shards to their final names; the old dataset's description goes first, the new one comes last."""
  aside = next(iter(shards.values())).with_name(dataset.FILE_NAME)
  aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
  with interrupt.held():
    _remove_dataset(out_dir)
    for name, path in shards.items():
      os.replace(tfrecord.index_path(path), tfrecord.index_path(out_dir / name))
      os.replace(path, out_dir / name)
    os.replace(aside, out_dir / dataset.FILE_NAME)


def _remove_dataset(directory: pathlib.Path) -> None:
  """Removes a dataset by the form of its names, so that an older schema or a damaged description is no obstacle."""
  description = directory / dataset.FILE_NAME
  if not description.exists():
    return
  description.unlink()
  for shard in directory.glob("*-[0-9]*-of-[0-9]*.tfrecord"):
    shard.unlink()
    tfrecord.index_path(shard).unlink(missing_ok=True)
