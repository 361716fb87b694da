import dataclasses
import hashlib

import numpy as np
import pytest

from condfoley_jax.clip import MINI, PAPER
from data_pipelines import media, records
from data_pipelines.builders import segments
from data_pipelines.builders.events import Event
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees
from tests.data_pipelines.media import making


def decoded(made):
  return making.indices(records.decode_frames([planes for s in made for planes in s.frames[: s.valid_frames]]))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  return trees.video(tmp_path_factory.mktemp("clip") / "a.mp4", 2.4)


def test_segments_of_a_video(clip):
  events = (Event(2.3, "wood", "hit"), Event(0.5, "metal", "scratch", "deform"), Event(9.0, "wood", "hit"))
  made = list(segments.segments_of(Source("id", clip, events=events), MINI))
  assert [(s.segment, s.valid_frames, s.video_frames) for s in made] == [(0, 15, 36), (1, 15, 36), (2, 6, 36)]
  assert {(s.video, s.source, s.fps, s.sample_rate) for s in made} == {("id", "a.mp4", 15, 22050)}
  assert [s.events for s in made] == [events[1:2], (), events[:1]]
  assert {s.source_sha256 for s in made} == {hashlib.sha256(clip.read_bytes()).hexdigest()}
  assert decoded(made).tolist() == list(range(36))
  assert all(len(s.frames) == 15 and s.audio.shape == (22050,) and s.audio.dtype == np.int16 for s in made)
  assert set(made[2].frames[5:]) == {made[2].frames[5]} and not made[2].audio[6 * 1470 :].any()
  assert made[0].audio.std() / 32768 == pytest.approx(0.25 / np.sqrt(2), rel=0.05)
  assert [records.decode(records.encode(s)).events for s in made] == [s.events for s in made]


def test_of_a_long_video_a_second_is_held(clip, monkeypatch):
  source, held = Source("id", clip), []
  made = list(segments.segments_of(source, MINI))

  class Watched(media.FrameReader):
    def read(self, first, count):
      frames = super().read(first, count)
      held.append(len(self._held))
      return frames

  monkeypatch.setattr(media, "FrameReader", Watched)
  monkeypatch.setattr(segments, "_IN_MEMORY", 1000)
  again = list(segments.segments_of(source, MINI))
  assert [records.encode(s) for s in again] == [records.encode(s) for s in made]
  assert held == [15, 16, 7], "a second, and the picture before it"


def test_a_video_with_a_damaged_end_gives_no_segment(clip, monkeypatch):
  class Damaged(media.FrameReader):
    def read(self, first, count):
      if first >= 30:
        raise InputError("damaged")
      return super().read(first, count)

  monkeypatch.setattr(media, "FrameReader", Damaged)
  with pytest.raises(InputError, match="damaged"):
    next(segments.segments_of(Source("id", clip), MINI))


def test_filter_and_size_are_those_of_the_spec(clip):
  shapes = []
  for spec in (MINI, dataclasses.replace(MINI, frame_filter="bicubic"), PAPER):
    frame = records.decode_frames(next(segments.segments_of(Source("id", clip), spec)).frames)[9]
    shapes.append(frame)
  assert shapes[2].shape == (128, 128, 3)
  assert shapes[0].shape == shapes[1].shape == (64, 64, 3) and (shapes[0] != shapes[1]).any()


def test_separate_sound_takes_the_place_of_the_videos_own(clip, tmp_path):
  audio = trees.wav(tmp_path / "a.wav", 2.0)
  made = list(segments.segments_of(Source("id", clip, audio=audio), MINI))
  sound = records.from_pcm(np.concatenate([s.audio for s in made]))
  assert sound[1000:43000] == pytest.approx(0.125, abs=2e-3)
  assert not sound[44100:].any()
  assert made[0].source_sha256 == hashlib.sha256(clip.read_bytes() + audio.read_bytes()).hexdigest()
  silent = trees.video(tmp_path / "silent.mp4", silent=True)
  assert len(list(segments.segments_of(Source("id", silent, audio=audio), MINI))) == 3


def test_denoise_is_done_where_it_is_asked_for(clip, monkeypatch):
  seen = []
  monkeypatch.setattr(segments, "denoise", lambda audio, rate: seen.append((audio.shape, rate)) or audio * 0)
  assert any(s.audio.any() for s in segments.segments_of(Source("id", clip), MINI))
  assert not seen
  assert not any(s.audio.any() for s in segments.segments_of(Source("id", clip, denoise=True), MINI))
  assert seen == [((36 * 1470,), 22050)]


def test_pictures_of_a_folder_are_a_video_too(tmp_path):
  folder = trees.pictures(tmp_path / "v" / "frames", 31)
  source = Source("v", folder, audio=trees.wav(tmp_path / "v" / "audio" / "v.wav", 3))
  made = list(segments.segments_of(source, MINI))
  assert decoded(made).tolist() == list(range(31))
  assert {s.source for s in made} == {"v/frames"} and len({s.source_sha256 for s in made}) == 1


def test_unusable_videos_say_so_in_one_line(tmp_path):
  short = trees.video(tmp_path / "short.mp4", 1.9)
  silent = trees.video(tmp_path / "silent.mp4", silent=True)
  (tmp_path / "text.mp4").write_text("x")
  for path, reason in ((short, "shorter than 2.0 s"), (silent, "no audio"), (tmp_path / "text.mp4", "damaged")):
    with pytest.raises(InputError, match=rf"{path.name}.*{reason}") as caught:
      next(segments.segments_of(Source("id", path), MINI))
    assert trees.one_line(caught)
  with pytest.raises(InputError, match="not UTF-8; rename it") as caught:
    next(segments.segments_of(Source("id", tmp_path / "\udcff.mp4"), MINI))
  str(caught.value).encode()
