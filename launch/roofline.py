"""The least time that a chip's limits leave to a program, each limit by itself."""

import collections
from collections.abc import Sequence

from condfoley_jax.hlo.collectives import BETWEEN_SLICES
from condfoley_jax.hlo.cost import Cost
from launch.topology import Slice

_Place = tuple[int, ...]


def seconds(cost: Cost, where: Slice, order: Sequence[int]) -> dict[str, float]:
  """Seconds per limit of one run: "compute", "hbm", "network" (within a slice) and, of several slices, "slices"
  (between them); were all overlapped fully, the largest would be the run's.

  A collective is as fast as the links that its group has: two along an axis of the torus that the group goes round, one
  along an axis that it only spans a part of, or that does not close to a ring. Collectives follow one another, but for
  permutations that go opposite ways.

  Args:
    cost: of one device.
    where: the slice.
    order: for each device of the program, in its order, the place in `where.devices`.
  """
  coordinates = where.coordinates()
  ways: dict[tuple[int, ...], list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
  for collective, (_, sent) in cost.collectives.items():
    if collective.kind == BETWEEN_SLICES:
      continue
    places = [coordinates[order[i]] for i in collective.group]
    axes, time = spanned(places, where), sent / (where.chip.link_rate * links_of(places, where))
    if collective.kind == "collective-permute":
      ways[axes][_is_backward(places, where)] += time
    else:
      ways[axes] = [before + time for before in ways[axes]]
  network = sum(max(both) for both in ways.values())
  found = {
    "compute": cost.flops / where.chip.flops,
    "hbm": cost.bytes_accessed / where.chip.hbm_rate,
    "network": network,
  }
  if where.count > 1:
    between = sum(sent for collective, (_, sent) in cost.collectives.items() if collective.kind == BETWEEN_SLICES)
    found["slices"] = between / where.chip.slices_rate
  return found


def spanned(places: Sequence[_Place], where: Slice) -> tuple[int, ...]:
  """Axes of the slice along which these places differ."""
  return tuple(axis for axis in range(len(where.sizes)) if len({place[axis] for place in places}) > 1)


def links_of(places: Sequence[_Place], where: Slice) -> int:
  """Links over which each device of a group at these places can send to others of it at a time; at least 1."""
  links = 0
  for axis in spanned(places, where):
    size = where.sizes[axis]
    closes = len({place[axis] for place in places}) == size and size % where.chip.wraps == 0
    links += 2 if closes else 1
  return max(1, links)


def _is_backward(pair: Sequence[_Place], where: Slice) -> bool:
  """Whether the shorter way from the first place to the second goes down."""
  steps = [(pair[1][axis] - pair[0][axis]) % where.sizes[axis] * 2 > where.sizes[axis] for axis in spanned(pair, where)]
  return bool(steps) and steps[0]
