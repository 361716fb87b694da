"""Optical flow finds how far a picture was moved."""

import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.models.optical_flow import optical_flow


def waves(right, down, height=48, width=64):
  """A smooth pattern that moves by so many pixels a frame, float32 [1, 3, H, W]."""
  y, x = np.mgrid[:height, :width].astype(np.float32)
  frame = lambda t: np.sin((x - t * right) / 4) + np.cos((y - t * down) / 5) + np.sin((x + y - t * (right + down)) / 7)
  return np.stack([frame(t) for t in range(3)])[None]


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.0), (1.0, 0.0), (0.0, -0.5), (2.5, 1.5), (-3.0, 2.0)])
def test_it_tells_how_far_a_picture_moved(right, down):
  flow = np.asarray(optical_flow(jnp.asarray(waves(right, down))))
  assert flow.shape == (1, 3, 48, 64, 2) and not flow[:, 0].any()
  middle = flow[0, 1:, 10:-10, 10:-10]
  np.testing.assert_allclose(np.median(middle, (0, 1, 2)), [right, down], atol=0.15)


def test_flat_pictures_and_noise_free_stills_do_not_move():
  assert not np.asarray(optical_flow(jnp.ones((2, 3, 8, 8)))).any()
  assert not np.asarray(optical_flow(jnp.asarray(waves(0, 0)))).any()


def test_any_size_is_taken():
  assert optical_flow(jnp.zeros((1, 2, 7, 10))).shape == (1, 2, 7, 10, 2)
