"""Folders that one process at a time works in."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[bool | None]:
  """Whether this process has `folder` to itself during the block; the lock ends with the process, even a killed one.

  None where nobody knows: in buckets, and on file systems without locks.
  """
  try:
    opened = os.open(folder, os.O_RDONLY)
  except OSError:
    yield None
    return
  try:
    yield _lock(opened)
  finally:
    os.close(opened)


def _lock(opened: int) -> bool | None:
  try:
    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return True
