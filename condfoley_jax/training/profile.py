"""A trace of a few steps, to open in TensorBoard or Perfetto."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# Steps that are traced, counted from 0 in this process: the first ones compile.
TRACED = range(3, 8)


class Profile:
  """Traces steps into `directory`; nothing where that is None."""

  def __init__(self, directory: Path | None):
    self._directory, self._done, self._tracing = directory, 0, False

  @contextlib.contextmanager
  def step(self) -> Iterator[None]:
    """One step, which is named in the trace."""
    if self._directory and self._done == TRACED.start:
      jax.profiler.start_trace(self._directory)
      self._tracing = True
    with jax.profiler.StepTraceAnnotation("train", step_num=self._done):
      yield
    self._done += 1

  def end(self, *results: Any) -> None:
    """Ends the trace, if it has all its steps, once their `results` are there."""
    if self._tracing and self._done >= TRACED.stop:
      jax.block_until_ready(results)
      self.close()

  def close(self) -> None:
    """Ends the trace, of however many steps it is."""
    if self._tracing:
      jax.profiler.stop_trace()
      self._tracing = False
