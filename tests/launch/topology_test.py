import pytest

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
