"""Commands of other programs: what they are given and write, and how they are ended."""

import subprocess
import sys
import time

import pytest

from launch.shell import CommandFailed, Shell


def test_a_command_is_given_what_it_is_given_however_long_it_takes():
  words = [sys.executable, "-c", "import sys, time; time.sleep(1.2); print(len(sys.stdin.read()))"]
  assert Shell()(words, given="x" * 300_000) == "300000\n"


def test_one_that_takes_too_long_is_ended_with_what_it_has_started(tmp_path):
  late = tmp_path / "late"
  with pytest.raises(CommandFailed, match=r"no answer in 0\.2 s"):
    Shell()(["bash", "-c", f"(sleep 1; touch {late}) & sleep 60"], seconds=0.2)
  time.sleep(1.2)
  assert not late.exists()


_SIGNALLED = """
import os, signal, sys, threading
from data_pipelines import interrupt
from launch.shell import Shell
def work():
  with interrupt.patient():
    print(Shell()(["bash", "-c", "sleep 1; echo whole"]), end="", flush=True)
  print(Shell()(["bash", "-c", "sleep 60; echo more"]))
with interrupt.handled(), interrupt.patient():
  thread = threading.Thread(target=work)
  thread.start()
  os.kill(os.getpid(), signal.SIGTERM)
  thread.join()
"""


def test_a_signal_ends_a_command_unless_its_thread_is_patient():
  done = subprocess.run([sys.executable, "-c", _SIGNALLED], capture_output=True, text=True, check=False)
  assert done.stdout == "whole\n" and "Interrupted: SIGTERM" in done.stderr
