"""Commands of other programs, as gcloud and kubectl: run, tried again, and never for ever."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

from data_pipelines import interrupt
from data_pipelines.errors import InputError
from launch import supervise
from launch.command import TryAgain

# Of the messages of a program that fails, how much is told.
_SHOWN = 300
# Between two looks whether a signal has come, s.
_NAP_S = 0.5


class CommandFailed(TryAgain):
  """A command failed as often as it was tried; `said` is what it wrote to standard error last."""

  def __init__(self, words: Sequence[str], said: str):
    lines = [line for line in said.strip().splitlines() if line.strip()] or ["it said nothing"]
    super().__init__(f"`{shlex.join(words[:5])} ...` failed: {lines[-1][:_SHOWN]}")
    self.said = said


class Shell:
  """Runs commands. A signal ends them, but in a block that is `interrupt.patient`.

  Args:
    pause: waits so many seconds; between tries.
  """

  def __init__(self, pause: Callable[[float], None] = supervise.pause):
    self._pause = pause

  def __call__(
    self, words: Sequence[str], *, seconds: float = 120, tries: int = 1, given: str = "", final: str = ""
  ) -> str:
    """What a command writes to standard output.

    Args:
      words: the program and its arguments.
      seconds: after which it counts as failed, and is ended.
      tries: how often it is run until it succeeds; more than once only what may be done twice.
      given: its standard input.
      final: where it writes this to standard error, it is not tried again.

    Raises:
      CommandFailed: it did not succeed.
      InputError: there is no such program.
      Interrupted: a signal came.
    """
    for left in range(tries - 1, -1, -1):
      interrupt.check()
      try:
        code, written, said = _run(words, seconds, given)
        if not code:
          return written
      except OSError as error:
        raise InputError(f"{words[0]}: not found; install it and log in") from error
      except subprocess.TimeoutExpired:
        said = f"no answer in {seconds:g} s"
      if not left or (final and final in said):
        raise CommandFailed(words, said)
      self._pause(2.0 ** (tries - left))
    raise AssertionError("tries is 1 or more")


def _run(words: Sequence[str], seconds: float, given: str) -> tuple[int, str, str]:
  """(exit code, standard output, standard error); raises OSError, TimeoutExpired and Interrupted."""
  until = time.monotonic() + seconds
  # A file, as what is looked at again and again cannot be given more meanwhile.
  with tempfile.TemporaryFile("w+", encoding="utf-8") as input_:
    input_.write(given)
    input_.seek(0)
    text = {"encoding": "utf-8", "errors": "surrogateescape"}
    pipes = {"stdin": input_, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # In a session of its own, where Ctrl-C does not reach it: what is begun is to be ended.
    with subprocess.Popen(words, **pipes, **text, start_new_session=True) as process:
      try:
        written, said = _communicate(process, until)
      except BaseException:
        with contextlib.suppress(ProcessLookupError):
          os.killpg(process.pid, signal.SIGKILL)  # And what it has started, as ssh.
        raise
  return process.returncode, written, said


def _communicate(process: subprocess.Popen, until: float) -> tuple[str, str]:
  while True:
    try:
      return process.communicate(timeout=max(0.0, min(_NAP_S, until - time.monotonic())))
    except subprocess.TimeoutExpired:
      interrupt.check()
      if time.monotonic() >= until:
        raise
