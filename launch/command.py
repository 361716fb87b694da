"""What every launcher's command does around its work: one line for what goes wrong, and an exit code."""

import sys
from collections.abc import Callable

from data_pipelines import interrupt
from data_pipelines.errors import InputError, printable

# Exit code of wrong use: what no second start would help.
WRONG_USE = 2
Say = Callable[[str], None]


def run(name: str, work: Callable[[Say], int], *, if_interrupted: str = "") -> int:
  """The exit code of `work`; 2 where it raises InputError, which is told in a line on standard error.

  Args:
    name: of the command, in front of every line.
    work: is given what says something to the user.
    if_interrupted: is said where a signal ends it.
  """
  say = lambda text: print(f"{name}: {printable(text)}", file=sys.stderr, flush=True)
  try:
    with interrupt.handled():
      return work(say)
  except InputError as error:
    say(str(error))
    return WRONG_USE
  except interrupt.Interrupted as error:
    say(f"interrupted by {error}{if_interrupted}")
    return error.exit_code
