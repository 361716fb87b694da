import dataclasses

import numpy as np
import pytest

from data_pipelines.builders.drumstick.acoustics import render_sound, sound
from data_pipelines.builders.drumstick.materials import MATERIALS
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene
from tests.data_pipelines.builders.drumstick.acoustics.players import (
  RATE,
  centroid_hz,
  dry,
  level_db,
  played,
  scene_of,
  window,
)

NAMES = sorted(MATERIALS)


def decay_s(audio, at_s):
  """Seconds after `at_s` until 90 % of the strike's energy has gone by."""
  energy = np.cumsum(window(audio, at_s, at_s + 1.5) ** 2)
  return np.searchsorted(energy, 0.9 * energy[-1]) / RATE


@pytest.fixture
def quiet(monkeypatch):
  """Next to nothing in the background."""
  draw = sound.draw_background
  monkeypatch.setattr(sound, "draw_background", lambda *args: 0.02 * draw(*args))


@pytest.mark.parametrize("material", NAMES)
@pytest.mark.parametrize("duration_s", [0.0, 0.4])
def test_energy_rises_within_2_ms_of_the_event(material, duration_s, quiet):
  at_s = 1.000_007
  for index in range(2):
    audio = render_sound(scene_of(material, Stroke(at_s, 0.7, duration_s), index=index, seconds=2))
    assert audio.dtype == np.float32 and len(audio) == 2 * RATE
    power = np.convolve(window(audio, 0.5, 1.1) ** 2, np.ones(8) / 8, "same")
    rise_s = 0.5 + np.argmax(power > 20 * power[: round(0.45 * RATE)].mean()) / RATE
    assert abs(rise_s - at_s) < 0.002


@pytest.mark.parametrize("material", NAMES)
@pytest.mark.parametrize("duration_s", [0.0, 0.3])
def test_nothing_is_heard_before_the_event_and_much_2_ms_after(material, duration_s):
  at_s = 0.500_013
  audio = dry(scene_of(material, Stroke(at_s, 0.6, duration_s), seconds=1))
  start = int(at_s * RATE)
  assert not audio[: start + 1].any()
  assert level_db(audio[start : start + 88]) > level_db(audio[start : start + 2205]) - 20


@pytest.mark.parametrize("material", NAMES)
def test_harder_strike_is_louder_and_brighter(material):
  loud, bright = [], []
  for index in range(8):
    audio = dry(scene_of(material, Stroke(0.3, 0.25), Stroke(1.55, 0.9), index=index))
    soft, hard = window(audio, 0.3, 0.4), window(audio, 1.55, 1.65)
    loud.append(level_db(hard) - level_db(soft))
    bright.append(centroid_hz(hard) / centroid_hz(soft))
  # Different spots of one thing differ as well.
  assert np.mean(loud) > 5
  assert np.exp(np.mean(np.log(bright))) > 1


@pytest.mark.parametrize("material", NAMES)
def test_faster_scratch_is_louder_and_brighter(material, monkeypatch):
  def scratch(factor):
    slide = sound.Tip.slide_speed
    monkeypatch.setattr(sound.Tip, "slide_speed", lambda self, time_s: factor * slide(self, time_s))
    heard = [dry(scene_of(material, Stroke(0.3, 0.6, 0.45), index=i, seconds=1)) for i in range(4)]
    monkeypatch.undo()
    return [window(a, 0.4, 0.7) for a in heard]

  slow, fast = scratch(0.5), scratch(1.5)
  assert np.mean([level_db(f) - level_db(s) for s, f in zip(slow, fast, strict=True)]) > 3
  assert np.mean([np.log(centroid_hz(f) / centroid_hz(s)) for s, f in zip(slow, fast, strict=True)]) > 0.05


