"""Where libraries keep what they compile and look up, chosen before they are imported."""

import contextlib
import functools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from data_pipelines import interrupt

_FOLDERS = {"JAX_COMPILATION_CACHE_DIR": "programs", "NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}


@contextlib.contextmanager
def chosen() -> Iterator[None]:
  """Points JAX, Numba and Matplotlib at caches that work, where the user has not.

  They are in the user's cache folder, so that the next command starts sooner, or in a temporary one where nothing can
  be written there: without a home, Numba raises and the others warn.
  """
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # Many small ones take long together.
  # A disk that fills up costs time, not the result.
  warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
  cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "condfoley-jax"
  with contextlib.ExitStack() as stack:
    if not all(_usable(cache / name) for name in _FOLDERS.values()):
      cache = Path(tempfile.mkdtemp(prefix="condfoley-jax-"))
      stack.enter_context(interrupt.undone(functools.partial(shutil.rmtree, cache, ignore_errors=True)))
    for variable, name in _FOLDERS.items():
      os.environ.setdefault(variable, str(cache / name))
    yield


def _usable(folder: Path) -> bool:
  """Whether files can be written to `folder`, which is made if it is not there."""
  if not folder.is_absolute():  # "~" where nobody knows what home is
    return False
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError:
    return False
  return os.access(folder, os.W_OK | os.X_OK)
