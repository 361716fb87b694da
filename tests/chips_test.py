import pytest

from condfoley_jax import chips


@pytest.mark.parametrize(
  ("kind", "name"),
  [
    ("TPU v4", "v4"),
    ("TPU v5 lite", "v5e"),
    ("TPU v5", "v5p"),
    ("TPU v6 lite", "v6e"),
    ("NVIDIA H100 80GB HBM3", "H100"),
    ("NVIDIA H200", "H200"),
  ],
)
def test_a_device_is_found_by_what_jax_calls_it(kind, name):
  assert chips.of_kind(kind).name == name


def test_of_other_devices_nothing_is_known():
  assert chips.of_kind("cpu") is None


def test_a_chip_sends_over_all_its_links():
  # The documentation's figures per chip: v5e 1600 Gbps, v4 six links of 50 GB/s, H100 900 GB/s both ways.
  assert [chips.of_kind(k).network_rate for k in ("TPU v5 lite", "TPU v4", "NVIDIA H100")] == [200e9, 300e9, 450e9]
