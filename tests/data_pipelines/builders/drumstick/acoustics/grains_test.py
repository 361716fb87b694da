import dataclasses

import numpy as np
import pytest

from data_pipelines.builders.drumstick.acoustics import grains, scrape
from data_pipelines.builders.drumstick.acoustics.textures import TEXTURES, draw_skin
from tests.data_pipelines.builders.drumstick.acoustics.players import RATE, centroid_hz, mode_at, scene_of


def skin_of(material, seed=0):
  return draw_skin(scene_of(material).thing, np.random.default_rng(seed))


def test_bubbles_ring_at_minnaerts_frequency():
  assert grains.minnaert_hz(1e-3) == pytest.approx(3260, rel=0.01)  # 3.26 m/s over the radius.
  tone = grains.bubble(3e-3, 0.0, RATE)
  hertz, decay = mode_at(tone, 1000, width_s=0.002)
  assert hertz == pytest.approx(grains.minnaert_hz(3e-3), rel=0.01)
  assert decay == pytest.approx(0.13 / 3e-3 + 0.0072 * 3e-3**-1.5, rel=0.02)


def test_bubbles_rise():
  tone = grains.bubble(4e-3, 0.2, RATE)
  crossings = np.flatnonzero(np.diff(np.sign(tone)) > 0)
  assert np.diff(crossings)[:3].mean() > 1.05 * np.diff(crossings)[-8:].mean()


@pytest.mark.parametrize("material", [m for m, row in TEXTURES.items() if row.grains])
def test_harder_strikes_and_faster_scratches_set_off_more_grains(material):
  found, rng = skin_of(material).grains, np.random.default_rng(1)
  soft, hard = (np.mean([len(grains.strike_events(found, 1.0, s, rng)) for _ in range(40)]) for s in (0.2, 0.9))
  assert hard > 1.8 * soft
  times = np.arange(RATE // 4) / RATE
  slow, fast = (
    np.mean(
      [len(grains.slide_events(found, times, np.full(len(times), v), np.ones(len(times)), rng)) for _ in range(40)]
    )
    for v in (0.2, 0.8)
  )
  assert fast > 2 * slow


def test_grains_come_after_the_stroke_and_within_the_scratch():
  found, rng = skin_of("gravel").grains, np.random.default_rng(1)
  delays = np.array([e.time_s - 1 for _ in range(40) for e in grains.strike_events(found, 1.0, 0.8, rng)])
  assert delays.min() >= 0
  assert delays.mean() == pytest.approx(found.spread_s, rel=0.1)
  times = 2 + np.arange(RATE // 4) / RATE
  along = grains.slide_events(found, times, np.full(len(times), 0.5), np.ones(len(times)), rng)
  assert all(2 <= e.time_s < 2.26 for e in along)


def test_crackles_have_heavy_tails():
  found = dataclasses.replace(skin_of("plastic-bag")).grains
  energy = np.sort(grains._levels(found, 4000, np.random.default_rng(0)) ** 2)[::-1]
  assert energy[:400].sum() > 0.45 * energy.sum()
  assert energy[0] <= 10 ** (found.db / 10) * 1.001


def test_grains_beyond_the_end_are_cut():
  found, rng = skin_of("water").grains, np.random.default_rng(3)
  sound = grains.sound_of(found, grains.draw_resonances(found, rng), [grains.Event(0.999, 1, 0.5)], RATE, RATE, rng)
  assert len(sound) == RATE and np.isfinite(sound).all()


def test_the_surface_is_fixed_and_faster_is_brighter_and_louder():
  skin = skin_of("rock")
  profile = scrape.draw_profile(skin, "rock", np.random.default_rng(0))
  time = np.arange(RATE // 4) / RATE
  slow, fast = (profile.force(v * time, np.full(len(time), v)) for v in (0.2, 0.8))
  np.testing.assert_allclose(
    slow[::4], fast[::1][: len(slow[::4])] / 4, rtol=1e-9
  )  # The same bumps, four times as fast.
  assert centroid_hz(fast) > 2 * centroid_hz(slow)
  assert fast.std() > 2.5 * slow.std()
  assert np.ptp(profile.catch(0.3 * time)) > 0.2 and (profile.catch(0.3 * time) > 0).all()


def test_a_larger_patch_smooths():
  skin = skin_of("wood")
  time = np.arange(RATE // 4) / RATE
  bright = [
    centroid_hz(
      scrape.draw_profile(dataclasses.replace(skin, patch_m=patch), "rock", np.random.default_rng(0)).force(
        0.5 * time, np.full(len(time), 0.5)
      )
    )
    for patch in (1e-4, 6e-4)
  ]
  assert bright[0] > 2 * bright[1]
