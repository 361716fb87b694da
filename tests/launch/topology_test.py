import pytest

from condfoley_jax import sharding
from data_pipelines.errors import InputError
from launch import topology


@pytest.mark.parametrize(
  ("name", "devices"), [("v5e:2x4", 8), ("v4:2x2x2", 8), ("v4:4x4x8", 128), ("v5p:2x2x1", 4), ("v6e:4x4", 16)]
)
def test_a_device_is_a_chip(libtpu, name, devices):
  where = topology.find(name)
  assert len(where.devices) == len(set(where.coordinates())) == devices
  assert where.devices[0].device_kind.startswith(where.chip.kind)
  assert tuple(max(axis) + 1 for axis in zip(*where.coordinates(), strict=True)) == where.sizes


@pytest.mark.parametrize(
  ("name", "why"),
  [
    ("v5e", "not the name of a TPU slice"),
    ("v5e:4by4", "not the name of a TPU slice"),
    ("v7:4x4", "no chip `v7`; there are v4, v5e, v5p, v6e"),
    ("H100:2x2", "no chip `H100`"),
    ("v5e:4x4x4", "a v5e slice has 2 sizes"),
    ("v4:4x4", "a v4 slice has 3 sizes"),
    ("v5e:0x4", "sizes of 1 or more"),
    ("v5e:3x5", "the compiler knows no such slice"),
  ],
)
def test_what_is_no_slice_is_one_line(libtpu, name, why):
  with pytest.raises(InputError, match=why) as raised:
    topology.find(name)
  assert str(raised.value).startswith(f"{name}: ") and "\n" not in str(raised.value)


def test_several_slices_lie_along_the_data_axis_and_hold_a_copy_each(libtpu):
  several = topology.find("v5e:2x2", 2)
  assert several.count == 2 and len(several.devices) == 8
  for config, slices in (((2, 4, 1), [[0] * 4, [1] * 4]), ((4, 2, 1), [[0] * 2] * 2 + [[1] * 2] * 2)):
    mesh = sharding.make_mesh(sharding.MeshConfig(*config), several.devices)
    assert [[device.slice_index for device in row.flat] for row in mesh.devices] == slices
  with pytest.raises(ValueError, match="mesh data 1 is no multiple of the 2 slices"):
    sharding.make_mesh(sharding.MeshConfig(1, 8, 1), several.devices)


def test_slices_whose_network_is_not_known_are_told(libtpu):
  with pytest.raises(InputError, match="how fast v4 slices talk to one another is not known; rehearse one"):
    topology.find("v4:2x2x1", 2)
