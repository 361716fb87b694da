"""Runs that read one another's results: several at a time, tried again where they fail, ended where this one ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from data_pipelines import interrupt
from launch.command import WRONG_USE, Say

_LOOK_S = 0.2
# Run as a file: it is to start at once, and wherever that is.
_BOUND = Path(__file__).with_name("bound.py")
# On a CPU a step's arrays are asked of the system anew each time: in large pages a quarter of it is not spent waiting.
_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Task(NamedTuple):
  """name; words of the command; reads: names of tasks that are to be done before."""

  name: str
  words: Sequence[str]
  reads: tuple[str, ...]


class Schedule:
  """Runs tasks in processes.

  Args:
    tasks: in an order in which each comes after those it reads.
    parallel: how many at a time; of one the output is shown, of several it goes to files.
    retries: of a task that fails with another exit code than 2.
    logs: folder for that output.
    if_killed: signal that a task gets where this process is killed; where it is interrupted they get SIGTERM.
    before: is called with the name of each task before it is started; what it raises ends all.
    say: is told what happens.

  Attributes:
    failed: exit codes of tasks, by name.
  """

  def __init__(
    self,
    tasks: Sequence[Task],
    *,
    parallel: int,
    retries: int,
    logs: Path,
    if_killed: signal.Signals,
    before: Callable[[str], None],
    say: Say,
  ):
    self._left, self._parallel, self._retries, self._logs = list(tasks), parallel, retries, logs
    self._if_killed, self._before, self._say, self._total = if_killed, before, say, len(tasks)
    self._tries: dict[str, int] = {}
    self._running: dict[str, tuple[Task, subprocess.Popen]] = {}
    self.failed: dict[str, int] = {}

  def run(self, done: set[str], when_done: Callable[[str], None]) -> None:
    """Runs all that can be run; those that read a task that failed are not.

    Args:
      done: names of tasks that need not be run; those that succeed are added.
      when_done: is called with the name of each that ends, however it ends.
    """
    try:
      while self._start(done) or self._running:
        interrupt.check()
        time.sleep(_LOOK_S)
        for name in [name for name, (_, process) in self._running.items() if process.poll() is not None]:
          self._ended(name, done, when_done)
    finally:
      with interrupt.patient():
        for _, process in self._running.values():
          process.terminate()
        for _, process in self._running.values():
          process.wait()

  def _start(self, done: set[str]) -> bool:
    """Starts what can be started; whether there was something."""
    started = False
    for task in list(self._left):
      if task.name in done:
        self._left.remove(task)
      elif len(self._running) < self._parallel and set(task.reads) <= done:
        self._left.remove(task)
        self._begin(task)
        started = True
    return started

  def _begin(self, task: Task) -> None:
    self._before(task.name)
    self._tries[task.name] = self._tries.get(task.name, 0) + 1
    count = self._total - len(self._left)
    again = f", try {self._tries[task.name]}" if self._tries[task.name] > 1 else ""
    self._say(f"{count} of {self._total}: {task.name}{again}")
    log = self._log(task)
    # In a session of its own, where Ctrl-C does not reach it: a second signal would break off what the first has begun.
    words = [sys.executable, str(_BOUND), str(int(self._if_killed)), *task.words]
    settings = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": _PAGES | os.environ}
    process = subprocess.Popen(words, start_new_session=True, **settings)
    if log:
      log.close()
    self._running[task.name] = task, process

  def _log(self, task: Task) -> TextIO | None:
    if self._parallel == 1:
      return None
    path = self._logs / f"{task.name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")

  def _ended(self, name: str, done: set[str], when_done: Callable[[str], None]) -> None:
    task, process = self._running.pop(name)
    if not process.returncode:
      done.add(name)
    elif process.returncode != WRONG_USE and self._tries[name] <= self._retries:
      self._say(f"{name}: failed with exit code {process.returncode}; tried again")
      self._left.insert(0, task)
      return
    else:
      self.failed[name] = process.returncode
      where = f"; see {self._logs / name}.log" if self._parallel > 1 else ""
      self._say(f"{name}: failed with exit code {process.returncode}{where}")
    when_done(name)
