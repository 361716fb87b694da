"""`condfoley prepare`: videos, or the procedural world, to TFRecord shards."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from condfoley_jax.clip import MINI
from data_pipelines import prepare
from data_pipelines.errors import InputError, is_utf8, printable

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def drumstick(out: Path, *, split: str, seed: int, videos: int, workers: int) -> None:
  """Renders `videos` videos of a split of the procedural world into `out`/videos and prepares them."""
  with _Bar("rendering, then preparing") as bar:
    prepare.prepare_drumstick(out, split=split, seed=seed, count=videos, spec=MINI, workers=workers, progress=bar.show)


def folder(source: Path | None, out: Path, *, split: str, workers: int) -> None:
  """Prepares the videos of a folder.

  Raises:
    InputError: no folder, a name for it that is not UTF-8, or no videos in it that can be used.
  """
  if source is None:
    raise InputError("folder: name the folder of videos with --source DIR")
  if not source.is_dir():
    what = "a file" if source.exists() else "no such folder"
    raise InputError(f"{source}: {what}; --source takes a folder of videos")
  name = source.resolve().name
  if not is_utf8(name):
    raise InputError(f"{source}: the name is not UTF-8; rename it")
  videos = sorted(p for p in source.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
  if not videos:
    raise InputError(f"{source}: no {', '.join(VIDEO_SUFFIXES)} files in it; put the videos there")
  with _Bar("preparing") as bar:
    made = prepare.prepare_videos(videos, out, MINI, name=name, split=split, workers=workers, progress=bar.show)
  for skipped in made.skipped:
    print(printable(f"left out {skipped['source']}: {skipped['reason']}"), file=sys.stderr)


class _Bar(Progress):
  """A progress bar on stderr, where that is a terminal, that is told (done, total)."""

  def __init__(self, title: str):
    console = Console(stderr=True)
    super().__init__(console=console, disable=not console.is_terminal)
    self._task = self.add_task(title, total=None)

  def show(self, done: int, total: int) -> None:
    self.update(self._task, completed=done, total=total)
