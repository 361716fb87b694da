"""Shards by Apache Beam: with it where it is installed, and always what it asks of the tasks that it is given."""

import contextlib
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from condfoley_jax.clip import MINI
from data_pipelines import beam, prepare
from data_pipelines.builders import folder
from data_pipelines.builders.source import Source
from data_pipelines.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
# Another machine knows nothing but what it is sent, takes tasks in any order, and some of them again.
WORKER = """
import pickle, sys
function, tasks = pickle.load(sys.stdin.buffer)
for task in tasks[::-1] + tasks:
  function(task)
"""


@contextlib.contextmanager
def elsewhere(function, tasks):
  subprocess.run([sys.executable, "-c", WORKER], input=pickle.dumps((function, list(tasks))), cwd=ROOT, check=True)
  yield iter([len(task.sources) for task in tasks])


def prepared(videos, out, mapper) -> dict[str, str]:
  """Hashes of what is prepared by that mapper from a folder of videos, by name."""
  sources = lambda: folder.sources(videos, "train", shares={"train": 1.0})
  prepare.prepare(sources, out, MINI, name="x", split="train", mapper=mapper)
  return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.fixture
def here(world, tmp_path, monkeypatch):
  """What this process makes of the videos of `world`."""
  monkeypatch.setattr(prepare, "VIDEOS_PER_SHARD", 3)
  return prepared(world / "videos", tmp_path / "here", prepare.in_processes(1))


def test_tasks_can_be_done_elsewhere_in_any_order_and_twice(world, here, tmp_path):
  assert prepared(world / "videos", tmp_path / "elsewhere", elsewhere) == here


def test_beam_makes_the_same_shards(world, here, tmp_path):
  pytest.importorskip("apache_beam")
  assert prepared(world / "videos", tmp_path / "beam", beam.on("--runner=DirectRunner")) == here


def test_workers_that_do_not_see_the_videos_read_copies(world, here, bucket, tmp_path, monkeypatch):
  videos = tmp_path / "videos"
  shutil.copytree(world / "videos", videos)
  copied, copy = [], shutil.copyfileobj
  monkeypatch.setattr(shutil, "copyfileobj", lambda source, target: copied.append(target) or copy(source, target))

  @contextlib.contextmanager
  def without_videos(function, tasks):
    convert, given = beam.staged(function, tasks, f"{bucket}/tmp")
    assert len(copied) == 4
    hidden = videos.rename(tmp_path / "hidden")
    for task in pickle.loads(pickle.dumps(given)):
      pickle.loads(pickle.dumps(convert))(task)
    hidden.rename(videos)
    copied.clear()
    assert beam.staged(function, tasks, f"{bucket}/tmp")[1] == given
    assert not copied, "what is there is not copied again"
    yield iter([len(task.sources) for task in tasks])

  assert prepared(videos, tmp_path / "out", without_videos) == here


def test_pictures_of_a_folder_are_copied_together(bucket, tmp_path):
  pictures, sound = tmp_path / "kitchen" / "frames", tmp_path / "kitchen" / "sound.wav"
  pictures.mkdir(parents=True)
  for name in ("1.jpg", "2.jpg"):
    (pictures / name).write_text(name)
  sound.write_text("sound")
  seen = []

  def convert(task):
    (source,) = task.sources
    seen.append({path.name: path.read_text() for path in (*source.video.iterdir(), source.audio)})
    assert source.video.name == "frames" and source.video != pictures
    return 1

  def stage_and_convert():
    task = prepare.ShardTask("x", (Source("a", pictures, sound),))
    function, (given,) = beam.staged(convert, [task], f"{bucket}/tmp")
    assert function(given) == 1

  stage_and_convert()
  (pictures / "2.jpg").write_text("other")  # As long as before, in a folder that is as old.
  os.utime(pictures / "2.jpg", ns=(1, 1))
  stage_and_convert()
  first = {"1.jpg": "1.jpg", "2.jpg": "2.jpg", "sound.wav": "sound"}
  assert seen == [first, first | {"2.jpg": "other"}]


@pytest.mark.parametrize("runner", ["=DataflowRunner", "=dataflow", " Dataflow", "=FlinkRunner"])
def test_a_runner_elsewhere_without_a_place_to_read_from_is_one_line(runner):
  with pytest.raises(InputError, match="add --temp_location=gs://BUCKET/tmp"):
    beam.on(f"--project=p --runner{runner} --region=r")


@pytest.mark.parametrize("options", ["", "--runner=DirectRunner", "--runner direct", "--project=dataflow"])
def test_direct_runners_are_here(options):
  assert not beam.runs_elsewhere(options)
