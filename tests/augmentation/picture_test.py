"""Augmentation of frames: one draw per clip, boxes within the picture, and that off means off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.augmentation import picture
from condfoley_jax.augmentation.picture import PUBLISHED, PictureAugmentation

KEY = jax.random.key(1)


def ramp(clips=3, frames=2, side=32):
  """Red grows to the right, green downwards, blue from frame to frame."""
  y, x = np.mgrid[:side, :side] * (255 / side)
  one = np.stack([np.stack([x, y, np.full_like(x, 40 * t)], -1) for t in range(frames)])
  return jnp.asarray(np.tile(one, (clips, 1, 1, 1, 1)).astype(np.uint8))


def test_off_is_the_picture_resized():
  same = picture.augment_frames(ramp(), KEY, 32, PictureAugmentation())
  np.testing.assert_allclose(same, ramp(), atol=1e-2)
  small = picture.augment_frames(ramp(), KEY, 16, PictureAugmentation())
  np.testing.assert_allclose(small[:, :, 8, 8], (ramp()[:, :, 16, 16] + ramp()[:, :, 17, 17].astype(float)) / 2, atol=1)


def test_center_crop_is_the_middle():
  assert picture.center_crop(ramp(side=8), 4)[0, 0, 0, 0].tolist() == ramp(side=8)[0, 0, 2, 2].tolist()
  assert picture.center_crop(ramp(side=8), 8).shape == (3, 2, 8, 8, 3)


@pytest.mark.parametrize("change", [PUBLISHED, PictureAugmentation(area=(0.6, 0.9), aspect=1.2)])
def test_boxes_lie_within_the_picture_and_have_the_size_asked_for(change):
  rows, columns = (np.asarray(m) for m in picture._boxes(KEY, 500, 64, 56, change))
  np.testing.assert_allclose(rows.sum(2), 1, atol=1e-5)
  first, last = ((m @ np.arange(64))[:, [0, -1]] for m in (rows, columns))
  spans = [(m[:, 1] - m[:, 0]) * 56 / 55 for m in (first, last)]
  share = spans[0] * spans[1] / 64**2
  assert change.area[0] * 0.9 < share.min() and share.max() <= change.area[1] + 0.02
  ratio = spans[1] / spans[0]
  assert 1 / change.aspect - 0.05 < ratio.min() < 0.95 and 1.05 < ratio.max() < change.aspect + 0.05
  assert first.min() >= 0 and last.max() <= 63 and np.ptp(first[:, 0]) > 5


def test_a_clip_has_one_draw_and_clips_differ():
  video = ramp(clips=6, frames=3).at[..., 2].set(90)
  made = np.asarray(picture.augment_frames(video, KEY, 24, PUBLISHED))
  np.testing.assert_allclose(made, made[:, :1].repeat(3, 1), atol=1e-3)
  assert min(np.abs(made[i] - made[j]).max() for i in range(6) for j in range(i)) > 5
  assert made.min() >= 0 and made.max() <= 255


def test_flips_mirror_half_of_the_clips():
  made = picture.augment_frames(ramp(clips=64), KEY, 32, PictureAugmentation(flip=True))
  rising = np.asarray(made[:, 0, 0, -1, 0] > made[:, 0, 0, 0, 0])
  assert 16 < rising.sum() < 48
  np.testing.assert_allclose(made[~rising], ramp()[:1, :, :, ::-1].repeat((~rising).sum(), 0), atol=1e-2)


@pytest.mark.parametrize(
  ("change", "kept"),
  [
    (PictureAugmentation(hue=0.1), "luma"),
    (PictureAugmentation(saturation=0.4), "luma"),
    (PictureAugmentation(contrast=0.2), "mean"),
    (PictureAugmentation(brightness=0.4), "ratio"),
  ],
)
def test_each_colour_change_keeps_what_it_should(change, kept):
  plain = 60 + ramp(clips=8).astype(jnp.float32) / 4
  made = np.asarray(picture._recolored(plain, KEY, change))
  luma = lambda x: np.asarray(x) @ picture._TO_YIQ[0]
  assert np.abs(made - plain).max() > 1
  if kept == "luma":
    np.testing.assert_allclose(luma(made), luma(plain), atol=0.2)
  elif kept == "mean":
    np.testing.assert_allclose(luma(made).mean((1, 2, 3)), luma(plain).mean((1, 2, 3)), rtol=1e-3)
  else:
    ratio = made / np.asarray(plain)
    np.testing.assert_allclose(ratio, ratio[:, :1, :1, :1, :1] * np.ones_like(ratio), rtol=1e-2)
