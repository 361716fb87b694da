"""Pictures: what is drawn is where the axes say it is."""

import io

import numpy as np
import pytest
from PIL import Image

from condfoley_jax import figures
from condfoley_jax.audio.compiled import librosa
from condfoley_jax.clip import MINI, PAPER

LAYOUTS = [figures.WIDE, figures.NARROW]


def pixels(picture: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def x_of(seconds: float, duration_s: float, layout: figures.Layout) -> float:
  return layout.left + seconds / duration_s * (layout.width - layout.left - layout.right)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mel_and_film_share_their_time_axis(layout):
  mel = np.ones((80, 90), np.float32)  # one second of the loudest, of two
  loud = pixels(figures.mel_figure(mel, MINI, duration_s=2.0, layout=layout)).mean(axis=2)[60]
  frames, times = np.full((15, 8, 8, 3), 255, np.uint8), (np.arange(15) + 0.5) / 15
  white = pixels(figures.onset_lane(frames, times, duration_s=2.0, layout=layout)).mean(axis=2)[60]
  for row in (loud, white):
    bright = np.flatnonzero(row > 160)
    bright = bright[bright > layout.left - 3]  # not the letters of the other axis
    assert bright[0] == pytest.approx(layout.left, abs=2)
    assert bright[-1] == pytest.approx(x_of(1.0, 2.0, layout), abs=2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_onset_is_drawn_at_its_time_in_both_lanes(layout):
  mel, frames, times = np.zeros((80, 180), np.float32), np.zeros((30, 8, 8, 3), np.uint8), (np.arange(30) + 0.5) / 15
  curve = np.zeros(30)

  def draw(onsets_s):
    yield figures.mel_figure(mel, MINI, duration_s=2.0, onsets_s=onsets_s, layout=layout)
    yield figures.onset_lane(frames, times, duration_s=2.0, onsets_s=onsets_s, curve_T=curve, layout=layout)

  for with_onset, without in zip(draw([0.5]), draw([]), strict=True):
    changed = np.abs(pixels(with_onset) - pixels(without)).max(axis=(0, 2)) > 90
    assert np.flatnonzero(changed).mean() == pytest.approx(x_of(0.5, 2.0, layout), abs=2)


@pytest.mark.parametrize("spec", [MINI, PAPER])
def test_kilohertz_ticks_are_at_the_centres_of_the_mel_bank(spec):
  bank = librosa().filters.mel(
    sr=spec.sample_rate, n_fft=1 << 16, n_mels=spec.n_mels, fmin=spec.fmin, fmax=spec.fmax, htk=spec.mel_scale == "htk"
  )
  hz = np.linspace(0, spec.sample_rate / 2, bank.shape[1])[bank.argmax(axis=1)]
  drawn = [figures._mel_bin(f, spec) for f in hz]
  np.testing.assert_allclose(drawn, np.arange(spec.n_mels), atol=0.05)


def test_centred_frames_begin_half_a_hop_early():
  assert figures.mel_seconds(180, MINI) == pytest.approx((0, 2.0))
  hop_s = 256 / 22050
  assert figures.mel_seconds(160, PAPER) == pytest.approx((-0.5 * hop_s, 159.5 * hop_s))


def test_film_strip_is_in_order_and_keeps_the_aspect_ratio():
  frames = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 36, 64, 3))
  strip = figures.film_strip(frames, (np.arange(100) + 0.5) / 10, end_s=10.0, width=640, height=36)
  assert strip.shape == (36, 640, 3)
  np.testing.assert_allclose(strip[0, 32::64, 0], np.arange(10) * 10 + 5, atol=1)


def test_wrong_shapes_are_named():
  with pytest.raises(ValueError, match=r"\(79, 4\) is not \[80, M\]"):
    figures.mel_figure(np.zeros((79, 4)), MINI, duration_s=1.0)
  with pytest.raises(ValueError, match=r"\[2, 3\]"):
    figures.onset_lane(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(2), duration_s=1.0)
  with pytest.raises(ValueError, match="1 mels with 2 titles"):
    figures.spectrogram_grid([np.zeros((80, 4))], ["a", "b"])


def test_grid_shows_every_mel_on_one_scale():
  mels = [np.full((80, 30), level) for level in (-1.0, -0.5, 0.0, 0.5, 1.0)]
  grid = figures.spectrogram_grid(mels, ["$not math$"] * 5, columns=5)
  assert grid.dtype == np.uint8 and grid.shape[2] == 3
  middle = grid[grid.shape[0] * 2 // 3, grid.shape[1] // 10 :: grid.shape[1] // 5].astype(int).sum(axis=1)
  assert (np.diff(middle) > 50).all()
