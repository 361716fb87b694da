import pathlib
import resource
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from data_pipelines import media
from data_pipelines.errors import InputError
from tests.data_pipelines.media import making


def _noise(samples: int, click: int | None = None) -> np.ndarray:
  sound = np.random.default_rng(0).uniform(-0.2, 0.2, samples).astype(np.float32)
  if click is not None:
    sound[click] = 1.0
  return sound


def _stock_decoded(path) -> np.ndarray:
  """Everything that FFmpeg's own decoder hands out, nothing trimmed by us."""
  with av.open(str(path)) as result:
    return np.concatenate([frame.to_ndarray()[0] for frame in result.decode(audio=0)])


@pytest.fixture(scope="module")
def video(tmp_path_factory):
  return making.write(tmp_path_factory.mktemp("video") / "a.mp4", making.constant(30, 60))


@pytest.mark.parametrize("samples", [1024, 1025, 2047, 2048, 5000, 44100, 44101, 45056, 66149])
@pytest.mark.parametrize("rate", [22050, 44100])
def test_any_length_decodes_to_the_sample(video, tmp_path, samples, rate):
  out = tmp_path / "out.mp4"
  media.mux(video, _noise(samples, samples // 2), rate, out)
  decoded = _stock_decoded(out)
  assert decoded.shape == (samples,)
  assert np.abs(decoded).argmax() == samples // 2
  assert media.decode_audio(out, rate, duration_s=samples / rate).shape == (samples,)


_KINDS = {
  "mp4": (".mp4", "libx264", 30000, {"bf": "3"}),
  "mov": (".mov", "libx264", 30000, {"bf": "0"}),
  "mkv": (".mkv", "libx264", 1000, {"bf": "3"}),
  "mkv hevc": (".mkv", "libx265", 1000, {"x265-params": "log-level=none"}),
  "mkv two pictures": (".mkv", "libx264", 1000, {"bf": "3"}),
  "webm": (".webm", "libvpx-vp9", 1000, {}),
}


@pytest.mark.parametrize("late_s", [0, 2])
@pytest.mark.parametrize("kind", _KINDS)
def test_pictures_are_copied_and_in_step(tmp_path, kind, late_s):
  suffix, codec, ticks, options = _KINDS[kind]
  times_s = [t + late_s for t in making.constant(24, 2 if "two" in kind else 40)]
  video = making.write(tmp_path / f"a{suffix}", times_s, codec=codec, ticks=ticks, options=options)
  out = tmp_path / "out.mp4"
  media.mux(video, _noise(33075, 11025), 22050, out)
  before, after = making.video_packets(video), making.video_packets(out)
  assert before == after
  with av.open(str(out)) as result:
    assert result.streams.video[0].start_time == 0
    assert result.streams.audio[0].start_time == 0
    assert result.streams.video[0].codec_context.codec_tag != "hev1"
  assert np.abs(media.decode_audio(out, 22050, duration_s=1.5)).argmax() == 11025
  frames = media.decode_frames(out, 24, 16, duration_s=1.0)
  np.testing.assert_array_equal(making.indices(frames), np.minimum(np.arange(24), len(times_s) - 1))


def test_rotation_and_edit_list_survive(tmp_path):
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 60), rotation=90)
  video = making.trim(whole, tmp_path / "a.mp4", making.constant(30, 16)[-1])
  out = tmp_path / "out.mp4"
  media.mux(video, _noise(33075), 22050, out)
  np.testing.assert_array_equal(media.decode_frames(out, 30, 16), media.decode_frames(video, 30, 16))


@pytest.mark.parametrize(("group", "b_frames", "more"), [(15, 0, 0), (250, 0, 0), (15, 3, 0), (250, 3, 1)])
def test_what_the_end_of_an_edit_list_hides_stays_hidden(tmp_path, group, b_frames, more):
  """But for one picture at the end that those before it are made of."""
  options = {"preset": "ultrafast", "g": str(group), "bf": str(b_frames), "b-adapt": "0"}
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 90), options=options)
  video, out = making.edit(whole, tmp_path / "a.mp4", [(0.5, 1.5)]), tmp_path / "out.mp4"
  media.mux(video, _noise(33075), 22050, out)
  shown = making.indices(media.decode_frames(out, 30, 16))
  np.testing.assert_array_equal(shown, np.arange(15, 60 + more))
  np.testing.assert_array_equal(making.indices(media.decode_frames(video, 30, 16)), shown[:45])


@pytest.mark.parametrize("edits", [[(0, 1), (2, 1)], [(0, 1), (2.2, 0.5)], [(1, 1), (0, 1)]])
def test_cuts_that_cannot_be_copied_are_told_early(tmp_path, edits):
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 90), options={"g": "15", "bf": "0"})
  video = making.edit(whole, tmp_path / "a.mp4", edits)
  for use in (media.require_copyable, lambda path: media.mux(path, _noise(44100), 22050, tmp_path / "out.mp4")):
    with pytest.raises(InputError, match=r"a\.mp4: has cuts or time stamps that cannot be copied; export it anew"):
      use(video)
  assert not (tmp_path / "out.mp4").exists()