def test_every_contact_stands_out_of_the_background():
  for index in range(17):
    scene = draw_scene("test", 6, index)
    audio, rate = render_sound(scene), scene.sample_rate
    before = level_db(audio[: round((scene.strokes[0].time_s - 0.02) * rate)])
    for stroke in scene.strokes:
      start = round(stroke.time_s * rate)
      blocks = audio[start : start + 6 * (rate // 100)].reshape(6, -1)
      assert max(level_db(block) for block in blocks) > before + 4


def test_scratches_are_seldom_louder_than_hits():
  over = []
  for index in range(17):
    hard, long = Stroke(0.3, 0.7), Stroke(1.5, 0.7, 0.4)
    audio = dry(scene_of(NAMES[index], hard, long, index=index))
    parts = [window(audio, at, at + 0.4)[: 40 * 441].reshape(40, -1) for at in (0.3, 1.5)]
    hit, scratch = (max(level_db(block) for block in part) for part in parts)
    over.append(scratch - hit)
  assert max(over) < 3 and np.mean(np.array(over) > 0) < 0.2


def test_materials_differ_in_decay_and_brightness():
  audio = {
    name: [dry(scene_of(name, Stroke(0.3, 0.7), index=i, seconds=2)) for i in range(9)]
    for name in ("metal", "glass", "wood", "carpet", "rock", "gravel", "cloth")
  }
  decay = {name: np.median([decay_s(a, 0.3) for a in takes]) for name, takes in audio.items()}
  bright = {name: np.median([centroid_hz(window(a, 0.3, 0.4)) for a in takes]) for name, takes in audio.items()}
  assert decay["metal"] > 2 * decay["wood"] and decay["glass"] > 2 * decay["wood"]
  assert decay["gravel"] > 1.5 * decay["rock"]
  assert min(bright["rock"], bright["gravel"], bright["glass"]) > 2 * bright["carpet"]


def test_strikes_of_one_video_share_a_timbre_that_other_objects_lack():
  def spectrum(audio, at_s):
    power = np.abs(np.fft.rfft(window(audio, at_s + 0.01, at_s + 0.3)))
    return power / np.linalg.norm(power)

  takes = [dry(scene_of("metal", Stroke(0.3, 0.6), Stroke(1.55, 0.6), index=i)) for i in range(8)]
  same = [spectrum(a, 0.3) @ spectrum(a, 1.55) for a in takes]
  other = [spectrum(takes[i], 0.3) @ spectrum(takes[j], 0.3) for i in range(8) for j in range(i)]
  assert np.mean(same) > 0.55 and np.mean(same) > 2 * np.mean(other)


def test_more_strokes_leave_the_object_as_it_is():
  few = scene_of("ceramic", Stroke(0.3, 0.6))
  many = dataclasses.replace(few, strokes=(Stroke(0.3, 0.6), Stroke(0.8, 0.5), Stroke(1.2, 0.5, 0.3)))
  (one, _), (other, _) = played(few), played(many)
  np.testing.assert_array_equal(one.body.frequency, other.body.frequency)
  np.testing.assert_array_equal(one.profile.slope, other.profile.slope)
  assert one.skin == other.skin


def test_same_scene_sounds_the_same_and_splits_share_no_object():
  scene = draw_scene("train", 3, 5)
  np.testing.assert_array_equal(render_sound(scene), render_sound(scene))
  skins = {
    played(scene_of("tile", Stroke(0.3, 0.6), split=split, index=i, seconds=1))[0].skin
    for split in ("train", "val", "test")
    for i in range(3)
  }
  assert len(skins) == 9


def test_peak_and_length_stay_in_range():
  peaks = []
  for index in range(17):
    scene = draw_scene("val", 5, index)
    audio = render_sound(scene)
    assert len(audio) == scene.samples
    peaks.append(np.abs(audio).max())
    before = level_db(audio[: round((scene.strokes[0].time_s - 0.02) * scene.sample_rate)])
    assert before < 20 * np.log10(peaks[-1]) - 14
  assert 0.15 < min(peaks) < 0.4 and 0.6 < max(peaks) <= 0.9001


def test_no_strokes_is_only_background():
  audio = render_sound(scene_of("wood", seconds=1))
  assert np.isfinite(audio).all() and -95 < level_db(audio) < -30
