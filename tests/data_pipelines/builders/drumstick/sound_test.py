import dataclasses
import fractions

import numpy as np
import pytest

from data_pipelines.builders.drumstick import materials
from data_pipelines.builders.drumstick.scene import Stroke, draw_scene
from data_pipelines.builders.drumstick.sound import render_sound

RATE = 44100


def scene_of(material, *strokes, index=0, seconds=3):
  return dataclasses.replace(
    draw_scene("test", 0, index),
    material=material,
    fps=fractions.Fraction(25),
    frames=25 * seconds,
    sample_rate=RATE,
    strokes=strokes,
  )


def window(audio, start_s, stop_s):
  return audio[round(start_s * RATE) : round(stop_s * RATE)]


def level_db(audio):
  return 10 * np.log10(np.mean(audio**2) + 1e-12)


def centroid_hz(audio):
  power = np.abs(np.fft.rfft(audio)) ** 2
  return (power * np.fft.rfftfreq(len(audio), 1 / RATE)).sum() / power.sum()


def decay_s(audio, at_s):
  """Seconds after `at_s` until 90 % of the strike's energy has gone by."""
  energy = np.cumsum(window(audio, at_s, at_s + 1.5) ** 2)
  return np.searchsorted(energy, 0.9 * energy[-1]) / RATE


@pytest.mark.parametrize("material", sorted(materials.MATERIALS))
@pytest.mark.parametrize("duration_s", [0.0, 0.4])
def test_energy_rises_within_2_ms_of_the_event(material, duration_s):
  at_s = 1.000_007
  audio = render_sound(scene_of(material, Stroke(at_s, 0.7, duration_s)))
  assert audio.dtype == np.float32 and len(audio) == 3 * RATE
  power = np.convolve(window(audio, 0.5, 1.1) ** 2, np.ones(8) / 8, "same")
  quiet = power[: round(0.45 * RATE)].mean()
  rise_s = 0.5 + np.argmax(power > 20 * quiet) / RATE
  assert abs(rise_s - at_s) < 0.002


@pytest.mark.parametrize("material", sorted(materials.MATERIALS))
def test_harder_strike_is_louder_and_brighter(material):
  loud, bright = [], []
  for index in range(4):
    audio = render_sound(scene_of(material, Stroke(0.5, 0.25), Stroke(1.75, 0.9), index=index))
    soft, hard = window(audio, 0.5, 0.6), window(audio, 1.75, 1.85)
    loud.append(level_db(hard) - level_db(soft))
    bright.append(centroid_hz(hard) / centroid_hz(soft))
  assert np.mean(loud) > 6
  assert np.mean(bright) > 0.9 if materials.MATERIALS[material].sound.grains else np.mean(bright) > 1


def test_materials_differ_in_decay_and_brightness():
  audio = {
    name: [render_sound(scene_of(name, Stroke(0.5, 0.7), index=i)) for i in range(4)]
    for name in ("metal", "glass", "wood", "carpet", "rock")
  }
  decay = {name: np.median([decay_s(a, 0.5) for a in takes]) for name, takes in audio.items()}
  bright = {name: np.median([centroid_hz(window(a, 0.5, 0.6)) for a in takes]) for name, takes in audio.items()}
  assert decay["metal"] > 2 * decay["wood"] and decay["glass"] > decay["wood"] > decay["rock"]
  assert bright["rock"] > bright["wood"] > bright["carpet"] and bright["glass"] > 2 * bright["wood"]


def test_strikes_of_one_video_share_a_timbre_that_other_objects_lack():
  def spectrum(audio, at_s):
    power = np.abs(np.fft.rfft(window(audio, at_s + 0.01, at_s + 0.3))) ** 2
    return power / np.linalg.norm(power)

  takes = [render_sound(scene_of("metal", Stroke(0.5, 0.6), Stroke(1.75, 0.6), index=i)) for i in range(4)]
  same = [spectrum(a, 0.5) @ spectrum(a, 1.75) for a in takes]
  other = [spectrum(takes[i], 0.5) @ spectrum(takes[j], 0.5) for i in range(4) for j in range(i)]
  assert np.mean(same) > 0.5 > 0.25 > np.mean(other)


def test_peak_and_background_stay_in_range():
  for index in range(12):
    scene = draw_scene("val", 5, index)
    audio = render_sound(scene)
    assert len(audio) == scene.samples
    assert 0.3 <= np.abs(audio).max() <= 0.9
    assert -66 < level_db(audio[: round(0.4 * scene.sample_rate)]) < -45
