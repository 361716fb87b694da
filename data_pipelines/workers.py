"""Work in several processes that end with the block that uses them, whatever ends it."""

import collections
import concurrent.futures.process
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from data_pipelines import interrupt
from data_pipelines.errors import InputError

Item, Result = TypeVar("Item"), TypeVar("Result")


@contextlib.contextmanager
def mapped(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Iterator[Result]]:
  """What `function` makes of the items, in their order, from `workers` processes; below 2 all is done in this one.

  Raises:
    InputError: by what is given: a process ended.
  """
  count = min(workers, len(items))
  if count < 2:
    yield map(function, items)
    return
  # Spawned, because a fork would copy the locks of the threads of whatever libraries the caller has loaded.
  context = multiprocessing.get_context("spawn")
  others = set(multiprocessing.active_children())
  with contextlib.ExitStack() as stack:
    with interrupt.held():  # A process that is half started is known to nobody.
      pool = concurrent.futures.ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
      stack.enter_context(pool)
      stack.enter_context(interrupt.undone(lambda: _kill(set(multiprocessing.active_children()) - others)))
      with _blocked():
        futures = collections.deque(pool.submit(function, item) for item in items)
    interrupt.check()
    yield _results(futures)


def _results(futures: collections.deque[concurrent.futures.Future]) -> Iterator:
  """Each is let go when it is handed out. Unlike `Executor.map` this cancels nothing when it is broken off: the
  executor's thread would raise on finding its workers gone and their work cancelled."""
  while futures:
    try:
      result = futures.popleft().result()
    except concurrent.futures.process.BrokenProcessPool as error:
      interrupt.check()  # That ends the workers too.
      raise InputError("a worker ended, perhaps for want of memory; choose fewer --workers") from error
    yield result


def _end_with_parent() -> None:
  """Ends this worker with its parent, even one that is killed: it would wait for work for ever."""

  def wait() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _kill(processes: Iterable[multiprocessing.process.BaseProcess]) -> None:
  """Ends workers at once: they hold nothing that is worth waiting for."""
  for process in processes:
    process.kill()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
  """Processes started in the block never see Ctrl-C, which a terminal sends to them too: their parent ends them."""
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
