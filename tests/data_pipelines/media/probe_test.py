import errno
import pathlib
from fractions import Fraction

import av
import numpy as np
import pytest

from data_pipelines import media
from data_pipelines.errors import InputError
from tests.data_pipelines.media import making


@pytest.mark.parametrize("fps", [10, 24, Fraction(30000, 1001), 60])
def test_duration_rate_and_size(tmp_path, fps):
  info = media.probe(making.write(tmp_path / "a.mp4", making.constant(fps, 31), size=(48, 64)))
  assert (info.width, info.height, info.has_video, info.has_audio) == (64, 48, True, False)
  assert info.fps == pytest.approx(float(fps), abs=0.01)
  assert info.duration_s == pytest.approx(float(31 / Fraction(fps)), abs=0.001)


def test_late_start_does_not_count(tmp_path):
  early = making.write(tmp_path / "early.mp4", making.constant(30, 30))
  late = making.write(tmp_path / "late.mkv", [t + 2 for t in making.constant(30, 30)], ticks=1000)
  assert media.probe(late).duration_s == pytest.approx(media.probe(early).duration_s, abs=0.002)


def test_duration_is_of_the_video_not_of_its_longer_sound(tmp_path):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 30), sound=np.zeros((1, 4 * 48000)))
  info = media.probe(path)
  assert info.has_audio
  assert info.duration_s == pytest.approx(1, abs=0.01)


def test_size_is_as_shown(tmp_path):
  info = media.probe(making.write(tmp_path / "a.mp4", making.constant(30, 5), size=(48, 64), rotation=90))
  assert (info.width, info.height) == (48, 64)


def test_part_cut_by_an_edit_list_does_not_count(tmp_path):
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 60))
  assert media.probe(making.trim(whole, tmp_path / "a.mp4", Fraction(1, 2))).duration_s == pytest.approx(1.5, abs=0.01)


def _whole(tmp_path, suffix):
  sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * 48000))
  return making.write(tmp_path / f"whole{suffix}", making.constant(30, 90), ticks=1000, sound=sound)


@pytest.mark.parametrize("part", [0.001, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["index last", "index first", ".mkv", ".mov"])
def test_truncated_file(tmp_path, kind, part):
  whole = _whole(tmp_path, kind if kind.startswith(".") else ".mp4")
  if kind == "index first":
    media.mux(whole, media.decode_audio(whole, 22050), 22050, whole)
  data = whole.read_bytes()
  cut = tmp_path / f"cut{whole.suffix}"
  cut.write_bytes(data[: int(part * len(data))])
  for read in (media.probe, lambda p: media.decode_frames(p, 15, 16), lambda p: media.decode_audio(p, 22050)):
    with pytest.raises(InputError, match=r"cut\.m.*(download|path)") as error:
      read(cut)
    assert "\n" not in str(error.value)


def test_mdat_cut_behind_an_index_that_still_promises_all(tmp_path):
  path = _whole(tmp_path, ".mp4")
  media.mux(path, media.decode_audio(path, 22050), 22050, path)
  path.write_bytes(path.read_bytes()[:-6000])
  with pytest.raises(InputError, match="truncated"):
    media.decode_frames(path, 15, 16, start_s=0.0, duration_s=3.0)
  with pytest.raises(InputError, match="truncated"):
    media.decode_audio(path, 22050, start_s=0.0, duration_s=3.0)


@pytest.mark.parametrize("content", [b"", b"hello\n" * 200, bytes(4096), b"#EXTM3U\n#EXTINF:1,\na.mp4\n"])
@pytest.mark.parametrize("name", ["a.mp4", "a.txt"])
def test_not_media(tmp_path, name, content, capfd):
  path = tmp_path / name
  path.write_bytes(content)
  with pytest.raises(InputError, match=rf"{name}: .*; ") as error:
    media.probe(path)
  assert "\n" not in str(error.value)
  assert capfd.readouterr().err == ""


def test_missing_file_and_directory(tmp_path):
  with pytest.raises(InputError, match=r"none\.mp4: no such file"):
    media.probe(tmp_path / "none.mp4")
  with pytest.raises(InputError, match="not a file"):
    media.probe(tmp_path)


def test_sound_without_pictures(tmp_path):
  path = making.write_sound(tmp_path / "a.mp4", np.zeros((1, 48000)))
  info = media.probe(path)
  assert (info.has_video, info.has_audio, info.width, info.fps) == (False, True, 0, 0)
  assert info.duration_s == pytest.approx(1, abs=0.001)
  with pytest.raises(InputError, match=r"a\.mp4: has no video"):
    media.decode_frames(path, 15, 16, duration_s=1)


@pytest.mark.parametrize("name", ["a" * 300, "folder/a.mp4"])
def test_what_cannot_be_looked_at_is_one_line(tmp_path, monkeypatch, name):
  if "/" in name:

    def forbidden(self):
      raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "exists", forbidden)  # Root may look into every folder.
  with pytest.raises(InputError, match=r"cannot be read \((File name too long|Permission denied)\); check"):
    media.probe(tmp_path / name)


@pytest.mark.parametrize("cut_s", [None, 2])
def test_a_track_of_sound_that_is_empty_or_hidden_is_no_truncation(tmp_path, cut_s):
  sound = np.zeros((1, 24000)) if cut_s else None
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 120), options={"g": "15", "bf": "0"}, sound=sound)
  options = {} if cut_s else {"movflags": "frag_keyframe+empty_moov"}
  with av.open(str(whole)) as source, av.open(str(tmp_path / "a.mp4"), "w", options=options) as out:
    copies = [out.add_stream_from_template(stream) for stream in source.streams]
    if not cut_s:
      out.add_stream("aac", rate=48000, layout="mono")
      out.start_encoding()
    for packet in [packet for packet in source.demux() if packet.size]:
      shift = round((cut_s or 0) / packet.time_base)
      packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copies[packet.stream_index]
      out.mux(packet)
  info = media.probe(tmp_path / "a.mp4")
  assert info.duration_s == pytest.approx(4 - (cut_s or 0), abs=0.1)
  assert cut_s or not info.has_audio


def test_name_with_a_colon_and_dash(tmp_path):
  path = making.write(tmp_path / "a.mp4", making.constant(30, 3))
  assert media.probe(path.rename(tmp_path / "-take:1.mp4")).has_video


def test_real_clips():
  for path in making.real_clips():
    info = media.probe(path)
    assert info.has_video
    assert info.has_audio
    assert info.duration_s > 5
