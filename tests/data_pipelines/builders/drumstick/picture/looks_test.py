import numpy as np
import pytest

from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.picture.looks import BACKDROPS, LOOKS, draw_look


def test_every_material_has_looks_and_backdrops_are_materials():
  assert set(LOOKS) == set(MATERIALS)
  assert set(BACKDROPS) <= set(LOOKS)


@pytest.mark.parametrize("material", sorted(LOOKS))
def test_looks_are_in_range_and_vary(material):
  looks = [draw_look(material, np.random.default_rng(k), 128, 0.4) for k in range(8)]
  for look in looks:
    assert look.albedo.shape == (128, 128, 3) and look.albedo.dtype == np.float32
    assert look.relief.shape == (128, 128) and look.relief.dtype == np.float32
    assert look.albedo.min() > 0 and look.albedo.max() <= 1 and np.abs(look.relief).max() < 0.08
    assert 0 <= look.gloss <= 1 and 0 <= look.rough <= 1 and 0 <= look.clear < 1
  means = np.array([look.albedo.mean(axis=(0, 1)) for look in looks])
  assert means.std(axis=0).max() > 0.04


def test_looks_repeat():
  first, again = (draw_look("tile", np.random.default_rng(3), 64, 0.3) for _ in range(2))
  np.testing.assert_array_equal(first.albedo, again.albedo)
