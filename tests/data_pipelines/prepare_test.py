import hashlib
import json
import os
from fractions import Fraction

import numpy as np
import pytest

from data_pipelines import dataset, prepare, records, tfrecord
from data_pipelines.builders.drumstick import picture, render
from data_pipelines.errors import InputError
from tests.data_pipelines import ruler


def prepare_ruler(videos, out_dir, *, workers=1, progress=None):
  return prepare.prepare_videos(
    videos, out_dir, ruler.SPEC, name="ruler", split="val", workers=workers, progress=progress
  )


@pytest.fixture
def run(monkeypatch):
  """Prepares the files of `ruler.write_videos`."""
  ruler.stub_media(monkeypatch)
  return prepare_ruler


def digests(directory):
  return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir() if p.is_file()}


def test_describes_what_it_wrote(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [40, 61], [[], [3.9, 0.25, 9.0]])
  opened = run(videos, tmp_path / "out")
  assert (opened.name, opened.split, opened.skipped) == ("ruler", "val", [])
  assert [(v.id, v.source, v.frames, v.first_record, v.records) for v in opened.videos] == [
    ("video-0", "video-0.mp4", 40, 0, 3),
    ("video-1", "video-1.mp4", 61, 3, 5),
  ]
  assert opened.videos[1].seconds == pytest.approx(61 / 15)
  assert [e.time_s for e in opened.videos[1].events] == [0.25, 3.9]
  assert opened.videos[0].source_sha256 == hashlib.sha256(b"40").hexdigest()
  described = json.loads((tmp_path / "out" / "dataset.json").read_text())
  for shard in described["shards"]:
    content = (tmp_path / "out" / shard["file"]).read_bytes()
    assert shard["sha256"] == hashlib.sha256(content).hexdigest()
    assert shard["bytes"] == len(content)


def test_last_segment_is_padded_and_says_so(run, tmp_path):
  opened = run(ruler.write_videos(tmp_path, [40], [[2.2]]), tmp_path / "out")
  last = opened.read_segment(opened.videos[0], 2)
  assert (last.segment, last.valid_frames, last.video_frames) == (2, 10, 40)
  assert len(last.frames) == 15 and set(last.frames[9:]) == {last.frames[9]}
  assert last.audio.shape == (22050,)
  assert last.audio[10 * 1470 - 1] != 0 and not last.audio[10 * 1470 :].any()
  assert [e.time_s for e in last.events] == [2.2]
  assert opened.read_segment(opened.videos[0], 1).events == ()


def test_shards_roll_over_without_a_trace_in_the_content(run, tmp_path, monkeypatch):
  videos = ruler.write_videos(tmp_path, [40, 61, 70], [[], [1.0], []])
  whole = run(videos, tmp_path / "whole")
  monkeypatch.setattr(prepare, "SHARD_BYTES", 100_000)
  split = run(videos, tmp_path / "split")
  names = sorted(p.name for p in (tmp_path / "split").glob("*.tfrecord"))
  assert len(names) > 3
  assert names[0] == f"ruler-val-00000-of-{len(names):05d}.tfrecord"
  assert [len(tfrecord.Shard(tmp_path / "split" / n)) for n in names][:2] == [2, 2]
  for v, w in zip(whole.videos, split.videos, strict=True):
    assert v == w
    for k in range(v.records):
      assert records.encode(whole.read_segment(v, k)) == records.encode(split.read_segment(w, k))


def test_same_inputs_same_bytes(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [40, 61], [[], [1.0]])
  run(videos, tmp_path / "a")
  run(videos, tmp_path / "b")
  assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_unusable_videos_are_noted(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [29, 40, -40], [[], [], []])
  (tmp_path / "video-3.mp4").write_text("40")
  (tmp_path / "video-3_times.txt").write_text("gibberish\n")
  opened = run([*videos, tmp_path / "video-3.mp4"], tmp_path / "out")
  assert [v.id for v in opened.videos] == ["video-1"]
  assert [s["source"] for s in opened.skipped] == ["video-0.mp4", "video-2.mp4", "video-3.mp4"]
  assert "shorter than 2.0 s" in opened.skipped[0]["reason"]
  assert "no audio" in opened.skipped[1]["reason"]
  assert "line 1" in opened.skipped[2]["reason"]


def test_a_name_that_is_not_utf_8_is_noted(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [40, 40], [[], []])
  odd = videos[0].rename(tmp_path / os.fsdecode(b"bad\xff.mp4"))
  opened = run([odd, videos[1]], tmp_path / "out")
  assert [v.id for v in opened.videos] == ["video-1"]
  assert opened.skipped == [{"source": r"bad\udcff.mp4", "reason": "the name is not UTF-8; rename it"}]


