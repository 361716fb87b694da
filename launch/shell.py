"""Commands of other programs, as gcloud and kubectl: run, tried again, and never for ever."""

import shlex
import subprocess
import time
from collections.abc import Callable, Sequence

from data_pipelines.errors import InputError

# Of the messages of a program that fails, how much is told.
_SHOWN = 300


class CommandFailed(InputError):
  """A command failed as often as it was tried; `said` is what it wrote to standard error last."""

  def __init__(self, words: Sequence[str], said: str):
    lines = [line for line in said.strip().splitlines() if line.strip()] or ["it said nothing"]
    super().__init__(f"`{shlex.join(words[:5])} ...` failed: {lines[-1][:_SHOWN]}")
    self.said = said


class Shell:
  """Runs commands.

  Args:
    pause: waits so many seconds; between tries.
  """

  def __init__(self, pause: Callable[[float], None] = time.sleep):
    self._pause = pause

  def __call__(
    self, words: Sequence[str], *, seconds: float = 120, tries: int = 1, given: str | None = None, final: str = ""
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
    """
    for left in range(tries - 1, -1, -1):
      try:
        # In a session of its own, where Ctrl-C does not reach it: what is begun is to be ended.
        done = subprocess.run(
          words,
          input=given or "",
          capture_output=True,
          encoding="utf-8",
          errors="surrogateescape",
          timeout=seconds,
          check=False,
          start_new_session=True,
        )
        if not done.returncode:
          return done.stdout
        said = done.stderr
      except OSError as error:
        raise InputError(f"{words[0]}: not found; install it and log in") from error
      except subprocess.TimeoutExpired:
        said = f"no answer in {seconds:g} s"
      if not left or (final and final in said):
        raise CommandFailed(words, said)
      self._pause(2.0 ** (tries - left))
    raise AssertionError("tries is 1 or more")
