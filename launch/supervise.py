"""A job somewhere, from its start to its end: begun, watched, begun again where it is lost, and cleared away."""

import enum
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from data_pipelines import interrupt
from data_pipelines.errors import InputError
from launch.command import WRONG_USE, Say

# How often a command that ends with an error other than wrong use is begun again: that may be a machine's fault.
_CRASHES = 2
_NAP_S = 0.5


class Phase(enum.Enum):
  """waiting: for machines; running; ended: with an exit code; lost: its machines are gone, or one of its processes."""

  WAITING, RUNNING, ENDED, LOST = range(4)


class State(NamedTuple):
  """phase; code: exit code of a job that has ended; told: what is known besides, for people."""

  phase: Phase
  code: int | None = None
  told: str = ""


class Backend(Protocol):
  """Where a job runs. Every method may be called again after it failed, and after a launcher that was killed."""

  def begin(self) -> None:
    """Sees to it that the job is on its way: a job that is there already is not started a second time."""

  def state(self) -> State:
    """How it is."""

  def end(self) -> None:
    """Clears away all that was made for the job; returns when nothing is left."""

  def fetch(self) -> None:
    """Brings the results of a job that has ended."""


def run(backend: Backend, *, restarts: int, pause: Callable[[], None], say: Say, in_parts: bool = False) -> int:
  """Runs a job to its end and returns its exit code; whatever comes of it, nothing of it is left.

  Args:
    restarts: how often it is begun again after it was lost. After an error that is no wrong use it is twice at most.
    pause: waits between two looks.
    say: is told what happens.
    in_parts: of a job that ended with an error there are results too: of a batch the rows that could be made.

  Raises:
    InputError: it was lost more often than that, or a method of the backend failed.
  """
  lost = crashed = 0
  while True:
    try:
      backend.begin()
      state = _watched(backend, pause, say)
    finally:
      with interrupt.patient():
        backend.end()
    if state.phase is Phase.ENDED and state.code == 0:
      backend.fetch()
      return 0
    if state.phase is Phase.ENDED:
      crashed += 1
      why = state.told or f"ended with exit code {state.code}"
      if state.code == WRONG_USE or crashed > min(_CRASHES, restarts):
        say(f"{why}; it was begun {lost + crashed} times")
        if in_parts:
          _fetch_what_is_there(backend, say)
        return state.code
    else:
      lost += 1
      why = state.told
      if lost > restarts:
        raise InputError(
          f"{why}; it was begun {lost + crashed} times; the same command goes on from its last checkpoint"
        )
    say(f"{why}; begun again")


def _fetch_what_is_there(backend: Backend, say: Say) -> None:
  """The results of a job that failed, which may have none."""
  try:
    backend.fetch()
  except InputError as error:
    say(str(error))


def pause(seconds: float) -> None:
  """Waits in short naps, after each of which a signal that has come is heeded, in whichever thread."""
  until = time.monotonic() + seconds
  while (left := until - time.monotonic()) > 0:
    interrupt.check()
    time.sleep(min(left, _NAP_S))


def _watched(backend: Backend, pause: Callable[[], None], say: Say) -> State:
  """How the job is when it neither waits nor runs any more; what changes meanwhile is told."""
  before = None
  while True:
    interrupt.check()
    state = backend.state()
    if state.phase in (Phase.ENDED, Phase.LOST):
      return state
    if state != before:
      say(state.told or state.phase.name.lower())
    before = state
    pause()
