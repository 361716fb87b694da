import signal
import subprocess
import sys

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


def test_what_killed_processes_left_is_removed_and_no_other_file(tmp_path):
  left, others = tmp_path / ".a.tfrecord.0123abcd.partial", [tmp_path / ".movie.mp4.partial", tmp_path / "b.partial"]
  for path in (left, *others):
    path.touch()
  lock.remove_abandoned(epath.Path(tmp_path))
  assert sorted(tmp_path.iterdir()) == sorted(others)
