import numpy as np
import pytest

from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.things import SHAPES, draw_thing

THINGS = [draw_thing(material, np.random.default_rng(seed)) for material in MATERIALS for seed in range(12)]


def test_sizes_are_those_of_a_form_of_the_material():
  for thing in THINGS:
    forms = [f for f in MATERIALS[thing.material].forms if f.shape == thing.shape]
    assert any(
      f.length[0] <= thing.length <= f.length[1]
      and f.height[0] <= thing.height <= f.height[1]
      and f.wall[0] <= thing.wall <= f.wall[1]
      and f.aspect[0] <= thing.width / thing.length <= f.aspect[1]
      for f in forms
    )
  assert {thing.shape for thing in THINGS} == set(SHAPES)


def test_what_is_fixed_does_not_move():
  assert not [t for t in THINGS if t.shape in ("ground", "basin") and t.reaction == "rigid-motion"]
  assert [t for t in THINGS if t.reaction == "rigid-motion"]


def test_own_axes_turn_with_the_thing():
  for thing in THINGS[::7]:
    points = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(thing.world(thing.local(points)), points)
    along = thing.local(np.array([np.cos(thing.heading), np.sin(thing.heading)]))
    np.testing.assert_allclose(along, [1, 0], atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_tops_are_flat_or_fall_to_the_rim(shape):
  thing = next(t for t in THINGS if t.shape == shape)
  across = thing.world(np.linspace([0, 0], [thing.length / 2, 0], 9))
  tops = thing.top(across)
  assert tops[0] == 0
  if shape in ("bowl", "heap"):
    assert (np.diff(tops) < 0).all() and tops[-1] == pytest.approx(-thing.height)
  else:
    assert not tops.any()


def test_spots_are_on_top_and_well_inside():
  rng = np.random.default_rng(0)
  for thing in THINGS:
    for spot in (thing.draw_spot(rng) for _ in range(5)):
      local = np.abs(thing.local(spot[:2]))
      assert (local <= 0.4001 * np.array([thing.length, thing.width])).all() and local.max() <= 0.1601
      assert spot[2] == pytest.approx(thing.top(spot[:2])) and spot[2] > -0.35 * thing.height - 1e-9
