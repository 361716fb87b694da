"""Scenes and measurements that the tests of the sound share."""

import dataclasses
import fractions

import numpy as np

from data_pipelines.builders.drumstick.acoustics.sound import draw_instrument, dry_sound, slid_parts, struck_parts
from data_pipelines.builders.drumstick.scene import draw_scene
from data_pipelines.builders.drumstick.things import draw_thing

RATE = 44100


def scene_of(material, *strokes, index=0, seconds=3, shape=None, split="test"):
  """A scene with a thing of that material, and shape if one is given, struck so."""
  thing = None
  draws = (draw_thing(material, np.random.default_rng((index, k))) for k in range(100))
  thing = next(t for t in draws if shape in (None, t.shape))
  return dataclasses.replace(
    draw_scene(split, 0, index),
    thing=thing,
    fps=fractions.Fraction(25),
    frames=25 * seconds,
    sample_rate=RATE,
    strokes=strokes,
  )


def played(scene):
  """Instrument, and the dry parts of the sound."""
  things, strokes, _ = scene.rng("sound").spawn(3)
  instrument = draw_instrument(scene, things)
  struck, slid = struck_parts(scene, instrument, strokes), slid_parts(scene, instrument, strokes)
  return instrument, {part: struck.get(part, 0.0) + slid.get(part, 0.0) for part in struck | slid}


def dry(scene):
  things, strokes, _ = scene.rng("sound").spawn(3)
  return dry_sound(scene, draw_instrument(scene, things), strokes)


def window(audio, start_s, stop_s):
  return audio[round(start_s * RATE) : round(stop_s * RATE)]


def level_db(audio):
  return 10 * np.log10(np.mean(audio**2) + 1e-14)


def centroid_hz(audio):
  power = np.abs(np.fft.rfft(audio)) ** 2
  return (power * np.fft.rfftfreq(len(audio), 1 / RATE)).sum() / power.sum()


def mode_at(audio, hertz, width_s=0.006):
  """Frequency, Hz, and decay, 1/s, of the mode near `hertz` in [N] samples, by its slow amplitude and phase."""
  time = np.arange(len(audio)) / RATE
  span = np.arange(-int(4 * width_s * RATE), int(4 * width_s * RATE) + 1) / RATE
  kernel = np.exp(-((span / width_s) ** 2) / 2)
  slow = np.convolve(audio * np.exp(-2j * np.pi * hertz * time), kernel, "valid")
  slow = slow[: int(np.argmax(np.abs(slow) < 0.05 * np.abs(slow[0]))) or len(slow)]
  fit = np.polyfit(np.arange(len(slow)) / RATE, np.log(slow / slow[0]).real, 1, w=np.abs(slow))
  turn = np.polyfit(np.arange(len(slow)) / RATE, np.unwrap(np.angle(slow)), 1, w=np.abs(slow))
  return hertz + turn[0] / (2 * np.pi), -fit[0]


def alone(frequency, index, apart_hz=130.0):
  others = np.delete(frequency, index)
  return not len(others) or np.abs(others - frequency[index]).min() > apart_hz
