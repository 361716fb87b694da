"""Where a run's numbers, pictures and sounds go: metrics.jsonl and TensorBoard event files."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter


class MetricWriter:
  """Appends to `workdir/metrics.jsonl` (one object a line) and writes TensorBoard events beside it.

  What an ended run told of steps after `last_step`, which are done again, is dropped.
  """

  def __init__(self, workdir: Path, *, last_step: int):
    self._workdir = workdir
    self._open(last_step)

  def _open(self, last_step: int) -> None:
    path = self._workdir / "metrics.jsonl"
    if path.exists():
      _keep(path, lambda line: line["step"] <= last_step)
    self._file = open(path, "a", buffering=1)  # noqa: SIM115 (closed in close())
    self._board = SummaryWriter(str(self._workdir / "tensorboard"), purge_step=last_step + 1)

  def forget(self, last_step: int) -> None:
    """Drops what was told of steps after `last_step`, to which the run goes back."""
    self.close()
    self._open(last_step)

  def forget_scores(self, step: int) -> None:
    """Drops the validation scores of `step`, the last one, which is scored again."""
    self.close()
    scored = lambda line: line["step"] == step and any(name.startswith("validation/") for name in line)
    _keep(self._workdir / "metrics.jsonl", lambda line: not scored(line))
    self._open(step)

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Numbers of one step; null in JSON, which has no other, where one is not finite."""
    numbers = {name: value if math.isfinite(value) else None for name, value in values.items()}
    self._file.write(json.dumps({"step": step, **numbers}) + "\n")
    # On a bucket that is mounted nothing is there before.
    os.fsync(self._file.fileno())
    for name, value in values.items():
      self._board.add_scalar(name, value, step)

  def images(self, step: int, images: dict[str, np.ndarray]) -> None:
    """uint8 [H, W, 3] pictures."""
    for name, image in images.items():
      self._board.add_image(name, image, step, dataformats="HWC")

  def audio(self, step: int, audio: dict[str, np.ndarray], sample_rate: int) -> None:
    """float32 [N] sounds in [-1, 1]."""
    for name, sound in audio.items():
      self._board.add_audio(name, np.clip(sound, -1, 1)[:, None], step, sample_rate)

  def close(self) -> None:
    """Flushes and closes both."""
    self._file.close()
    self._board.close()


class NoWriter:
  """Writes nothing: for all processes but the first."""

  def forget(self, last_step: int) -> None: ...

  def forget_scores(self, step: int) -> None: ...

  def scalars(self, step: int, values: dict[str, float]) -> None: ...

  def images(self, step: int, images: dict[str, np.ndarray]) -> None: ...

  def audio(self, step: int, audio: dict[str, np.ndarray], sample_rate: int) -> None: ...

  def close(self) -> None: ...


def _keep(path: Path, wanted: Callable[[dict], bool]) -> None:
  """Drops the lines that are not wanted, and what a killed run left half-written."""
  kept = [line for line in path.read_bytes().split(b"\n") if _is(wanted, line)]
  aside = path.with_name(f".{path.name}.partial")
  aside.write_bytes(b"".join(line + b"\n" for line in kept))
  aside.replace(path)


def _is(wanted: Callable[[dict], bool], line: bytes) -> bool:
  try:
    return wanted(json.loads(line))
  except (ValueError, TypeError, KeyError):
    return False
