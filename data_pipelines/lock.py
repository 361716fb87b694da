"""Folders that one process at a time works in, and files that appear whole or not at all."""

import contextlib
import fcntl
import os
import pathlib
import re
import secrets
import time
from collections.abc import Iterator

from etils import epath

_PARTIAL = ".partial"
# What `token` gives, in the words of `glob`.
TOKEN_GLOB = "[0-9a-f]" * 8
# Where Linux tells what is mounted, and what of that other hosts may write to, unseen by locks here: FUSE (a bucket's
# mount is one) and network file systems.
_MOUNTS = pathlib.Path("/proc/self/mountinfo")
_SHARED = re.compile(r"fuse(\..*)?|nfs4?|cifs|smb3|9p|lustre")
# A file that is written takes minutes; where nobody knows whether one still is, it is left in peace this long.
_STALE_S = 24 * 3600


def token() -> str:
  """Makes a name that no other process uses."""
  return secrets.token_hex(4)


@contextlib.contextmanager
def locked(path: str | os.PathLike, *, shared: bool = False) -> Iterator[bool | None]:
  """Whether this process has a folder, or a file, to itself during the block; a lock ends with its process.

  None where nobody knows: in buckets, on file systems without locks, and on those that other hosts may write to, unless
  another process of this host has it. A `shared` one keeps out those that are not.
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
  """Removes what killed processes left of `aside`; files that others still write, or may write, stay."""
  for path in directory.glob(f".*.{TOKEN_GLOB}{_PARTIAL}"):
    # An OSError where it is gone already, another user's, or in a bucket.
    with locked(path) as alone, contextlib.suppress(OSError):
      if alone or (alone is None and time.time() - os.stat(path).st_mtime > _STALE_S):
        path.unlink()


def _lock(opened: int, kind: int) -> bool | None:
  try:
    fcntl.flock(opened, kind | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    return None
  return None if _is_shared(os.fstat(opened).st_dev) else True


def _is_shared(device: int) -> bool:
  """Whether other hosts may write to a file system, going by what is mounted here."""
  try:
    mounts = _MOUNTS.read_text().splitlines()
  except OSError:
    return False  # Not Linux.
  # `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue` (proc_pid_mountinfo(5))
  number = f"{os.major(device)}:{os.minor(device)}"
  return any(
    fields[2] == number and _SHARED.fullmatch(fields[fields.index("-") + 1]) for fields in map(str.split, mounts)
  )
