"""A job somewhere, from its start to its end: begun, watched, begun again where it is lost, and cleared away."""

import enum
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from data_pipelines import interrupt
from launch.command import WRONG_USE, Say, TryAgain

# How often a command that ends with an error other than wrong use is begun again: that may be a machine's fault.
_CRASHES = 2
# Pauses at most before it is begun again, where it was lost before it ran, several times in a row.
_PAUSES = 20
_NAP_S = 0.5


class Phase(enum.Enum):
  """waiting: for machines; running; ended: with an exit code; lost: its machines are gone, or one of its processes."""

  WAITING, RUNNING, ENDED, LOST = range(4)


class State(NamedTuple):
  """phase; code: exit code of a job that has ended; told: what is known besides, for people."""

  phase: Phase
  code: int | None = None
  told: str = ""


class Refused(TryAgain):
  """The machines are not to be had now."""


class Backend(Protocol):
  """Where a job runs. Every method may be called again after it failed, and after a launcher that was killed."""

  def begin(self) -> None:
    """Sees to it that the job is on its way: a job that is there already is not started a second time.

    Raises:
      Refused: which counts as lost.
    """

  def state(self) -> State:
    """How it is."""

  def end(self) -> None:
    """Clears away all that was made for the job; returns when nothing is left."""


def run(backend: Backend, *, restarts: int, pause: Callable[[], None], say: Say) -> int:
  """Runs a job to its end and returns its exit code; whatever comes of it, nothing of it is left.

  Args:
    restarts: how often it is begun again after it was lost. After an error that is no wrong use it is twice at most.
    pause: waits between two looks.
    say: is told what happens.

  Raises:
    TryAgain: it was lost more often than that.
    InputError: a method of the backend failed.
  """
  lost = crashed = in_vain = 0
  while True:
    ran = False
    try:
      backend.begin()
      state, ran = _watched(backend, pause, say)
    except Refused as error:
      state = State(Phase.LOST, told=str(error))
    finally:
      with interrupt.patient():
        backend.end()
    if state.phase is Phase.ENDED and state.code == 0:
      return 0
    if state.phase is Phase.ENDED:
      crashed += 1
      why = state.told or f"ended with exit code {state.code}"
      if state.code == WRONG_USE or crashed > min(_CRASHES, restarts):
        say(f"{why}; it was begun {lost + crashed} times")
        return state.code
    else:
      lost += 1
      why = state.told
      if lost > restarts:
        raise TryAgain(f"{why}; it was begun {lost + crashed} times; the same command goes on from its last checkpoint")
    say(f"{why}; begun again")
    in_vain = 0 if ran else in_vain + 1
    for _ in range(min(2**in_vain - 1, _PAUSES)):
      pause()


def pause(seconds: float) -> None:
  """Waits in short naps, after each of which a signal that has come is heeded, in whichever thread."""
  until = time.monotonic() + seconds
  while (left := until - time.monotonic()) > 0:
    interrupt.check()
    time.sleep(min(left, _NAP_S))


def _watched(backend: Backend, pause: Callable[[], None], say: Say) -> tuple[State, bool]:
  """How the job is when it neither waits nor runs any more, and whether it ran; what changes meanwhile is told."""
  before, ran = None, False
  while True:
    interrupt.check()
    state = backend.state()
    if state.phase in (Phase.ENDED, Phase.LOST):
      return state, ran or state.phase is Phase.ENDED
    if state != before:
      say(state.told or state.phase.name.lower())
    ran = ran or state.phase is Phase.RUNNING
    before = state
    pause()
