import functools
import hashlib
import json
import os
import pwd
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from condfoley_jax.clip import MINI
from data_pipelines import dataset, lock, prepare, records, tfrecord, verify
from data_pipelines.builders.drumstick import builder, picture, render
from data_pipelines.builders.segments import segments_of
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError
from tests.data_pipelines import ruler
from tests.data_pipelines.builders import trees
from tests.data_pipelines.media import making

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch):
  """Prepares the files of `ruler.write_videos`."""
  ruler.stub_media(monkeypatch)
  return ruler.prepare_videos


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
  last = opened.read_segments(opened.videos[0], 2, 1)[0]
  assert (last.segment, last.valid_frames, last.video_frames) == (2, 10, 40)
  assert len(last.frames) == 15 and set(last.frames[9:]) == {last.frames[9]}
  assert last.audio.shape == (22050,)
  assert last.audio[10 * 1470 - 1] != 0 and not last.audio[10 * 1470 :].any()
  assert [e.time_s for e in last.events] == [2.2]
  assert opened.read_segments(opened.videos[0], 1, 1)[0].events == ()


def test_shards_hold_whole_videos_and_leave_no_trace_in_the_content(run, tmp_path, monkeypatch):
  videos = ruler.write_videos(tmp_path, [40, 61, 10, 70], [[], [1.0], [], []])
  whole = run(videos, tmp_path / "whole")
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
  split = run(videos, tmp_path / "split")
  names = sorted(p.name for p in (tmp_path / "split").glob("*.tfrecord"))
  assert names == [f"ruler-val-0000{i}-of-00003.tfrecord" for i in range(3)], "a shard without records is not kept"
  assert [len(tfrecord.Shard(tmp_path / "split" / n)) for n in names] == [3, 5, 5]
  assert whole.videos == split.videos and whole.skipped == split.skipped
  for v, w in zip(whole.videos, split.videos, strict=True):
    segments = zip(whole.read_segments(v, 0, v.records), split.read_segments(w, 0, w.records), strict=True)
    assert all(records.encode(a) == records.encode(b) for a, b in segments)


def test_same_inputs_same_bytes(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [40, 61], [[], [1.0]])
  run(videos, tmp_path / "a")
  run(videos, tmp_path / "b")
  assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_unusable_videos_are_noted(run, tmp_path):
  opened = run(ruler.write_videos(tmp_path, [29, 40, -40], [[], [], []]), tmp_path / "out")
  assert [v.id for v in opened.videos] == ["video-1"]
  assert [s["source"] for s in opened.skipped] == ["video-0.mp4", "video-2.mp4"]
  assert "shorter than 2.0 s" in opened.skipped[0]["reason"]
  assert "no audio" in opened.skipped[1]["reason"]


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
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
  run(ruler.write_videos(tmp_path, [100, 50, 40], [[], [], []]), out)
  (out / "mine.tfrecord").write_bytes(b"keep")
  (out / "dataset.json").write_text("damaged")
  opened = run(ruler.write_videos(tmp_path, [31, 32], [[], []]), out)
  assert opened.videos[0].frames == 31
  assert sorted(digests(out)) == sorted(
    ["dataset.json", "mine.tfrecord"]
    + [f"ruler-val-0000{i}-of-00002.tfrecord{suffix}" for i in range(2) for suffix in ("", ".idx")]
  )


def test_a_stopped_run_keeps_the_older_dataset_and_goes_on_where_it_was(run, tmp_path, monkeypatch):
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
  videos = ruler.write_videos(tmp_path, [40, 50, 60], [[], [], []])
  whole = run(videos, tmp_path / "whole")
  out, converted = tmp_path / "out", []
  run(videos[:1], out)
  before = digests(out)

  def segments(source, spec):
    if source.id == "video-2" and len(converted) < 3:
      converted.append("stopped")
      raise MemoryError
    converted.append(source.id)
    return segments_of(source, spec)

  monkeypatch.setattr(prepare, "segments_of", segments)
  with pytest.raises(MemoryError):
    run(videos, out)
  assert digests(out) == before
  assert run(videos, out).videos == whole.videos
  assert converted == ["video-0", "video-1", "stopped", "video-2"]
  assert digests(out) == digests(tmp_path / "whole")
  assert [p for p in out.iterdir() if p.is_dir()] == []


