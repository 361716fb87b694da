import numpy as np
import pytest

from data_pipelines.builders.drumstick.acoustics import modes
from data_pipelines.builders.drumstick.acoustics.elastic import ELASTIC

STEEL = ELASTIC["steel"]
HERTZ = 2 * np.pi


def test_beam_has_the_ratios_and_the_pitch_of_the_textbook():
  omega = modes.beam_modes(STEEL, 0.3, 0.01, 20000).omega
  # Fletcher and Rossing 1998, "The physics of musical instruments", section 2.15.
  np.testing.assert_allclose(omega[:5] / omega[0], [1, 2.757, 5.404, 8.933, 13.345], rtol=1e-3)
  speed = np.sqrt(2.0e11 / 7850)
  np.testing.assert_allclose(omega[0] / HERTZ, np.pi * 0.01 / 12**0.5 * speed / (8 * 0.3**2) * 3.0112**2, rtol=1e-3)


def test_beam_is_still_at_the_nodes_and_bounded_at_high_modes():
  root = np.array([4.730040745, 7.853204624])
  np.testing.assert_allclose(modes.beam_shape(root[:1], 0.2242), 0, atol=1e-3)
  np.testing.assert_allclose(modes.beam_shape(root, 0.5), [-0.6078, 0], atol=1e-3)
  many = (2 * np.arange(1, 200) + 1) * np.pi / 2
  many[:5] = modes._BEAM
  for place in np.linspace(0, 1, 41):
    assert np.abs(modes.beam_shape(many, place)).max() <= 1 + 1e-6
  np.testing.assert_allclose(np.abs(modes.beam_shape(many, 1.0)), 1, rtol=1e-6)


def test_thick_beam_is_lower_and_thin_one_is_not():
  def ratio(thickness):
    thin, thick = (modes.beam_modes(STEEL, 0.2, thickness, 60000, thick=flag).omega for flag in (False, True))
    return thick[0] / thin[0]

  assert ratio(0.002) == pytest.approx(1, abs=2e-3)
  # Against the exact Timoshenko beam, Labuschagne et al. 2009: the first mode of h = L / 5 is about 9 % lower.
  assert 0.85 < ratio(0.04) < 0.93


def test_plate_has_the_ratios_and_the_pitch_of_the_textbook():
  square = modes.plate_modes(STEEL, 0.2, 0.2, 0.002, 5000).omega
  np.testing.assert_allclose(square[:6] / square[0], [1, 2.5, 2.5, 4, 5, 5], rtol=1e-9)
  oblong = modes.plate_modes(STEEL, 0.3, 0.2, 0.002, 5000).omega
  # Fletcher and Rossing, section 3.9: 0.453 c h (1 / a^2 + 1 / b^2).
  speed = np.sqrt(2.0e11 / 7850 / (1 - 0.29**2))
  np.testing.assert_allclose(oblong[0] / HERTZ, 0.4534 * speed * 0.002 * (1 / 0.3**2 + 1 / 0.2**2), rtol=1e-3)
  assert (np.diff(oblong) >= 0).all() and oblong[-1] < HERTZ * 5000


def test_plate_moves_in_the_middle_and_not_at_its_edges():
  plate = modes.plate_modes(STEEL, 0.3, 0.2, 0.002, 2000)
  assert plate.shape(np.zeros(2))[0] == pytest.approx(1)
  assert plate.shape(np.zeros(2))[1] == pytest.approx(0, abs=1e-9)  # A node line of (2, 1) runs through it.
  for edge in ([0.15, 0.03], [0.05, -0.1]):
    np.testing.assert_allclose(plate.shape(np.array(edge)), 0, atol=1e-9)


def test_ring_has_the_ratios_of_the_textbook_and_a_base_makes_it_stiffer():
  tall = modes.ring_modes(STEEL, 0.05, 0.002, 1e3, 20000).omega
  # Rayleigh: n (n^2 - 1) / sqrt(n^2 + 1), each twice.
  np.testing.assert_allclose(tall[::2][:4] / tall[0], [1, 2.828, 5.423, 8.771], rtol=1e-3)
  np.testing.assert_array_equal(tall[::2], tall[1::2])
  speed = np.sqrt(2.0e11 / 7850)
  np.testing.assert_allclose(tall[0], 6 / 5**0.5 * speed * 0.002 / 12**0.5 / 0.05**2, rtol=1e-9)
  flat = modes.ring_modes(STEEL, 0.05, 0.002, 0.05, 20000).omega
  assert flat[0] / tall[0] == pytest.approx((7 / 3) ** 0.5)
  assert flat[6] / tall[6] < 1.05


def test_the_two_modes_of_a_ring_share_each_spot():
  ring = modes.ring_modes(STEEL, 0.05, 0.002, 0.05, 20000, turn=0.3)
  energy = [(ring.shape(0.03 * np.array([np.cos(a), np.sin(a)])) ** 2).reshape(-1, 2).sum(axis=1) for a in (0.1, 1.7)]
  np.testing.assert_allclose(*energy)
  first = ring.shape(0.03 * np.array([np.cos(0.3), np.sin(0.3)]))[:2]
  assert first[0] > 0.5 and first[1] == pytest.approx(0, abs=1e-9)


def test_thinned_keeps_the_lowest_and_the_energy():
  plate = modes.plate_modes(STEEL, 0.4, 0.3, 0.0015, 15000)
  few = modes.thinned(plate, 60)
  assert len(plate.omega) > 200 and 50 <= len(few.omega) <= 60
  np.testing.assert_array_equal(few.omega[:30], plate.omega[:30])
  assert (few.weight**2).sum() == pytest.approx(len(plate.omega))
  assert few.omega[-1] > 0.9 * plate.omega[-1]
  assert len(few.shape(np.array([0.05, 0.02]))) == len(few.omega)


def test_joined_modes_stay_with_their_shapes():
  along, across = (modes.beam_modes(STEEL, 0.3, 0.02, 8000, axis=axis) for axis in (0, 1))
  both = modes.joined([along, modes.Modes(across.omega * 1.1, across.shape, across.weight)])
  assert (np.diff(both.omega) > 0).all()
  spot = np.array([0.05, 0.11])
  np.testing.assert_allclose(both.shape(spot)[:2], [along.shape(spot)[0], across.shape(spot)[0]])
