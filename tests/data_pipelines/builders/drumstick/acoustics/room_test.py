import numpy as np
from scipy import signal

from data_pipelines.builders.drumstick.acoustics import room
from data_pipelines.builders.drumstick.acoustics.background import draw_background
from tests.data_pipelines.builders.drumstick.acoustics.players import RATE, level_db


def rngs(count):
  return [np.random.default_rng(i) for i in range(count)]


def fall_db(response, hertz):
  """dB that the band around `hertz` falls from 20..60 to 80..120 ms."""
  band = signal.sosfilt(signal.butter(2, (hertz / 1.4, hertz * 1.4), "bandpass", fs=RATE, output="sos"), response)
  early, late = (band[round(a * RATE) : round(b * RATE)] for a, b in ((0.02, 0.06), (0.08, 0.12)))
  return level_db(early) - level_db(late)


def test_direct_sound_comes_first_and_the_tail_falls_faster_at_high_frequencies():
  falls = []
  for rng in rngs(30):
    response = room.indoor_tail(RATE, rng)
    assert response[0] == 0 and np.linalg.norm(response) < 4
    falls.append([fall_db(response, hertz) for hertz in (200, 6000)])
  low, high = np.mean(falls, axis=0)
  assert 2 < low < high - 2


def test_outdoors_is_drier():
  def tail(material):
    return np.median([np.linalg.norm(room.draw_room(material, RATE, rng)[RATE // 50 :]) for rng in rngs(40)])

  assert tail("grass") < 0.3 * tail("glass")


def test_microphones_differ_and_are_stable():
  answers = []
  for rng in rngs(30):
    sections = room.draw_microphone(RATE, rng)
    assert all(np.abs(np.roots(s[3:])).max() < 1 for s in sections)
    _, answer = signal.sosfreqz(sections, [100, 1000, 8000], fs=RATE)
    answers.append(20 * np.log10(np.abs(answer)))
  spread = np.std(answers, axis=0)
  assert min(spread[0], spread[2]) > 1 and max(spread) < 12
  assert np.abs(np.median(answers, axis=0)[1]) < 4


def test_tilt_and_peak_have_their_gains():
  _, tilt = signal.sosfreqz(room._tilt(6, 1000, RATE), [1, 1000, 22049], fs=RATE)
  np.testing.assert_allclose(20 * np.log10(np.abs(tilt)), [-3, 0, 3], atol=0.05)
  for db in (-7, 7):
    _, peak = signal.sosfreqz(room._peak(db, 1000, 2, RATE), [10, 1000, 20000], fs=RATE)
    np.testing.assert_allclose(20 * np.log10(np.abs(peak)), [0, db, 0], atol=0.1)


def test_background_level_varies_and_has_nothing_like_a_stroke():
  levels = []
  for rng in rngs(40):
    noise = draw_background(RATE, 3 * RATE, rng)
    levels.append(level_db(noise))
    rough = signal.sosfilt(signal.butter(2, 300, "highpass", fs=RATE, output="sos"), noise)[RATE // 10 :]
    frames = rough[: len(rough) // 2205 * 2205].reshape(-1, 2205)
    assert np.diff([level_db(f) for f in frames]).max() < 6
  assert min(levels) < -65 and -50 < max(levels) <= -37.9
