import numpy as np
import pytest

from condfoley_jax.audio.compiled import librosa
from condfoley_jax.audio.onsets import detect_onsets, onset_strength
from data_pipelines import media
from tests import golden

RATE = 22050


def clicks(*times, seconds=2.0):
  audio = np.zeros(round(seconds * RATE), np.float32)
  for time in times:
    burst = np.random.default_rng(0).standard_normal(2205) * np.exp(-np.arange(2205) / 300)
    audio[round(time * RATE) :][:2205] += (0.3 * burst).astype(np.float32)
  return audio


def test_clicks_are_found_where_they_are():
  np.testing.assert_allclose(detect_onsets(clicks(0.5, 1.2), RATE), [0.5, 1.2], atol=0.05)


def test_silence_has_no_onsets():
  assert detect_onsets(np.zeros(RATE, np.float32), RATE).shape == (0,)


@pytest.mark.parametrize(("fps", "frames"), [(15, 30), (60, 120)])
def test_strength_peaks_in_the_frame_of_the_click(fps, frames):
  strength = onset_strength(clicks(1.2), RATE, fps)
  assert strength.shape == (frames,) and strength.dtype == np.float32
  assert abs(strength.argmax() - 1.2 * fps) <= 0.05 * fps


def test_strength_of_silence_is_zero():
  assert not onset_strength(np.zeros(RATE, np.float32), RATE, 15).any()


def test_less_than_a_window_is_taken_too():
  short = clicks(0.01, seconds=0.2)[:1000]
  assert onset_strength(short, RATE, 60).shape == (3,)
  assert (detect_onsets(short, RATE) < 0.05).all()


@pytest.mark.parametrize("samples", [700, 2048, 512 * 2048, 512 * 4100 + 77])
def test_long_sounds_are_heard_as_by_librosa(samples):
  audio = np.random.default_rng(0).standard_normal(samples) * np.abs(np.sin(np.arange(samples) / 5000)) ** 8
  audio = (0.2 * audio).astype(np.float32)
  heard = np.pad(audio, (0, max(2048 - samples, 0)))
  expected = librosa().onset.onset_detect(y=heard, sr=RATE, hop_length=512, units="samples", delta=0.3)
  np.testing.assert_array_equal(detect_onsets(audio, RATE), expected[expected < samples] / RATE)


@pytest.mark.golden
@pytest.mark.parametrize("clip", ["hitting_metal", "chopping"])
def test_onsets_equal_the_published_ones(clip):
  vectors = golden.load("onsets.npz")
  audio = vectors[f"{clip}_wav_int16_first2s"] / np.float32(32768)
  expected = vectors[f"{clip}_first2s_onset_samples"] / RATE
  np.testing.assert_array_equal(detect_onsets(audio, RATE), expected)


@pytest.mark.golden
@pytest.mark.parametrize("clip", ["hitting_metal", "chopping"])
def test_onsets_of_whole_clips_equal_the_published_ones(clip, clips):
  expected = golden.load("onsets.npz")[f"{clip}_full_onset_samples"] / RATE
  found = detect_onsets(media.decode_audio(clips[clip], RATE), RATE)
  # Their samples came through another resampler and 16 bits.
  np.testing.assert_allclose(found, expected, atol=512 / RATE + 1e-6)


@pytest.mark.golden
def test_onset_strength_is_the_published_one_between_its_points():
  vectors = golden.load("onsets.npz")
  audio = vectors["chopping_wav_int16_first2s"] / np.float32(32768)
  strength = onset_strength(audio, RATE, RATE / 512)
  envelope = vectors["chopping_first2s_strength"]
  largest = [envelope[i : i + 2].max() for i in range(len(strength))]
  assert (strength <= np.array(largest) * 1.0001).all() and strength.max() > 0.9 * envelope.max()
