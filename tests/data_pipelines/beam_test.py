"""Shards by Apache Beam: with it where it is installed, and always what it asks of the tasks that it is given."""

import contextlib
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from condfoley_jax.clip import MINI
from data_pipelines import beam, prepare
from data_pipelines.builders import folder

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
