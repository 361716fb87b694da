"""Media in a page: whole, in parts or linked, never changed."""

import base64
import io
import json
import re
import urllib.parse

import numpy as np
import pytest
import soundfile

from condfoley_jax.evaluation import embed


def whole(attributes: str) -> bytes:
  return base64.b64decode(re.search(r'src="data:[^,]*,([^"#]*)', attributes)[1])


def test_a_small_file_is_whole(result, tmp_path):
  path = result.takes[0].clip.video
  attributes = embed.Media(tmp_path).video(path, start_s=0.5)
  assert whole(attributes) == path.read_bytes()
  assert "data:video/mp4;" in attributes and attributes.endswith('#t=0.5"')


def test_takes_share_the_packets_of_their_video(result, tmp_path, monkeypatch):
  monkeypatch.setattr(embed, "SHARED_BYTES", 1000)
  media = embed.Media(tmp_path)
  first, *others = [take.clip.video for take in result.takes]
  kept = whole(media.video(first))
  for path in others:
    attributes = media.video(path)
    parts = json.loads(re.search(r"data-parts='([^']*)'", attributes)[1])
    pieces = [base64.b64decode(p) if isinstance(p, str) else kept[p[1] : p[1] + p[2]] for p in parts]
    assert b"".join(pieces) == path.read_bytes()
    assert len(attributes) < len(kept) / 2


def test_beyond_the_limits_media_are_linked(result, tmp_path, monkeypatch):
  path = result.query.video
  monkeypatch.setattr(embed, "PAGE_BYTES", path.stat().st_size + 10)
  media = embed.Media(tmp_path)
  assert "base64" in media.video(path)
  address = re.fullmatch(r'src="([^"]*)"', media.video(path))[1]
  assert (tmp_path / urllib.parse.unquote(address)).samefile(path)
  monkeypatch.setattr(embed, "FILE_BYTES", 10)
  assert "base64" not in embed.Media(tmp_path).video(path)


def test_a_colon_in_a_name_is_no_scheme(tmp_path):
  assert embed.Media(tmp_path).link(tmp_path / "javascript:alert(1)").startswith("./javascript%3A")


def test_sound_is_kept_to_16_bits(tmp_path):
  audio = np.linspace(-1, 0.999, 100, dtype=np.float32)
  data = whole(embed.Media(tmp_path).sound(audio, 22050))
  np.testing.assert_allclose(np.frombuffer(data[-200:], "<i2") / 32768, audio, atol=1e-4)


def test_small_sound_is_the_sound_in_little_space():
  seconds = np.arange(22050) / 22050
  audio = (0.3 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
  mime, _, text = embed.small_sound(audio, 22050).partition(";base64,")
  data = base64.b64decode(text)
  back, rate = soundfile.read(io.BytesIO(data), dtype="float32")
  assert (mime, rate) == ("data:audio/mpeg", 22050) and len(data) < 2 * len(audio) / 3
  middle = slice(2000, 20000)
  assert np.std(back[middle]) == pytest.approx(np.std(audio[middle]), rel=0.02)
  assert np.abs(np.fft.rfft(back[:22050])).argmax() == 440


def test_a_missing_file_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError):
    embed.Media(tmp_path).video(tmp_path / "none.mp4")
