"""The compiler for TPUs, where it is installed."""

import importlib.util

import pytest

from launch import topology


@pytest.fixture(scope="session")
def libtpu():
  """Skips where libtpu is not installed."""
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip("libtpu is not installed: pip install 'condfoley-jax[tpu]'")
  topology.prepare()


@pytest.fixture(scope="session")
def v5e_2x2(libtpu) -> topology.Slice:
  """The slice of four chips."""
  return topology.find("v5e:2x2")
