"""Folders that one process at a time works in, and files that appear whole or not at all."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator

from etils import epath

_PARTIAL = ".partial"
# What `token` gives, in the words of `glob`.
TOKEN_GLOB = "[0-9a-f]" * 8


def token() -> str:
  """Makes a name that no other process uses."""
  return secrets.token_hex(4)


@contextlib.contextmanager
def locked(path: str | os.PathLike, *, shared: bool = False) -> Iterator[bool | None]:
  """Whether this process has a folder, or a file, to itself during the block; a lock ends with its process.

  None where nobody knows: in buckets, and on file systems without locks. A `shared` one keeps out those that are not.
  """
  try:
    opened = os.open(path, os.O_RDONLY)
  except OSError:
    yield None
    return
  try:
    yield _lock(opened, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
  finally:
    os.close(opened)


@contextlib.contextmanager
def aside(path: epath.Path) -> Iterator[epath.Path]:
  """A file of this process alone, beside `path`, to write: renamed to `path` after the block, removed if that fails."""
  new = path.with_name(f".{path.name}.{token()}")
  partial = new.with_name(f"{new.name}{_PARTIAL}")
  try:
    new.touch()
    with locked(new):
      new.replace(partial)  # It is locked before it has the name by which `remove_abandoned` looks for it.
      yield partial
      partial.replace(path)
  finally:
    for left in (new, partial):
      left.unlink(missing_ok=True)


def remove_abandoned(directory: epath.Path) -> None:
  """Removes what killed processes left of `aside`; files that others still write stay."""
  for path in directory.glob(f".*.{TOKEN_GLOB}{_PARTIAL}"):
    with locked(path) as abandoned:
      if abandoned:
        with contextlib.suppress(OSError):  # It is gone already, or another user's.
          path.unlink()


def _lock(opened: int, kind: int) -> bool | None:
  try:
    fcntl.flock(opened, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return True
