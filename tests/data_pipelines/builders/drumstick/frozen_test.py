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
  # In levels of 255: one pixel that is rounded the other way in every frame moves its block by 1 / 256.
  np.testing.assert_allclose(frozen.picture(scene), stored["pictures"][scene.index], atol=0.02)
  np.testing.assert_allclose(frozen.sound(scene), stored["sounds"][scene.index], atol=1e-6)
