import dataclasses

import numpy as np
import pytest

from data_pipelines.builders.drumstick.acoustics.contact import draw_stick, half_sine, hertz_s, strike
from data_pipelines.builders.drumstick.acoustics.elastic import ELASTIC, RIGID, draw_elastic

STICK = draw_stick(np.random.default_rng(0))


def test_published_constants():
  assert ELASTIC["ceramic"] == (2700, 7.2e10, 0.19, 6, 1e-7)
  assert ELASTIC["steel"] == (7850, 2.0e11, 0.29, 5, 3e-8)
  assert ELASTIC["glass"].decay(2 * np.pi * 1000.0, support=9) == pytest.approx((1 + 9 + 1e-7 * 3.9478e7) / 2, rel=1e-4)


def test_metal_is_of_several_kinds_and_no_two_things_are_alike():
  drawn = [draw_elastic("metal", np.random.default_rng(i)) for i in range(40)]
  assert len(set(drawn)) == 40
  assert min(e.density for e in drawn) < 3200 < 7000 < max(e.density for e in drawn)
  for material in RIGID:
    assert draw_elastic(material, np.random.default_rng(1)).alpha > 0


def test_contact_time_falls_as_the_fifth_root_of_speed_and_with_hardness():
  steel = ELASTIC["steel"]
  slow, fast = (hertz_s(STICK, steel.young, steel.poisson, v) for v in (0.5, 2.5))
  assert fast / slow == pytest.approx(5**-0.2)
  assert 5e-5 < fast < 8e-4
  assert hertz_s(STICK, 1e6, 0.3, 1.0) > 4 * slow
  # Two steel spheres' worth of numbers, by hand: 20 g, 6 mm, E* 1.1e11 Pa, 1 m/s.
  stick = dataclasses.replace(STICK, mass=0.02, radius=0.006, tip=steel._replace(poisson=0.0, young=2.2e11))
  assert hertz_s(stick, 2.2e11, 0.0, 1.0) == pytest.approx(6.41e-5, rel=0.01)


@pytest.mark.parametrize("at_s", [0.5, 0.500_007, 0.500_022])
def test_pulse_begins_at_the_instant_has_the_area_and_the_centre(at_s):
  rate = 44100
  start, force = half_sine(at_s, 6e-4, 0.7, rate)
  assert start - 1 <= at_s * rate < start
  assert force.sum() == pytest.approx(0.7)
  # Each sample holds what came since the last one: half a sample late.
  assert ((start + np.arange(len(force)) - 0.5) * force).sum() / 0.7 / rate == pytest.approx(at_s + 3e-4, abs=1e-6)
  assert len(force) <= 6e-4 * rate + 3


def test_force_follows_the_momentum():
  areas = [strike(STICK, 0.1, 4e-4, v, 44100)[1].sum() for v in (0.5, 1.5)]
  assert areas[1] / areas[0] == pytest.approx(3)
