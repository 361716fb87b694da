"""SIGTERM, which is how machines that are taken away say so: the run saves, and ends at the same step everywhere."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


class Preemption:
  """Whether a run is to end; made by `watched`."""

  def __init__(self):
    self._came = False

  def reached(self, step: int) -> bool:
    """Whether every process of the run is to save and end after `step`; to be asked after each step."""
    if jax.process_count() > 1:
      # The coordinator agrees with all on a step that none has passed.
      return multihost_utils.reached_preemption_sync_point(step)
    return self._came

  def _note(self, number: int, frame: object) -> None:
    del number, frame
    self._came = True


@contextlib.contextmanager
def watched() -> Iterator[Preemption]:
  """SIGTERM does not break off the block, but is told by `Preemption.reached`.

  A second one ends the process, as everywhere.
  """
  preemption = Preemption()
  # With several processes jax.distributed has taken the signal; in a thread there is nothing to take.
  alone = jax.process_count() == 1 and threading.current_thread() is threading.main_thread()
  before = signal.signal(signal.SIGTERM, preemption._note) if alone else None
  try:
    yield preemption
  finally:
    if alone:
      signal.signal(signal.SIGTERM, before)
