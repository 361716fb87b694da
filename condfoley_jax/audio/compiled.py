"""librosa, safe to load in several processes at once."""

import contextlib
import fcntl
import functools
import importlib.util
import os
import types

import numpy as np


@functools.cache
def librosa() -> types.ModuleType:
  """The library, which takes a second to load: most of the package does without it.

  Numba compiles parts of it on import and on first use, and keeps them in files. Two processes that fill those at once
  can leave parts that do not belong together, of which every later process dies. So one does it while others wait.
  """
  opened = os.open(importlib.util.find_spec("librosa").origin, os.O_RDONLY)
  try:
    with contextlib.suppress(OSError):  # A file system without locks.
      fcntl.flock(opened, fcntl.LOCK_EX)
    import librosa as loaded

    loaded.onset.onset_detect(y=np.random.default_rng(0).standard_normal(8192).astype(np.float32), units="samples")
  finally:
    os.close(opened)
  return loaded
