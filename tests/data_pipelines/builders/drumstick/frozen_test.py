"""The world is frozen: what fails here needs a new `scene.VERSION`, and `frozen.py` to be run."""

import numpy as np
import pytest

from tests.data_pipelines.builders.drumstick import frozen


@pytest.fixture(scope="module")
def stored():
  return np.load(frozen.PATH)


@pytest.mark.parametrize("scene", frozen.scenes(), ids=lambda scene: scene.thing.material)
def test_nothing_has_moved(stored, scene):
  assert frozen.plan(scene) == stored["plans"][scene.index]
  # In levels of 255, each stored in 256 steps: a pixel rounded the other way in every frame moves its block by 1.
  found, kept = (x.astype(int) for x in (frozen.picture(scene), stored["pictures"][scene.index]))
  np.testing.assert_allclose(found, kept, atol=5)
  np.testing.assert_allclose(frozen.sound(scene), stored["sounds"][scene.index], atol=1e-6)


def test_no_plan_of_any_split_has_moved(stored):
  assert [frozen.plan(scene) for scene in frozen.others()] == stored["others"].tolist()
