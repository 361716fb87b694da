"""The world is frozen: what fails here needs a new `scene.VERSION`, and `frozen.py` to be run."""

import numpy as np
import pytest

from tests.data_pipelines.builders.drumstick import frozen


@pytest.fixture(scope="module")
def stored():
  return dict(np.load(frozen.PATH))


@pytest.mark.parametrize("scene", frozen.scenes(), ids=lambda scene: scene.thing.material)
def test_nothing_has_moved(stored, scene):
  assert frozen.plan(scene) == stored["plans"][scene.index]
  (seen, picture), (heard, sound) = frozen.picture(scene), frozen.sound(scene)
  if frozen.rounding() == stored["rounding"]:
    assert [seen, heard] == stored["exact"][scene.index].tolist()
  # In levels of 255, each stored in 256 steps: a pixel rounded the other way in every frame moves its block by 1.
  np.testing.assert_allclose(picture.astype(int), stored["pictures"][scene.index].astype(int), atol=5)
  np.testing.assert_allclose(sound, stored["sounds"][scene.index], atol=1e-6)


def test_no_plan_of_any_split_has_moved(stored):
  assert [frozen.plan(scene) for scene in frozen.others()] == stored["others"].tolist()
