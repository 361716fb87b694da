"""The procedural world as a data set like the others: the videos are made when they are asked for."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from condfoley_jax.clip import ClipSpec
from data_pipelines.builders import base, protocol
from data_pipelines.builders.drumstick.render import render_videos
from data_pipelines.builders.drumstick.scene import VERSION, draw_scene, is_video_name
from data_pipelines.builders.events import read_events, times_path
from data_pipelines.builders.source import SPLITS, Source, read_table, require_split
from data_pipelines.errors import InputError

_MOVE = "move it away or choose another folder"


def sources(
  source_dir: str | os.PathLike,
  split: str,
  *,
  seed: int,
  count: int,
  workers: int,
  progress: Callable[[int, int], None] | None = None,
) -> list[Source]:
  """Renders videos 0..count-1 of a split into `source_dir`, and offers them. Equal arguments give equal bytes.

  What goes beside the videos of the test split: `write_protocol`.

  Args:
    source_dir: folder for the videos and their `_times.txt`; made if absent.
    split: train, val or test.
    seed: of the world, in 0..2^32-1.
    count: number of videos.
    workers: processes that render; below 2 all is done in this one.
    progress: called with (videos done, videos in all).

  Raises:
    InputError: no such split, or as `render_videos`.
  """
  require_split(split, SPLITS, "drumstick")
  videos = render_videos(source_dir, split=split, seed=seed, count=count, workers=workers, progress=progress)
  return [Source(id=v.stem, video=v, events=tuple(read_events(times_path(v)))) for v in videos]


def write_protocol(folder: pathlib.Path, seed: int, count: int, seconds: float) -> None:
  """Writes the files of the published evaluation (`protocol`) for videos 0..count-1 of the test split into `folder`.

  Its clips are `seconds` long.

  97 videos make 194 targets with 3 conditions each. Fewer than 2 make no trial: then files of more videos are removed.
  """
  scenes = [draw_scene("test", seed, index) for index in range(count)]
  videos = {scene.name: (scene.duration_s, scene.events()) for scene in scenes}
  if trials := protocol.draw_protocol(videos, seed, seconds):
    protocol.write_protocol(folder, trials, videos, seconds)
  else:
    for name in protocol.FILES:
      (folder / name).unlink(missing_ok=True)


def check_protocol(folder: pathlib.Path) -> None:
  """Raises InputError if `folder` has lists of other videos than this world's: `write_protocol` would replace them."""
  for path in (folder / name for name in protocol.FILES):
    if os.path.lexists(path) and not all(is_video_name(clip) for clip in read_table(path, _MOVE)):
      raise InputError(f"{path}: lists other videos than the procedural world's, and would be replaced; {_MOVE}")


class Drumstick(base.SourceBuilder):
  """TFDS builder of the procedural world.

  Args:
    source_dir, seed, workers: as for `sources`.
    spec: rates and picture size.
    counts: number of videos by split.
    **kwargs: data_dir, file_format.
  """

  DESCRIPTION = "Rendered videos of a hand-held stick that hits or scratches a surface, with every contact labelled."
  HOMEPAGE = ""
  LICENSE = "Apache-2.0, that of the program that makes it"
  CITATION = ""

  def __init__(
    self,
    source_dir: str | os.PathLike,
    *,
    spec: ClipSpec,
    seed: int,
    counts: Mapping[str, int],
    workers: int = 1,
    **kwargs: Any,
  ):
    self._source_dir, self._seed, self._counts, self._workers = source_dir, seed, counts, workers
    numbers = "_".join(f"{split}{count}" for split, count in counts.items())
    super().__init__(spec=spec, splits=tuple(counts), variant=f"v{VERSION}_seed{seed}_{numbers}", **kwargs)

  def sources(self, split: str) -> list[Source]:
    return sources(self._source_dir, split, seed=self._seed, count=self._counts[split], workers=self._workers)
