"""Programs of known cost, compiled for a slice of four TPU v5e chips."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from launch import limits
from tests.hlo import programs


def _report(where, function, *arguments, **options):
  return limits.report(jax.jit(function, **options).lower(*arguments), where.devices, where)


@pytest.fixture(scope="module")
def array(v5e_2x2):
  """Makes abstract bf16 arguments on the slice as data x tensor."""
  mesh = programs.mesh(v5e_2x2.devices, data=2, tensor=2)
  return lambda *shape, spec=None: programs.array(*shape, dtype=jnp.bfloat16, mesh=mesh, spec=spec)


def test_products_split_over_a_mesh(v5e_2x2, array):
  two = lambda x, a, b: (x @ a) @ b
  found = _report(
    v5e_2x2,
    two,
    array(1024, 512, spec=P("data")),
    array(512, 2048, spec=P(None, "tensor")),
    array(2048, 512, spec=P("tensor")),
  )
  assert found["flops"] == 2 * 2 * 1024 * 512 * 2048 / 4
  # The halves of the second product are added: 512 x 512 values of two bytes on each device.
  assert found["collectives"] == {"all-reduce": {"count": 1, "bytes": 512 * 512 * 2}}
  assert found["fits"] and found["bound"] in ("hbm", "network")
  assert found["seconds"]["network"] == pytest.approx(512 * 512 * 2 / 50e9)
  assert found["roofline_s"] == max(found["seconds"].values())


def test_batched_products_and_loops_are_counted_as_the_formula_does(v5e_2x2, array):
  attend = lambda q, k: jnp.einsum("bhqd,bhkd->bhqk", q, k)
  assert _report(v5e_2x2, attend, array(4, 8, 128, 64), array(4, 8, 256, 64))["flops"] == 2 * 32 * 128 * 256 * 64
  step = lambda w, x: w - jax.grad(lambda w: programs.layers(x, w).astype(jnp.float32).sum())(w)
  found = _report(v5e_2x2, step, array(6, 256, 256), array(64, 256), donate_argnums=0)
  assert found["flops"] == 3 * 6 * 2 * 64 * 256 * 256 and found["unknown_loops"] == 0


def test_donated_arguments_are_not_counted_twice(v5e_2x2, array):
  size = 2 * 8192 * 2048
  add = lambda x: x + 1
  kept, donated = (_report(v5e_2x2, add, array(8192, 2048), donate_argnums=d)["hbm_bytes"] for d in ((), (0,)))
  assert kept["arguments"] == kept["outputs"] == donated["aliased"] == size and kept["aliased"] == 0


@pytest.mark.parametrize(("aliased", "fits"), [(0, False), (8, True)])
def test_all_of_it_must_fit_together(v5e_2x2, aliased, fits):
  sizes = {"argument": 8, "temp": 4, "output": 8, "alias": aliased, "generated_code": 1}
  stats = SimpleNamespace(**{f"{name}_size_in_bytes": size * 2**30 for name, size in sizes.items()})
  found = limits._memory(stats, v5e_2x2)
  assert found["fits"] is fits and found["hbm_bytes"]["needed"] == (21 - aliased) * 2**30


def test_what_the_compiler_cannot_place_is_told_with_its_figure(v5e_2x2, array):
  found = _report(v5e_2x2, lambda x: x[0, 0] + 1, array(2**17, 2**16))
  assert not found["fits"] and found["roofline_s"] is None
  assert found["hbm_bytes"]["needed"] == 2**34 and found["hbm_bytes"]["limit"] == int(15.75 * 2**30)
  assert "Ran out of memory" in found["compiler"]
