"""Seconds per limit, by hand."""

import itertools
from types import SimpleNamespace

import pytest

from condfoley_jax import chips
from condfoley_jax.hlo.collectives import Collective
from condfoley_jax.hlo.cost import Cost
from launch import roofline
from launch.topology import Slice

V5E = chips.of_kind("TPU v5 lite")


def _slice(*sizes: int) -> Slice:
  places = itertools.product(*map(range, sizes))
  return Slice(V5E, sizes, [SimpleNamespace(coords=(*place, 0)) for place in places])


def _network(where: Slice, *collectives: tuple[str, tuple[int, ...], float]) -> float:
  sent = {Collective(kind, group, i): (1, size) for i, (kind, group, size) in enumerate(collectives)}
  return roofline.seconds(Cost(collectives=sent), where, range(len(where.devices)))["network"]


def test_products_and_bytes_by_the_chips_rates():
  found = roofline.seconds(Cost(flops=197e12, bytes_accessed=819e9 / 2), _slice(2, 2), range(4))
  assert found == {"compute": 1.0, "hbm": 0.5, "network": 0.0}


@pytest.mark.parametrize(
  ("sizes", "group", "links"),
  [
    # Sixteen chips in a row of a 16 x 16 slice are a ring; four of them, or four in a 4 x 4 slice, are a line.
    ((16, 16), range(16), 2),
    ((16, 16), range(4), 1),
    ((4, 4), range(4), 1),
    ((16, 16), range(256), 4),
    ((4, 4), (0, 1, 4, 5), 2),
  ],
)
def test_a_group_has_the_links_of_the_axes_it_spans(sizes, group, links):
  assert _network(_slice(*sizes), ("all-gather", tuple(group), 50e9)) == pytest.approx(1 / links)


def test_the_programs_order_decides_where_a_group_is():
  where, down = _slice(16, 16), [16 * (i % 16) + i // 16 for i in range(256)]
  sent = Cost(collectives={Collective("all-gather", (0, 1, 16, 17)): (1, 50e9)})
  assert roofline.seconds(sent, where, down) == roofline.seconds(sent, where, range(256))
  (axis,) = roofline.spanned([where.coordinates()[down[i]] for i in range(16)], where)
  assert axis == 0


def test_collectives_follow_one_another_and_opposite_permutations_do_not():
  where = _slice(4, 4)
  there, back = ("collective-permute", (0, 1), 50e9), ("collective-permute", (1, 0), 50e9)
  assert _network(where, there, there) == pytest.approx(2)
  assert _network(where, there, back) == pytest.approx(1)
  assert _network(where, there, ("all-gather", (0, 1, 2, 3), 50e9)) == pytest.approx(2)


def test_what_goes_to_another_slice_has_a_limit_of_its_own():
  sent = {Collective("between-slices", ()): (4, 2 * V5E.slices_rate), Collective("all-gather", (0, 1)): (1, 50e9)}
  several = _slice(4, 4)._replace(count=2)
  found = roofline.seconds(Cost(collectives=sent), several, range(16))
  assert found == {"compute": 0, "hbm": 0, "network": 1.0, "slices": 2.0}
