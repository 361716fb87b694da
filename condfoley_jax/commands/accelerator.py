"""What JAX is told about accelerators before it looks for them."""

import os
from pathlib import Path

# Google's number as a maker of PCI devices.
_GOOGLE = "0x1ae0"
# What libtpu would ask a cloud's servers for, and complain about on standard error where none answers.
_NO_TPU = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_ACCELERATOR_TYPE": "v5litepod-4"}


def expect_no_tpu() -> None:
  """Keeps libtpu, which is there to compile for TPUs that are elsewhere, from asking where this machine's are.

  Changes nothing on a machine that may have some.
  """
  if not any(_read(path) == _GOOGLE for path in Path("/sys/bus/pci/devices").glob("*/vendor")):
    for name, value in _NO_TPU.items():
      os.environ.setdefault(name, value)


def _read(path: Path) -> str:
  try:
    return path.read_text().strip()
  except OSError:
    return ""
