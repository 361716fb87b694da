"""What every launcher's command does around its work: one line for what goes wrong, and an exit code."""

import sys
from collections.abc import Callable

from data_pipelines import interrupt
from data_pipelines.errors import InputError, printable

# Exit codes: of wrong use, what no second start would help; of what one may help; of a process that got SIGTERM, where
# all processes of a run save and end so.
WRONG_USE, TRY_AGAIN, TOLD_TO_END = 2, 1, 128 + 15
Say = Callable[[str], None]


class TryAgain(InputError):
  """A machine or network failed, which another start may mend: exit code 1."""


def run(name: str, work: Callable[[Say], int], *, if_interrupted: str = "") -> int:
  """The exit code of `work`; 2 where it raises InputError, 1 where that is TryAgain: told in a line on standard error.

  Args:
    name: of the command, in front of every line.
    work: is given what says something to the user.
    if_interrupted: is said where a signal ends it, and nothing went wrong while it ended.
  """
  say = lambda text: print(f"{name}: {printable(text)}", file=sys.stderr, flush=True)
  try:
    with interrupt.handled():
      return work(say)
  except InputError as error:
    return _tell(error, say)
  except interrupt.Interrupted as error:
    if not isinstance(error.__context__, InputError):
      say(f"interrupted by {error}{if_interrupted}")
      return error.exit_code
    say(f"interrupted by {error}")
    return _tell(error.__context__, say)


def _tell(error: InputError, say: Say) -> int:
  say(str(error))
  return TRY_AGAIN if isinstance(error, TryAgain) else WRONG_USE
