"""Where a run's numbers, pictures and sounds go: metrics.jsonl and TensorBoard event files."""

import json
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter


class MetricWriter:
  """Appends to `workdir/metrics.jsonl` (one object a line) and writes TensorBoard events beside it."""

  def __init__(self, workdir: Path):
    self._file = open(workdir / "metrics.jsonl", "a", buffering=1)  # noqa: SIM115 (closed in close())
    self._board = SummaryWriter(str(workdir / "tensorboard"))

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
