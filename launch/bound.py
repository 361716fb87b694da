"""Runs a command that gets a signal where the process that started this one is gone: bound.py SIGNAL WORDS.

Only Linux can; elsewhere it runs the command.
"""

import ctypes
import os
import sys

_SET_SIGNAL_AT_PARENT_S_DEATH = 1


def main() -> None:
  """Becomes the command."""
  number, *words = sys.argv[1:]
  parent = os.getppid()
  if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_SET_SIGNAL_AT_PARENT_S_DEATH, int(number))
    if os.getppid() != parent:
      sys.exit(128 + int(number))  # It was gone before it could be bound to it.
  os.execvp(words[0], words)


if __name__ == "__main__":
  main()
