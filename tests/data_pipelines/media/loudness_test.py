import numpy as np
import pytest

from data_pipelines import media

RATE = 22050


def _tone(seconds: float, peak: float, hz: float = 997.0) -> np.ndarray:
  return (peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.mark.parametrize("peak", [1.0, 0.5, 0.01])
def test_a_tone_of_997_hz_has_the_standards_loudness(peak):
  """ITU-R BS.1770-4: full scale on one channel is -3.01 LKFS."""
  found = media.measure_loudness(_tone(5, peak), RATE)
  assert found.integrated_lufs == pytest.approx(-3.01 + 20 * np.log10(peak), abs=0.1)
  assert found.true_peak == pytest.approx(peak, abs=0.01)


def test_silence_between_does_not_count():
  sound = np.concatenate([_tone(3, 0.5), np.zeros(10 * RATE, np.float32)])
  assert media.measure_loudness(sound, RATE).integrated_lufs == pytest.approx(-9.03, abs=0.4)


@pytest.mark.parametrize("sound", [np.zeros(RATE, np.float32), np.zeros(1, np.float32), _tone(0.3, 0.5)])
def test_silent_or_too_short_to_have_a_loudness(sound):
  assert media.measure_loudness(sound, RATE).integrated_lufs is None


def test_peaks_between_samples_count():
  time = np.arange(RATE)
  sound = (0.5 * np.sin(2 * np.pi * time / 4 + np.pi / 4) * np.hanning(RATE)).astype(np.float32)
  assert np.abs(sound).max() < 0.36
  assert media.measure_loudness(sound, RATE).true_peak == pytest.approx(0.5, abs=0.01)


def test_a_peak_at_the_very_end_counts():
  sound = np.zeros(RATE + 7, np.float32)
  sound[-4:] = 0.8
  assert media.measure_loudness(sound, RATE).true_peak >= 0.79
