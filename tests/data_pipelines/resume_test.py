"""A run of several real processes that are killed in the middle of an epoch goes on with another number of them."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from condfoley_jax.clip import MINI
from data_pipelines import dataset, pairs, pipeline

ROOT = Path(__file__).resolve().parents[2]
BATCH, SEED = 8, 5
# Read in every process before all are killed, and after that: two epochs and more.
BEFORE, AFTER = 4, 5
PROGRAM = "import json, sys; from tests.data_pipelines import resume_test; resume_test.read(*json.loads(sys.argv[1]))"


def stream(data_dir, index: int = 0, count: int = 1):
  rows = range(index * BATCH // count, (index + 1) * BATCH // count)
  return iter(pipeline.pair_batches(data_dir, MINI, batch_size=BATCH, seed=SEED, train=True, rows=rows))


def identities(batch) -> list[str]:
  """A name for each pair of a batch that no other pair has."""
  return [
    hashlib.sha256(b"".join(batch[name][i].tobytes() for name in sorted(batch))).hexdigest()[:16]
    for i in range(len(batch["target_audio"]))
  ]


def read(data_dir: str, notes: str, index: int, count: int, state: dict | None, batches: int | None) -> None:
  """One process of a run: notes the pairs of each batch that it reads, and the state that a checkpoint would hold."""
  iterator = stream(data_dir, index, count)
  if state:
    iterator.set_state(state)
  with open(notes, "w") as f:
    for batch in itertools.islice(iterator, batches):
      print(json.dumps([identities(batch), iterator.get_state()]), file=f, flush=True)


@contextlib.contextmanager
def processes(data_dir, notes: list[Path], state=None, batches=None) -> Iterator[list[subprocess.Popen]]:
  """Started, one for each file of notes; those that still run in the end are killed."""
  arguments = ((str(data_dir), str(path), i, len(notes), state, batches) for i, path in enumerate(notes))
  started = [subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(a)], cwd=ROOT) for a in arguments]
  try:
    yield started
  finally:
    for process in started:
      process.kill()
      process.wait()


def noted(path: Path) -> list:
  """(pairs, state) of each batch that was noted whole."""
  lines = path.read_text().splitlines(keepends=True) if path.exists() else []
  return [json.loads(line) for line in lines if line.endswith("\n")]


def merged(parts: list[list]) -> list[str]:
  """Pairs of the global batches, in order, that processes have read parts of."""
  return [name for batch in zip(*parts, strict=True) for names, _ in batch for name in names]


@dataclasses.dataclass(frozen=True)
class Stopped:
  """Pairs that were read before the last checkpoint, and the state in it."""

  pairs: list[str]
  state: dict


@pytest.fixture(scope="module")
def epoch(world) -> int:
  """Pairs of an epoch."""
  return len(pairs.make_chooser(dataset.open_dataset(world, MINI).videos, MINI.fps, MINI.frames, "uniform"))


@pytest.fixture(scope="module")
def stopped(world, epoch, tmp_path_factory) -> Stopped:
  """Two processes killed at work; the checkpoint is the last that both reached within an epoch."""
  notes = [tmp_path_factory.mktemp("killed") / str(i) for i in range(2)]
  with processes(world, notes) as started:
    while min(len(noted(path)) for path in notes) < BEFORE:
      assert [p.poll() for p in started] == [None] * 2
      time.sleep(0.005)
    for process in started:
      os.kill(process.pid, signal.SIGKILL)
    assert [p.wait() for p in started] == [-signal.SIGKILL] * 2
  parts = [noted(path) for path in notes]
  reached = max(b for b in range(min(map(len, parts)) + 1) if b * BATCH % epoch)
  first, second = (part[reached - 1][1] for part in parts)
  assert first == second, "a checkpoint holds one state for all processes"
  return Stopped(merged([part[:reached] for part in parts]), first)


@pytest.fixture(scope="module")
def whole(world, stopped) -> list[str]:
  """Pairs of a run that nothing stopped."""
  batches = len(stopped.pairs) // BATCH + AFTER
  return [name for batch in itertools.islice(stream(world), batches) for name in identities(batch)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_killed_in_an_epoch_a_run_goes_on_with_no_pair_lost_or_repeated(world, epoch, stopped, whole, tmp_path, count):
  assert len(stopped.pairs) % epoch and 2 * epoch <= AFTER * BATCH
  notes = [tmp_path / str(i) for i in range(count)]
  with processes(world, notes, stopped.state, AFTER) as resumed:
    assert [p.wait() for p in resumed] == [0] * count
  parts = [noted(path) for path in notes]
  assert stopped.pairs + merged(parts) == whole
  read_by = [{name for names, _ in part for name in names} for part in parts]
  assert sum(map(len, read_by)) == len(set().union(*read_by)) == AFTER * BATCH, "no pair is read by two processes"