def test_a_file_that_tells_no_durations(tmp_path):
  times_s = [Fraction(int(ms), 1000) for ms in np.cumsum(np.random.default_rng(0).integers(8, 140, 40))]
  video = making.write(tmp_path / "a.mkv", times_s, options={"bf": "3", "b-adapt": "0"}, ticks=1000)
  data = video.read_bytes()
  at = data.index(bytes.fromhex("23e383"))  # Its default duration, which becomes an empty element.
  length = data[at + 3] & 0x7F
  video.write_bytes(data[:at] + bytes([0xEC, 0x80 | (length + 2)]) + bytes(length + 2) + data[at + 4 + length :])
  media.mux(video, _noise(33075), 22050, tmp_path / "out.mp4")
  assert making.video_packets(tmp_path / "out.mp4") == making.video_packets(video)
  with av.open(str(tmp_path / "out.mp4")) as result:
    stamps = [packet.dts for packet in result.demux(video=0) if packet.size]
  assert stamps == sorted(set(stamps))


def test_a_folder_with_a_colon(video, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  out = pathlib.Path("take:1")
  out.mkdir()
  media.mux(video, _noise(44100), 22050, out / "01.mp4")
  media.write_wav(out / "01.wav", _noise(44100), 22050)
  assert sorted(path.name for path in out.iterdir()) == ["01.mp4", "01.wav"]


def test_sound_quality(video, tmp_path):
  time_s = np.arange(44100) / 22050
  tone = (0.5 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
  media.mux(video, tone, 22050, tmp_path / "out.mp4")
  error = media.decode_audio(tmp_path / "out.mp4", 22050, duration_s=2.0) - tone
  assert 10 * np.log10(np.mean(tone**2) / np.mean(error**2)) > 30


def test_same_input_same_bytes_and_tags(video, tmp_path):
  tags = {"title": "take 1", "comment": "seed 7"}
  for name in ("a.mp4", "b.mp4"):
    media.mux(video, _noise(44100), 22050, tmp_path / name, metadata=tags)
  assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
  with av.open(str(tmp_path / "a.mp4")) as result:
    assert tags.items() <= result.metadata.items()


def test_over_its_own_source(tmp_path):
  video = making.write(tmp_path / "a.mp4", making.constant(30, 60))
  before = making.video_packets(video)
  media.mux(video, _noise(44100), 22050, video)
  assert making.video_packets(video) == before
  assert media.probe(video).has_audio


def test_codec_that_mp4_cannot_hold(tmp_path):
  video = making.write(tmp_path / "a.webm", making.constant(30, 10), codec="libvpx", ticks=1000)
  with pytest.raises(InputError, match=r"a\.webm: mp4 cannot hold vp8 video; convert"):
    media.mux(video, _noise(4410), 22050, tmp_path / "out.mp4")
  assert [p.name for p in tmp_path.iterdir()] == ["a.webm"]


def test_failure_leaves_the_old_file(video, tmp_path):
  out = tmp_path / "out.mp4"
  out.write_bytes(b"old")
  broken = tmp_path / "broken.mp4"
  broken.write_bytes(video.read_bytes()[:-200])
  with pytest.raises(InputError, match=r"broken\.mp4"):
    media.mux(broken, _noise(4410), 22050, out)
  assert out.read_bytes() == b"old"
  assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.mp4", "out.mp4"]


def test_no_folder_to_write_to(video, tmp_path):
  with pytest.raises(InputError, match="none: no such folder"):
    media.mux(video, _noise(4410), 22050, tmp_path / "none" / "out.mp4")
  with pytest.raises(InputError, match="none: no such folder"):
    media.write_wav(tmp_path / "none" / "out.wav", _noise(10), 22050)


@pytest.mark.parametrize("audio", [np.zeros((2, 4410)), np.zeros(1000), np.full(4410, np.nan)])
def test_unusable_sound(video, tmp_path, audio):
  with pytest.raises(ValueError, match="finite"):
    media.mux(video, audio, 22050, tmp_path / "out.mp4")


def test_real_clips(tmp_path):
  for path in making.real_clips():
    samples = round(media.probe(path).duration_s * 22050)
    media.mux(path, _noise(samples), 22050, tmp_path / "out.mp4")
    assert making.video_packets(tmp_path / "out.mp4") == making.video_packets(path)
    assert _stock_decoded(tmp_path / "out.mp4").shape == (samples,)
    assert media.decode_audio(tmp_path / "out.mp4", 22050).shape == (samples,)


def test_wav_is_24_bit(tmp_path):
  sound = _noise(1000)
  media.write_wav(tmp_path / "a.wav", sound, 22050)
  assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_24"
  read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
  assert rate == 22050
  np.testing.assert_allclose(read, sound, atol=2**-22)
  assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_wav_leaves_room_for_a_length_above_4_gib(tmp_path):
  media.write_wav(tmp_path / "a.wav", _noise(1000), 22050)
  head = (tmp_path / "a.wav").read_bytes()[:48]
  assert (head[:4], head[12:16], int.from_bytes(head[16:20], "little")) == (b"RIFF", b"JUNK", 28)


@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
def test_what_there_is_no_room_for_says_so(video, tmp_path, name):
  write = {"a.wav": media.write_wav, "a.mp4": lambda *args: media.mux(video, *args[1:], args[0])}[name]
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
  try:
    with pytest.raises(OSError, match="File too large"):
      write(tmp_path / name, _noise(5000), 22050)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert list(tmp_path.iterdir()) == []
