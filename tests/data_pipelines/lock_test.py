import os
import signal
import subprocess
import sys

import pytest
from etils import epath

from data_pipelines import lock

HOLDER = """
import sys, time
from data_pipelines import lock
with lock.locked(sys.argv[1]) as alone:
  print(alone, flush=True)
  time.sleep(60)
"""


def test_one_process_has_a_folder_until_it_ends_even_if_killed(tmp_path):
  with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
    assert other.stdout.readline() == "True\n"
    with lock.locked(tmp_path) as alone:
      assert alone is False
    other.send_signal(signal.SIGKILL)
    other.wait()
  for _ in range(2):
    with lock.locked(tmp_path) as alone:
      assert alone is True


def test_a_shared_folder_is_shared_by_those_that_share_it_alone(tmp_path):
  with lock.locked(tmp_path, shared=True) as one, lock.locked(tmp_path, shared=True) as other:
    assert one is True and other is True
    with lock.locked(tmp_path) as alone:
      assert alone is False
  with lock.locked(tmp_path), lock.locked(tmp_path, shared=True) as shared:
    assert shared is False


def test_nobody_knows_who_works_in_a_bucket():
  with lock.locked("gs://bucket/data") as alone:
    assert alone is None


def mount(path, kind, monkeypatch):
  """Lets the file system that `path` is on look like one of that kind."""
  device = os.stat(path).st_dev
  mounts = path / "mountinfo"
  mounts.write_text(
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    f"36 35 {os.major(device)}:{os.minor(device)} / /a\\040b rw,noatime shared:1 master:2 - {kind} bucket rw\n"
    "37 35 251:77 / /c rw - fuse.gcsfuse other rw\n"
  )
  monkeypatch.setattr(lock, "_MOUNTS", mounts)


@pytest.mark.parametrize("kind", ["fuse.gcsfuse", "fuse", "nfs4", "cifs"])
def test_nobody_knows_who_works_where_other_hosts_may_write(tmp_path, monkeypatch, kind):
  mount(tmp_path, kind, monkeypatch)
  with lock.locked(tmp_path) as alone:
    assert alone is None
    with lock.locked(tmp_path) as other:
      assert other is False, "on this host it is known"


@pytest.mark.parametrize("kind", ["ext4", "overlay", "fuseblk"])
def test_local_file_systems_lock(tmp_path, monkeypatch, kind):
  mount(tmp_path, kind, monkeypatch)
  with lock.locked(tmp_path) as alone:
    assert alone is True


def test_what_other_hosts_may_still_write_stays_for_a_day(tmp_path, monkeypatch):
  new, old = tmp_path / ".a.tfrecord.0123abcd.partial", tmp_path / ".a.tfrecord.4567abcd.partial"
  for path in (new, old):
    path.touch()
  os.utime(old, (new.stat().st_mtime - 25 * 3600,) * 2)
  mount(tmp_path, "fuse.gcsfuse", monkeypatch)
  lock.remove_abandoned(epath.Path(tmp_path))
  assert new.exists() and not old.exists()


def test_what_is_written_into_a_bucket_stays(bucket):
  path = epath.Path(bucket, ".a.tfrecord.0123abcd.partial")
  path.write_text("")
  lock.remove_abandoned(epath.Path(bucket))
  assert path.exists()


def test_what_killed_processes_left_is_removed_and_no_other_file(tmp_path):
  left, others = tmp_path / ".a.tfrecord.0123abcd.partial", [tmp_path / ".movie.mp4.partial", tmp_path / "b.partial"]
  for path in (left, *others):
    path.touch()
  lock.remove_abandoned(epath.Path(tmp_path))
  assert sorted(tmp_path.iterdir()) == sorted(others)
