"""Sound files, which are examples without pictures."""

import numpy as np
import pytest
import soundfile

from data_pipelines import media
from data_pipelines.errors import InputError
from tests.data_pipelines.media import making

RATE = 48000
KINDS = ("wav", "flac", "mp3", "m4a", "aiff", "aac", "opus")


def _sound() -> np.ndarray:
  time_s = np.arange(RATE) / RATE
  sound = 0.5 * np.sin(2 * np.pi * 440 * time_s)
  sound[: RATE // 2] = 0
  return sound.astype(np.float32)


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
  codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "aiff": "pcm_s16be", "opus": "libopus"}
  return making.write_sound(tmp_path / f"a.{request.param}", _sound()[None], codec=codec.get(request.param, "aac"))


def test_every_kind_is_heard_in_step(path):
  found = media.probe(path, sound_alone=True)
  assert (found.has_video, found.has_audio) == (False, True)
  assert found.duration_s == pytest.approx(1, abs=0.06)
  heard = media.decode_audio(path, 22050)
  assert np.sqrt(np.mean(heard[13230:19845] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
  first = np.flatnonzero(np.abs(heard) > 0.2)[0] / 22050
  # What the encoder's delay is, no header of raw aac says.
  assert first == pytest.approx(0.5, abs=0.06 if path.suffix == ".aac" else 0.01)


def test_no_sound_file_is_a_video(path):
  with pytest.raises(InputError, match=r"not an mp4, mov, mkv or webm video|no video stream"):
    media.decode_frames(path, 15, 16)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_cut_one_is_told(kind, tmp_path):
  whole = tmp_path / f"a.{kind}"
  soundfile.write(whole, np.random.default_rng(0).uniform(-1, 1, 2 * RATE), RATE)
  whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
  with pytest.raises(InputError, match="truncated"):
    media.probe(whole, sound_alone=True)
