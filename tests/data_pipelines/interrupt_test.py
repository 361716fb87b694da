"""Signals end a command cleanly. What they leave of a command's results: tests/commands/output_test.py."""

import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from data_pipelines import interrupt
from data_pipelines.errors import InputError
from data_pipelines.workers import mapped


def test_ignored_signals_stay_ignored(signals):
  signal.signal(signal.SIGHUP, signal.SIG_IGN)
  with interrupt.handled():
    signal.raise_signal(signal.SIGHUP)


def test_handlers_are_put_back(signals):
  before = [signal.getsignal(number) for number in interrupt.SIGNALS]
  with interrupt.handled():
    assert [signal.getsignal(number) for number in interrupt.SIGNALS] != before
  assert [signal.getsignal(number) for number in interrupt.SIGNALS] == before


def test_what_nobody_can_catch_is_told_unless_it_says_nothing_new(signals, monkeypatch):
  told = []
  monkeypatch.setattr(sys, "unraisablehook", told.append)
  for _ in range(2):
    with interrupt.handled():
      pass
  for error in (interrupt.Interrupted(signal.SIGINT), RuntimeError("Event loop is closed"), RuntimeError("new")):
    sys.unraisablehook(types.SimpleNamespace(exc_value=error))
  assert [str(one.exc_value) for one in told] == ["new"]


def test_threads_run_commands_too():
  ran = []

  def work():
    with interrupt.handled():
      ran.append(True)

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert ran


@pytest.mark.parametrize("made", ["", "a/b"])
def test_a_partial_folder_goes_and_so_do_empty_ones_made_for_it(made, tmp_path):
  with pytest.raises(RuntimeError, match="broken"), interrupt.partial_folder(tmp_path / made) as folder:
    (folder / "file").touch()
    raise RuntimeError("broken")
  assert list(tmp_path.iterdir()) == []
  with interrupt.partial_folder(tmp_path / "a" / "b") as folder:
    os.replace(folder, tmp_path / "a" / "b" / "kept")
  assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def test_partial_folders_of_killed_processes_go_and_those_of_live_ones_stay(tmp_path):
  killed = tmp_path / ".partial-00000001"
  killed.mkdir()
  (killed / "file").touch()
  empty, new = tmp_path / ".partial-00000002", tmp_path / ".partial-00000003"
  for folder in (empty, new):
    folder.mkdir()
  os.utime(empty, (0, 0))
  others = {tmp_path / ".partial-dir", tmp_path / ".partial-00000004"}
  (tmp_path / ".partial-dir").mkdir()
  (tmp_path / ".partial-dir" / "film.mp4").touch()
  (tmp_path / ".partial-00000004").touch()
  with interrupt.partial_folder(tmp_path) as first:
    (first / "file").touch()
    with interrupt.partial_folder(tmp_path) as second:
      assert set(tmp_path.iterdir()) == {first, second, new} | others and (first / "file").exists()


def test_what_is_written_together_replaces_all_or_nothing(tmp_path):
  interrupt.write_together(tmp_path / "out", {"a": "1", "b": "2"})
  with pytest.raises(UnicodeEncodeError):
    interrupt.write_together(tmp_path / "out", {"a": "3", "b": "\udcff"})
  assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {"a": "1", "b": "2"}
  interrupt.write_together(tmp_path / "out", {"a": "3", "b": "4"})
  assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {"a": "3", "b": "4"}


# A command that is deep in a library, which drops the exception of the first signal.
_DEAF = """
import pathlib, sys, time
from data_pipelines import interrupt
with interrupt.handled(), interrupt.partial_folder(pathlib.Path(sys.argv[1])):
  try:
    print("ready", flush=True)
    time.sleep(60)
  except KeyboardInterrupt:
    print("ready", flush=True)
  time.sleep(60)
"""


def test_a_second_signal_ends_a_command_that_did_not_hear_the_first(tmp_path):
  command = [sys.executable, "-c", _DEAF, str(tmp_path / "out")]
  with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
    for _ in range(2):
      assert process.stdout.readline() == "ready\n"
      process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert process.stderr.read() == ""
  assert not (tmp_path / "out").exists()


# What is not to be broken off begins while the command is left time to end after a second signal.
_PATIENT = """
import threading, time, types
from data_pipelines import interrupt
waits, begun = threading.Event(), threading.Event()
interrupt.time = types.SimpleNamespace(sleep=lambda _: waits.set() or begun.wait())
with interrupt.handled():
  try:
    print("ready", flush=True)
    time.sleep(60)
  except KeyboardInterrupt:
    print("ready", flush=True)
    waits.wait()
    with interrupt.patient():
      begun.set()
      interrupt.check()
      time.sleep(1)
      print("whole", flush=True)
"""


def test_a_second_signal_does_not_end_what_is_begun_patiently_just_after_it():
  pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
  with subprocess.Popen([sys.executable, "-c", _PATIENT], **pipes, text=True) as process:
    for _ in range(2):
      assert process.stdout.readline() == "ready\n"
      process.send_signal(signal.SIGTERM)
    written, said = process.communicate()
  assert written == "whole\n" and process.returncode == 1 and "Interrupted: SIGTERM" in said


def test_workers_do_not_hear_ctrl_c():
  with mapped(signal.raise_signal, [signal.SIGINT, signal.SIGHUP], 2) as results:
    assert list(results) == [None, None]


def test_a_worker_that_ends_is_one_line():
  with (
    pytest.raises(InputError, match=r"^a worker ended, perhaps for want of memory; choose fewer --workers$"),
    mapped(os._exit, [9, 9, 9], 2) as results,
  ):
    list(results)


_KILLED = """
import multiprocessing, os, time
from data_pipelines.workers import mapped
with mapped(time.sleep, [0, 0, 600, 600], 2) as results:
  next(results), next(results)
  print(*(p.pid for p in multiprocessing.active_children()), flush=True)
  time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed():
  with subprocess.Popen([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True) as process:
    workers = process.stdout.readline().split()
    process.kill()
    # They hold the other end of the pipe: it is closed when the last of them has ended.
    assert len(workers) == 2 and process.stdout.read() == ""


# As from a shell: started in the background, a process ignores Ctrl-C.
_PREPARE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from condfoley_jax import cli
sys.exit(cli.main())
"""


@pytest.mark.parametrize("phase", ["workers start", "workers render"])
def test_ctrl_c_ends_workers_without_a_word_of_theirs(phase, tmp_path):
  arguments = ["prepare", "drumstick", "--videos", "40", "--workers", "2", "--out", str(tmp_path / "out")]
  command = [sys.executable, "-c", _PREPARE, *arguments]
  with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
    wanted = ".partial-*" if phase == "workers start" else "*.mp4"
    while not list((tmp_path / "out" / "videos").glob(wanted)) and process.poll() is None:
      time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate()[1]
  assert process.returncode == 130
  assert errors == "condfoley prepare: interrupted by SIGINT\n"
  assert not list(tmp_path.rglob(".*"))
