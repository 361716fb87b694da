"""How much memory the machine has."""

import os


def machine_bytes() -> int:
  """Of main memory, whoever has it now."""
  return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
