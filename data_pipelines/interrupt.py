"""Ctrl-C, SIGTERM and SIGHUP: a command ends cleanly wherever they hit it.

The exception that a signal raises can land in a callback of a library that drops it. So the signal is noted too: the
command ends with it whatever else came of it, and moves no results. It can also wait for long while a library compiles
or computes, so a second signal ends the process, unless that is about to end anyway.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data_pipelines import lock

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PARTIAL = ".partial-"  # And eight digits: other programs have such names too.
_NEW_S = 60.0
GRACE_S = 1.0  # for the command to end by itself after a second signal
_noted: list[int] = []
_held = False
_patience = 0  # blocks that no signal ends, in whichever threads
_patience_lock = threading.Lock()
_here = threading.local()  # `patient`: whether this thread is in such a block
_undo: list[Callable[[], object]] = []


class Interrupted(KeyboardInterrupt):
  """A signal came; `exit_code` is what shells make of it."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.exit_code = 128 + number


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Turns signals into Interrupted, raised at the end of the block at the latest; ignored ones stay so, as nohup wants.

  Further signals change nothing after an interrupted block either: the caller ends the process.
  """
  if threading.current_thread() is not threading.main_thread():
    yield  # Only the main thread may set handlers.
    return
  _noted.clear()
  before = {n: signal.signal(n, _receive) for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN}
  if not isinstance(sys.unraisablehook, _Hook):
    sys.unraisablehook = _Hook(sys.unraisablehook)  # For good: threads that the block leaves behind raise too.
  try:
    with _watched():
      yield
  finally:
    _undo_all()
    _undo.clear()
    check()
    for number, handler in before.items():
      signal.signal(number, handler)


def check() -> None:
  """Raises Interrupted if a signal has come; not in a block of this thread that is `patient`."""
  if _noted and not getattr(_here, "patient", False):
    raise Interrupted(_noted[0])


@contextlib.contextmanager
def held() -> Iterator[None]:
  """No signal interrupts the block, which is to be short. Raises Interrupted if one came before it."""
  global _held
  before, _held = _held, True
  try:
    if not before:
      check()
    yield
  finally:
    _held = before


@contextlib.contextmanager
def patient() -> Iterator[None]:
  """No signal ends the block, however often it comes: what it clears up costs more than waiting. In any thread.

  Threads that the block waits for heed signals by `check`, unless they are in such a block of their own.
  """
  before = getattr(_here, "patient", False)
  _add_patience(1)
  try:
    _here.patient = True
    yield
  finally:
    _here.patient = before
    _add_patience(-1)


def _add_patience(count: int) -> None:
  global _patience
  with _patience_lock:
    _patience += count


@contextlib.contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
  """Calls `undo` after the block, or when a second signal ends the process in it; it may be called twice."""
  _undo.append(undo)
  try:
    yield
  finally:
    undo()
    _undo.remove(undo)


@contextlib.contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
  """A new folder in `parent` for results that are not whole yet; what is left in it goes with it.

  `parent` is made if it is not there, and removed again if it is empty in the end. Folders of processes that were
  killed go too.
  """
  made = [p for p in (parent, *parent.parents) if not p.exists()]
  folder = parent / f"{_PARTIAL}{lock.token()}"
  with undone(lambda: _remove(folder, made)):
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder.mkdir()
    with lock.locked(folder):
      yield folder


def write_together(folder: Path, texts: Mapping[str, str]) -> None:
  """Writes files of `folder` aside, by name, then renames all of them: until then those that are there stay."""
  with partial_folder(folder) as aside:
    for name, text in texts.items():
      (aside / name).write_text(text, encoding="utf-8")
    with held():
      for name in texts:
        os.replace(aside / name, folder / name)


def abandoned(parent: Path) -> Iterator[Path]:
  """What killed processes left of `partial_folder`, locked while it is looked at."""
  for folder in parent.glob(_PARTIAL + lock.TOKEN_GLOB):
    if folder.is_symlink() or not folder.is_dir():
      continue
    with lock.locked(folder) as ours:
      if ours:
        yield folder


def _remove_abandoned(parent: Path) -> None:
  for folder in abandoned(parent):
    # An empty one that is new may be about to be locked.
    if any(folder.iterdir()) or time.time() - folder.stat().st_mtime > _NEW_S:
      _remove(folder, [])


def _remove(folder: Path, if_empty: list[Path]) -> None:
  shutil.rmtree(folder, ignore_errors=True)
  for path in if_empty:
    with contextlib.suppress(OSError):
      path.rmdir()


def _receive(number: int, frame: object) -> None:
  _noted.append(number)
  # A second exception would only break off the clearing up after the first.
  if len(_noted) == 1 and not _held and not _patience:
    raise Interrupted(number)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
  """A thread sees signals at once, even while the main thread is deep in a library."""
  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  threading.Thread(target=_watch, args=(reader,), daemon=True).start()
  before = signal.set_wakeup_fd(writer)
  try:
    yield
  finally:
    signal.set_wakeup_fd(before)
    os.close(writer)


def _watch(reader: int) -> None:
  """Ends the process some time after the second signal; returns when the other end of the pipe is closed."""
  with open(reader, "rb", buffering=0) as signals:
    signals.read(1)
    while second := signals.read(1):
      if _patience:
        continue
      time.sleep(GRACE_S)
      # The command may have come to what is to be waited for.
      if not _patience:
        _undo_all()
        os._exit(128 + second[0])


def _undo_all() -> None:
  for undo in reversed(_undo):
    with contextlib.suppress(Exception):
      undo()


class _Hook:
  """Tells exceptions that nobody can catch to `hook`, less those that say nothing new.

  Ours are noted anyway; and reads of a checkpoint that are under way when one of them fails find their loop closed.
  """

  def __init__(self, hook: Callable[[object], object]):
    self._hook = hook

  def __call__(self, unraisable: "sys.UnraisableHookArgs") -> None:
    error = unraisable.exc_value
    if not isinstance(error, Interrupted) and str(error) != "Event loop is closed":
      self._hook(unraisable)
