"""A folder that one run at a time works in, or several that share it."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from etils import epath

from data_pipelines import interrupt, lock
from data_pipelines.errors import InputError


@contextlib.contextmanager
def claimed(directory: str | os.PathLike, *, shared: bool = False) -> Iterator[bool | None]:
  """Has a folder, local or gs://, to itself during the block: `lock.locked`, True or None where nobody knows.

  It is made if it is not there, and removed with its new parents if it is empty in the end. Others that share it may
  work in one that is `shared`.

  Raises:
    InputError: another process has it.
  """
  directory = epath.Path(directory)
  made = [p for p in (directory, *directory.parents) if not p.exists()]
  with interrupt.undone(lambda: _remove_empty(made)):
    directory.mkdir(parents=True, exist_ok=True)
    with lock.locked(directory, shared=shared) as alone:
      if alone is False:
        raise InputError(f"{directory}: another run is at work here; wait for its end or choose another folder")
      yield alone


def _remove_empty(folders: Sequence[epath.Path]) -> None:
  for path in folders:
    with contextlib.suppress(OSError, ValueError):  # ValueError is what epath raises if it is not empty.
      path.rmdir()