def test_nothing_usable_is_an_error_and_leaves_nothing(run, tmp_path):
  with pytest.raises(InputError, match=r"video-0\.mp4.*shorter than"):
    run(ruler.write_videos(tmp_path, [29, 10], [[], []]), tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_no_videos_and_twins_are_refused(run, tmp_path):
  with pytest.raises(InputError, match="no videos"):
    run([], tmp_path / "out")
  with pytest.raises(InputError, match=r"b/x\.mov: has the same name as .*a/x\.mp4"):
    run([tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mov"], tmp_path / "out")


def test_replaces_an_older_dataset_and_nothing_else(run, tmp_path, monkeypatch):
  out = tmp_path / "out"
  monkeypatch.setattr(prepare, "SHARD_BYTES", 100_000)
  run(ruler.write_videos(tmp_path, [100], [[]]), out)
  (out / "mine.tfrecord").write_bytes(b"keep")
  (out / "dataset.json").write_text("damaged")
  opened = run(ruler.write_videos(tmp_path, [31], [[]]), out)
  assert opened.videos[0].frames == 31
  assert sorted(digests(out)) == sorted(
    ["dataset.json", "mine.tfrecord"]
    + [f"ruler-val-0000{i}-of-00002.tfrecord{suffix}" for i in range(2) for suffix in ("", ".idx")]
  )


def test_interrupted_run_keeps_the_older_dataset(run, tmp_path, monkeypatch):
  out = tmp_path / "out"
  videos = ruler.write_videos(tmp_path, [40, 50], [[], []])
  run(videos, out)
  before = digests(out)
  monkeypatch.setattr(records, "encode", lambda segment: (_ for _ in ()).throw(MemoryError()))
  with pytest.raises(MemoryError):
    run(videos, out)
  assert digests(out) == before
  assert [p for p in out.iterdir() if p.is_dir()] == []


def test_progress_counts_videos(run, tmp_path):
  seen = []
  run(ruler.write_videos(tmp_path, [40, 3, 50], [[], [], []]), tmp_path / "out", progress=lambda *at: seen.append(at))
  assert seen == [(1, 3), (2, 3), (3, 3)]


def test_result_opens(run, tmp_path):
  run(ruler.write_videos(tmp_path, [40], [[]]), tmp_path / "out")
  assert dataset.open_dataset(tmp_path / "out", ruler.SPEC).videos[0].id == "video-0"


def write_flash(path, seconds, at_s):
  """A dark, silent mp4 with a white picture and a click that begin at `at_s` and last 1/15 s."""
  rate, fps = ruler.SPEC.sample_rate, Fraction(30)
  times = np.arange(int(seconds * fps)) / float(fps)
  lit = (times >= at_s - 1e-6) & (times < at_s + 1 / 15 - 1e-6)
  frames = (np.full((picture.HEIGHT, picture.WIDTH, 3), 255 if on else 0, np.uint8) for on in lit)
  sound = np.zeros(round(seconds * rate), np.float32)
  first = round(at_s * rate)
  sound[first : first + rate // 15] = 0.5 * np.sin(np.arange(rate // 15))
  render.write_mp4(path, frames, fps, sound, rate)
  return path


def test_real_videos_are_aligned_and_workers_change_nothing(tmp_path):
  at_s = {"a": 1.0, "b": 1.8}
  videos = [write_flash(tmp_path / f"{name}.mp4", 2.4, t) for name, t in at_s.items()]
  one = prepare_ruler(videos, tmp_path / "one")
  prepare_ruler(videos, tmp_path / "two", workers=2)
  assert digests(tmp_path / "one") == digests(tmp_path / "two")
  for video in one.videos:
    flash = round(at_s[video.id] * 15)
    window = one.read_window(video, 3, 30)
    loudness = (window.audio.reshape(30, -1) ** 2).mean(1)
    brightness = window.frames.mean(axis=(1, 2, 3))
    assert loudness.argmax() == brightness.argmax() == flash - 3
    assert loudness[flash - 3] > 0.9 * loudness.sum()


def test_drumstick_is_prepared_with_its_events(tmp_path):
  seen = []
  opened = prepare.prepare_drumstick(
    tmp_path, split="test", seed=1, count=1, spec=ruler.SPEC, workers=1, progress=lambda *at: seen.append(at)
  )
  assert (opened.name, opened.split, len(opened.videos)) == ("drumstick", "test", 1)
  assert (tmp_path / "videos" / opened.videos[0].source).exists()
  assert len(opened.videos[0].events) > 1
  assert seen == [(1, 1), (1, 1)]
