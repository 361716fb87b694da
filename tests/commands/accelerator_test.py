import os
import subprocess
import sys

import pytest

from condfoley_jax.commands import accelerator

_LOOKS_FOR_DEVICES = """
from condfoley_jax.commands import accelerator
accelerator.expect_no_tpu()
import jax
print(jax.default_backend())
"""


def test_libtpu_is_silent_where_no_platform_is_named():
  if any(
    accelerator._read(p) == accelerator._GOOGLE for p in accelerator.Path("/sys/bus/pci/devices").glob("*/vendor")
  ):
    pytest.skip("this machine may have a TPU")
  environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS" and not k.startswith("TPU_")}
  command = [sys.executable, "-c", _LOOKS_FOR_DEVICES]
  result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
  assert "TPU" not in result.stderr
