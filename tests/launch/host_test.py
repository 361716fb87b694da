"""What a host does, by its script alone."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from launch import build, tpu_commands


@pytest.fixture
def home(tmp_path):
  """The folder of a host where condfoley is installed: it waits, and says so."""
  shutil.copy(build.ROOT / "launch" / build.HOST, tmp_path)
  program = tmp_path / "env" / "bin" / "condfoley"
  program.parent.mkdir(parents=True)
  program.write_text('#!/bin/bash\ntrap "exit 143" TERM\ntouch ../begun\nfor _ in $(seq 100); do sleep 0.1; done\n')
  program.chmod(0o755)
  (tmp_path / "bucket").mkdir()
  return tmp_path


def status(home):
  said = subprocess.run(["bash", home / build.HOST, "status"], capture_output=True, text=True, check=True).stdout
  ((_, state, code),) = tpu_commands.STATUS.findall(said)
  return f"{state} {code}".strip()


def started(home):
  """The leader of the processes that run, once they do."""
  subprocess.run(["bash", home / build.HOST, "start", "--", "train"], check=True)
  while not (home / "begun").exists():
    time.sleep(0.02)
  return int((home / "run" / "pid").read_text().split()[0])


def test_all_processes_are_told_to_end_and_the_code_is_that_of_the_command(home):
  assert status(home) == "none"
  leader = started(home)
  assert status(home) == "running"
  os.killpg(leader, signal.SIGTERM)
  while status(home) == "running":
    time.sleep(0.02)
  assert status(home) == "ended 143" and (home / "run" / "code").read_text() == "143\n"


def test_what_ended_with_its_machine_was_told_to_end(home):
  leader, pid = started(home), home / "run" / "pid"
  # After the machine began anew that number is another process's.
  booted = pid.read_text()
  pid.write_text(f"{leader} another-boot\n")
  assert status(home) == "ended 143"
  pid.write_text(booted)
  assert status(home) == "running"
  os.killpg(leader, signal.SIGKILL)
  while status(home) == "running":
    time.sleep(0.02)
  assert status(home) == "ended 143" and not (home / "run" / "code").exists()


def test_what_has_not_begun_after_a_minute_never_will(home):
  (home / "run").mkdir()
  assert status(home) == "running"
  os.utime(home / "run", (time.time() - 90,) * 2)
  assert status(home) == "ended 143"


@pytest.mark.parametrize(("locked", "code"), [(2, 0), (1000, 1)])
def test_lists_that_a_new_machine_has_locked_are_waited_for(home, locked, code):
  """But not for ever."""
  programs = {
    "sudo": f"""if [ "$1" = tee ]; then cat > /dev/null; exit; fi
[ "$2" = update ] || exit 0
echo x >> {home}/tries
[ $(wc -l < {home}/tries) -gt {locked} ]
""",
    "sleep": "",
    "curl": "echo key",
    "lsb_release": "echo jammy",
  }
  (home / "bin").mkdir()
  for name, text in programs.items():
    (home / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
    (home / "bin" / name).chmod(0o755)
  environment = {"PATH": f"{home}/bin:/usr/bin:/bin"}
  words = ["bash", home / build.HOST, "install_gcsfuse"]
  assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == code
  assert len((home / "tries").read_text().splitlines()) == min(locked + 1, 60)
