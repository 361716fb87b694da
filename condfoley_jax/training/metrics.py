"""Where a run's numbers, pictures and sounds go: metrics.jsonl and TensorBoard event files."""

import json
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
      _drop_after(path, last_step)
    self._file = open(path, "a", buffering=1)  # noqa: SIM115 (closed in close())
    self._board = SummaryWriter(str(self._workdir / "tensorboard"), purge_step=last_step + 1)

  def forget(self, last_step: int) -> None:
    """Drops what was told of steps after `last_step`, to which the run goes back."""
    self.close()
    self._open(last_step)

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Numbers of one step."""
    self._file.write(json.dumps({"step": step, **values}) + "\n")
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

  def scalars(self, step: int, values: dict[str, float]) -> None: ...

  def images(self, step: int, images: dict[str, np.ndarray]) -> None: ...

  def audio(self, step: int, audio: dict[str, np.ndarray], sample_rate: int) -> None: ...

  def close(self) -> None: ...


def _drop_after(path: Path, last_step: int) -> None:
  kept = [line for line in path.read_text().splitlines(keepends=True) if _step_of(line) <= last_step]
  aside = path.with_name(f".{path.name}.partial")
  aside.write_text("".join(kept))
  aside.replace(path)


def _step_of(line: str) -> float:
  """Of a line that a killed run left half-written: none."""
  try:
    return json.loads(line)["step"]
  except (ValueError, TypeError, KeyError):
    return float("inf")