def killed_while_publishing(run, videos, out, moves):
  """Leaves `out` as a run that is killed after that many of the moves to the final names."""
  left = iter(range(moves))
  kind = type(epath.Path(out))
  replace = kind.replace

  def move(path, target):
    if path.parent.name.startswith(".prepare-") and Path(target).parent == out and next(left, None) is None:
      raise MemoryError
    return replace(path, target)

  with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):
    patch.setattr(kind, "replace", move)
    run(videos, out)


@pytest.mark.parametrize("moves", range(7))
@pytest.mark.parametrize("before", [0, 2])
def test_killed_while_publishing_it_leaves_nothing_to_other_videos(run, tmp_path, monkeypatch, before, moves):
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
  videos = ruler.write_videos(tmp_path, [40, 50, 60], [[], [], []])
  out = tmp_path / "out"
  if before:
    run(videos[:before], out)
  killed_while_publishing(run, videos, out, moves)
  run(videos[:1], out)
  run(videos[:1], tmp_path / "alone")
  assert digests(out) == digests(tmp_path / "alone")
  assert [p for p in out.iterdir() if p.is_dir()] == []


def test_one_run_at_a_time_in_a_folder(run, tmp_path):
  videos = ruler.write_videos(tmp_path, [40], [[]])
  opened = run(videos, tmp_path / "out")
  with lock.locked(tmp_path / "out"), pytest.raises(InputError, match="out: another run is at work here; wait"):
    run(videos, tmp_path / "out")
  assert run(videos, tmp_path / "out").videos == opened.videos


def test_a_folder_of_a_cache_is_refused_and_left_alone(run, tmp_path):
  out = tmp_path / "out"
  out.mkdir()
  (out / "cache-00000.tfrecord").write_bytes(b"mine")
  with pytest.raises(InputError, match="out: holds a cache of a training run; choose another folder"):
    run(ruler.write_videos(tmp_path, [40], [[]]), out)
  assert [p.name for p in out.iterdir()] == ["cache-00000.tfrecord"]


@pytest.mark.parametrize("split", ["", "a/b", "../x", "a b", "a\nb"])
def test_a_split_that_files_cannot_be_named_after_is_refused(tmp_path, world, split):
  sources = lambda: pytest.fail("asked for")
  with pytest.raises(InputError, match="files are named after it; use letters") as caught:
    prepare.prepare(sources, tmp_path / "out", MINI, name="x", split=split, mapper=prepare.in_processes(1))
  assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_changed_videos_are_prepared_anew(run, tmp_path, monkeypatch):
  videos = ruler.write_videos(tmp_path, [40, 50], [[], []])
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 1)
  monkeypatch.setattr(prepare, "_publish", lambda *args: (_ for _ in ()).throw(MemoryError()))
  with pytest.raises(MemoryError):
    run(videos, tmp_path / "out")
  monkeypatch.undo()
  ruler.stub_media(monkeypatch)
  os.utime(videos[0], ns=(1, 1))
  videos[0].write_text("45")
  assert [v.frames for v in run(videos, tmp_path / "out").videos] == [45, 50]


def test_pictures_that_changed_in_their_folder_are_prepared_anew(tmp_path, monkeypatch):
  frames = [trees.pictures(tmp_path / name / "frames", 31) for name in "ab"]
  found = [Source(f.parent.name, f, audio=trees.wav(f.parent / "sound.wav", 2.1)) for f in frames]
  run = functools.partial(
    prepare.prepare, lambda: found, tmp_path / "out", MINI, name="x", split="train", mapper=prepare.in_processes(1)
  )
  with monkeypatch.context() as patch, pytest.raises(MemoryError):
    patch.setattr(prepare, "_publish", lambda *args: (_ for _ in ()).throw(MemoryError()))
    run()
  (frames[0] / "frame000001.jpg").write_bytes((frames[0] / "frame000010.jpg").read_bytes())
  opened = run()
  assert making.indices(opened.read_window(opened.videos[0], 0, 30).frames).tolist() == [9, *range(1, 30)]


