"""The mesh and the rules: what lies where, and what is refused."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

from condfoley_jax import sharding
from condfoley_jax.partition import AXES
from condfoley_jax.sharding import MeshConfig

RULES = (("attention/qkv/kernel$", ("fsdp", None, "tensor", None)), ("kernel$", ("fsdp",)), ("bias$", ()))


def _spec(name, shape, sizes=(1, 2, 4), rules=RULES):
  params = {}
  *folders, last = name.split("/")
  inner = params
  for folder in folders:
    inner = inner.setdefault(folder, {})
  inner[last] = np.empty(shape, np.float32)
  mesh = AbstractMesh(sizes, AXES, axis_types=(AxisType.Auto,) * 3)
  (found,) = jax.tree.leaves(sharding.parameter_shardings(params, rules, mesh))
  return found.spec


def test_the_first_rule_that_is_found_counts_and_names_the_last_axes():
  assert _spec("a/attention/qkv/kernel", (8, 3, 4, 2)) == P("fsdp", None, "tensor", None)
  assert _spec("blocks/attention/qkv/kernel", (6, 8, 3, 4, 2)) == P(None, "fsdp", None, "tensor", None)
  assert _spec("conv/kernel", (3, 3, 5, 8)) == P(None, None, None, "fsdp")
  assert _spec("conv/bias", (8,)) == P(None)


def test_an_axis_that_does_not_divide_stays_whole():
  assert _spec("conv/kernel", (3, 3, 5, 7)) == P(None, None, None, None)
  assert _spec("a/attention/qkv/kernel", (8, 3, 6, 2)) == P("fsdp", None, None, None)


def test_a_parameter_without_a_rule_is_an_error():
  with pytest.raises(ValueError, match=r"no rule of config\.sharding is for the parameter conv/gain"):
    _spec("conv/gain", (3,))


def test_a_rule_with_more_axes_than_the_parameter_is_an_error():
  with pytest.raises(ValueError, match="for attention/qkv/kernel has 4 axes, the parameter 2"):
    _spec("attention/qkv/kernel", (3, 4))


@pytest.mark.parametrize("sizes", [(2, 1, 1), (-1, -1, 1), (1, 3, 1), (-1, 2, 1), (0, 1, 1), (-1, 0, 1)])
def test_a_mesh_that_does_not_take_up_the_devices_is_refused(sizes):
  with pytest.raises(
    ValueError, match=rf"mesh data {sizes[0]} x fsdp {sizes[1]} x tensor {sizes[2]} does not take up 1"
  ):
    sharding.make_mesh(MeshConfig(*sizes))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (-1, 1, 1), (1, -1, 1)])
def test_minus_one_is_what_is_left(sizes):
  assert dict(sharding.make_mesh(MeshConfig(*sizes)).shape) == {"data": 1, "fsdp": 1, "tensor": 1}
