"""Sound files, which are examples without pictures."""

import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import soxr

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


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_it_is_resampled_as_if_all_at_once(tmp_path, rate):
  whole = np.random.default_rng(0).uniform(-1, 1, 3 * RATE).astype(np.float32)
  soundfile.write(tmp_path / "a.wav", whole, RATE, subtype="FLOAT")
  heard = media.decode_audio(tmp_path / "a.wav", rate, start_s=0.5, duration_s=1.5)
  margin = round(0.1 * RATE)
  cut = whole[RATE // 2 - margin : 2 * RATE + margin + 1]
  expected = soxr.resample(cut, RATE, rate, quality="HQ")[round(0.1 * rate) :]
  np.testing.assert_array_equal(heard, expected[: len(heard)])


def _far(path, far_s):
  """0.1 s of sound at 0 s and at `far_s`."""
  with av.open(str(path), "w") as out:
    stream = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
    for at_s in (0, far_s):
      frame = av.AudioFrame.from_ndarray(np.full((1, RATE // 10), 9000, np.int16), format="s16", layout="mono")
      frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at_s * RATE
      out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
  return path


def test_only_what_is_given_is_all_in_memory(tmp_path):
  path = _far(tmp_path / "far.mkv", 3600)
  tracemalloc.start()
  try:
    heard = media.decode_audio(path, 1000)
    _, most = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert len(heard) == 3_600_100 and abs(heard[3_600_010:3_600_090]).min() > 0.2
  assert most < 2 * heard.nbytes  # An hour at the file's own rate is 48 times as much.


def test_more_than_memory_holds_is_one_line(tmp_path):
  with pytest.raises(InputError, match=r"far\.mkv: 3000000 s of sound need \d+ GiB of memory, .*; cut out a part"):
    media.decode_audio(_far(tmp_path / "far.mkv", 3_000_000), 22050)


def test_a_rate_that_changes_is_one_line(tmp_path):
  parts = []
  for rate in (44100, 22050):
    with av.open(str(tmp_path / f"{rate}.aac"), "w") as out:
      stream = out.add_stream("aac", rate=rate, layout="mono")
      frame = av.AudioFrame.from_ndarray(_sound()[None, :rate], format="fltp", layout="mono")
      frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
      for packet in (*stream.encode(frame), *stream.encode(None)):
        out.mux(packet)
    parts.append((tmp_path / f"{rate}.aac").read_bytes())
  (tmp_path / "a.aac").write_bytes(b"".join(parts))
  with pytest.raises(InputError, match=r"a\.aac: its sample rate changes from 44100 to 22050 Hz after 1\..*; convert"):
    media.decode_audio(tmp_path / "a.aac", 22050)


@pytest.mark.parametrize(("value", "subtype"), [(1e300, "DOUBLE"), (np.inf, "FLOAT")])
@pytest.mark.filterwarnings("error")
def test_what_is_no_number_is_silence_and_not_told(tmp_path, value, subtype):
  soundfile.write(tmp_path / "a.wav", np.stack([np.full(RATE, value), np.full(RATE, -value)], 1), RATE, subtype=subtype)
  assert np.abs(media.decode_audio(tmp_path / "a.wav", 22050)).max() == 0


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_cut_one_is_told(kind, tmp_path):
  whole = tmp_path / f"a.{kind}"
  soundfile.write(whole, np.random.default_rng(0).uniform(-1, 1, 2 * RATE), RATE)
  whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
  with pytest.raises(InputError, match="truncated"):
    media.probe(whole, sound_alone=True)