# A run that stops and goes on is tested above, in this process.
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_run_again_it_ends_with_the_same_bytes(tmp_path, workers):
  videos = tmp_path / "videos"
  builder.sources(videos, "train", seed=3, count=3, workers=2)
  code = f"""
from pathlib import Path
from tests.data_pipelines import ruler
from data_pipelines import prepare
prepare.VIDEOS_PER_SHARD = 1
ruler.prepare_videos(sorted(Path({str(videos)!r}).glob("*.mp4")), {{out!r}}, workers={workers})
"""
  start = lambda out: subprocess.Popen([sys.executable, "-c", code.format(out=str(out))], cwd=ROOT)
  assert start(tmp_path / "whole").wait() == 0
  for _ in range(20):
    running = start(tmp_path / "out")
    while running.poll() is None and not list((tmp_path / "out").glob(f".prepare-*/0000{_ % 3}.*")):
      time.sleep(0.005)
    running.kill()
    if running.wait() == 0:
      break
  assert start(tmp_path / "out").wait() == 0
  assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_bucket_works_like_a_folder(run, tmp_path, bucket):
  videos = ruler.write_videos(tmp_path, [40, 61], [[], [1.0]])
  there, here = run(videos, f"{bucket}/data"), run(videos, tmp_path / "out")
  assert there.videos == here.videos
  np.testing.assert_array_equal(
    there.read_window(there.videos[1], 7, 30).audio, here.read_window(here.videos[1], 7, 30).audio
  )
  assert not list(verify.problems(f"{bucket}/data"))


def test_a_run_into_a_bucket_that_fails_says_why(run, tmp_path, bucket):
  with pytest.raises(InputError, match=r"video-0\.mp4: neither it nor the other videos can be used"):
    run(ruler.write_videos(tmp_path, [29], [[]]), f"{bucket}/short")

  def failing(function, tasks):
    raise InputError("the cause")

  sources = lambda: [Source("a", tmp_path / "video-0.mp4")]
  with pytest.raises(InputError, match="the cause"):
    prepare.prepare(sources, f"{bucket}/failed", MINI, name="x", split="train", mapper=failing)
  assert not epath.Path(bucket, "failed").exists()


def test_files_of_a_user_who_has_no_name(run, tmp_path, monkeypatch):
  monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
  videos = ruler.write_videos(tmp_path, [40], [[]])
  assert run(videos, tmp_path / "out").videos[0].frames == 40
  (shard,) = (tmp_path / "out").glob("*.tfrecord")
  shard.write_bytes(b"")
  with pytest.raises(InputError, match=r"0 bytes, but dataset\.json says"):
    dataset.open_dataset(tmp_path / "out", ruler.SPEC)


def test_progress_counts_videos(run, tmp_path, monkeypatch):
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 2)
  seen = []
  run(ruler.write_videos(tmp_path, [40, 3, 50], [[], [], []]), tmp_path / "out", progress=lambda *at: seen.append(at))
  assert seen == [(2, 3), (3, 3)]


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
  render.write_mp4(path, frames, fps, sound, rate, render.Coding(23, 128_000))
  return path


def test_real_videos_are_aligned_and_workers_change_nothing(tmp_path):
  at_s = {"a": 1.0, "b": 1.8}
  videos = [write_flash(tmp_path / f"{name}.mp4", 2.4, t) for name, t in at_s.items()]
  one = ruler.prepare_videos(videos, tmp_path / "one")
  ruler.prepare_videos(videos, tmp_path / "two", workers=2)
  assert digests(tmp_path / "one") == digests(tmp_path / "two")
  for video in one.videos:
    flash = round(at_s[video.id] * 15)
    window = one.read_window(video, 3, 30)
    loudness = (window.audio.reshape(30, -1) ** 2).mean(1)
    brightness = window.frames.mean(axis=(1, 2, 3))
    assert loudness.argmax() == brightness.argmax() == flash - 3
    assert loudness[flash - 3] > 0.9 * loudness.sum()
