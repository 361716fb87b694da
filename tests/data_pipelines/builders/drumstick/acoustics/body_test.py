import numpy as np
import pytest

from data_pipelines.builders.drumstick.acoustics import modes
from data_pipelines.builders.drumstick.acoustics.body import Touch, damped, levelled, rigid_body, ring
from data_pipelines.builders.drumstick.acoustics.elastic import ELASTIC
from data_pipelines.builders.drumstick.motion import Tip
from data_pipelines.builders.drumstick.scene import Stroke
from tests.data_pipelines.builders.drumstick.acoustics.players import RATE, alone, mode_at, played, scene_of, window

BARE = {
  "steel bar": ("steel", lambda e: modes.beam_modes(e, 0.3, 0.008, 15000), 4.0),
  "glass plate": ("glass", lambda e: modes.plate_modes(e, 0.3, 0.19, 0.006, 9000), 20.0),
  "wood bar": ("wood", lambda e: modes.beam_modes(e, 0.4, 0.02, 6000), 10.0),
  "ceramic bowl": ("ceramic", lambda e: modes.ring_modes(e, 0.08, 0.005, 0.07, 12000), 30.0),
  "iron block": ("iron", lambda e: modes.beam_modes(e, 0.2, 0.03, 15000, thick=True), 30.0),
  "plastic plate": ("plastic", lambda e: modes.plate_modes(e, 0.13, 0.1, 0.004, 3000), 0.0),
}


def tap(spot, at=100):
  return Touch(at, np.ones(1), np.zeros(0), np.asarray(spot))


@pytest.mark.parametrize("name", BARE)
def test_modes_ring_at_the_formulas_frequency_and_decay(name):
  kind, make, support = BARE[name]
  elastic, bare = ELASTIC[kind], make(ELASTIC[kind])
  body = damped(bare, elastic, support, 0.2, np.random.default_rng(0), RATE)
  audio = ring(body, [tap([0.031, 0.023])], RATE, 2 * RATE)[101:]
  measured = 0
  # A bowl's modes come in pairs of one pitch.
  for omega in np.unique(bare.omega):
    others = np.unique(bare.omega)
    if np.abs(others[others != omega] - omega).min() < 2 * np.pi * 130:
      continue
    decay = (elastic.alpha + support + elastic.beta * omega**2) / 2
    if decay > 250 or omega < 2 * np.pi * 150:
      continue
    hertz, fallen = mode_at(audio, omega / (2 * np.pi))
    assert hertz == pytest.approx(np.sqrt(omega**2 - decay**2) / (2 * np.pi), rel=0.005)
    assert fallen == pytest.approx(decay, rel=0.02)
    measured += 1
  assert measured >= 2


@pytest.mark.parametrize(("material", "shape"), [("metal", "bar"), ("glass", "plate"), ("tile", "ground")])
def test_strikes_of_a_scene_ring_at_its_bodys_modes(material, shape):
  measured = 0
  for index in range(9):
    scene = scene_of(material, Stroke(0.5, 0.7), shape=shape, index=index, seconds=2)
    instrument, parts = played(scene)
    body = instrument.body
    audio = window(parts["modes"], 0.503, 2.0)
    heard = np.abs(body.gain * body.shape(scene.thing.local(Tip(scene).position(np.array([0.5]))[0, :2])))
    loud = np.flatnonzero(
      (body.decay < 150) & (body.frequency > 200) & (body.frequency < 4000) & (heard > 0.15 * heard.max())
    )
    for k in (k for k in loud if alone(body.frequency, k)):
      hertz, decay = mode_at(audio, body.frequency[k])
      assert hertz == pytest.approx(body.frequency[k], rel=0.005)
      assert decay == pytest.approx(body.decay[k], rel=0.02)
      measured += 1
  assert measured >= 5


def test_a_scenes_body_has_the_modes_of_its_thing():
  for material, shape in (("ceramic", "plate"), ("wood", "bar"), ("plastic", "bowl")):
    thing = scene_of(material, shape=shape).thing
    elastic = ELASTIC[material]
    body = rigid_body(thing, elastic, np.random.default_rng(1), RATE)
    formula = {
      "plate": lambda t=thing, e=elastic: modes.plate_modes(e, t.length, t.width, t.wall, 5000),
      "bar": lambda t=thing, e=elastic: modes.beam_modes(e, t.length, t.wall, 5000),
      "bowl": lambda t=thing, e=elastic: modes.ring_modes(e, t.length / 2, t.wall, t.height, 5000),
    }[shape]()
    np.testing.assert_allclose(body.frequency[:2], formula.omega[:2] / (2 * np.pi), rtol=0.03)


def test_imperfection_splits_the_pairs_of_a_bowl():
  body = rigid_body(scene_of("glass", shape="bowl").thing, ELASTIC["glass"], np.random.default_rng(1), RATE)
  beat = np.diff(np.sort(body.frequency))[::2] / body.frequency[::2][: len(body.frequency) // 2]
  assert (beat > 0).all() and beat.min() < 0.02


def test_the_spot_shapes_the_spectrum():
  body = damped(
    modes.beam_modes(ELASTIC["steel"], 0.3, 0.008, 5000), ELASTIC["steel"], 5, 0.2, np.random.default_rng(0), RATE
  )
  end, node = (
    np.abs(np.fft.rfft(ring(body, [tap([(place - 0.5) * 0.3, 0])], RATE, RATE)))[round(body.frequency[0])]
    for place in (1.0, 0.2242)
  )
  assert end > 50 * node


def test_silent_modes_are_left_out_without_a_trace():
  elastic = ELASTIC["wood"]
  body = damped(modes.beam_modes(elastic, 0.4, 0.02, 6000), elastic, 10, 0.2, np.random.default_rng(0), RATE)
  one, two = tap([0.1, 0]), tap([0.05, 0], at=60000)
  both = ring(body, [one, two], RATE, 2 * RATE)
  apart = ring(body, [one], RATE, 2 * RATE) + ring(body, [two], RATE, 2 * RATE)
  np.testing.assert_allclose(both, apart, atol=2e-4 * np.abs(both).max())


def test_levelled_bodies_are_about_as_loud():
  loud = []
  for index in range(12):
    body = rigid_body(scene_of("metal", index=index).thing, ELASTIC["steel"], np.random.default_rng(index), RATE)
    body = levelled(body, 3e-4, 1.0)
    loud.append(
      np.linalg.norm(body.gain * np.abs(np.cos(np.pi * body.frequency * 3e-4) / (1 - (2 * body.frequency * 3e-4) ** 2)))
    )
  assert max(loud) < 8 * min(loud)
