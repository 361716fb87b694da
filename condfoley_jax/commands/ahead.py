"""What is read by threads while the device works, as far ahead as memory allows."""

import collections
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Sized(Protocol):
  """Anything that knows its size in memory, bytes."""

  @property
  def nbytes(self) -> int: ...


def read_ahead(
  items: Sequence[Item], read: Callable[[Item], Sized], *, held: int, readers: int
) -> Iterator[tuple[Item, Future]]:
  """Items and what `read` makes of them, in order.

  Args:
    items: to be read.
    read: called by threads; what it raises is in the future.
    held: bytes of results that may wait to be taken; each reader may go beyond it by one result.
    readers: threads.
  """
  gate = _Gate(held)
  with ThreadPoolExecutor(readers) as pool:
    reading = collections.deque((item, pool.submit(gate.passed, n, read, item)) for n, item in enumerate(items))
    try:
      while reading:
        item, future = reading.popleft()
        gate.taken(future)
        yield item, future
        del future  # Or it would be held until the next one is there.
    finally:
      gate.open()
      pool.shutdown(cancel_futures=True)


class _Gate:
  """Lets readers pass while results that wait are few, and always the one whose result is wanted next."""

  def __init__(self, held: int):
    self._held, self._waiting, self._wanted, self._changed = held, 0, 0, threading.Condition()

  def passed(self, number: int, read: Callable[[Item], Sized], item: Item) -> Sized:
    """`read` of item `number`, once it may be read."""
    with self._changed:
      self._changed.wait_for(lambda: self._waiting < self._held or number <= self._wanted)
    result = read(item)
    with self._changed:
      self._waiting += result.nbytes
    return result

  def taken(self, future: Future) -> None:
    """Waits for the result that is wanted next, which waits no longer."""
    error = future.exception()
    with self._changed:
      self._waiting -= 0 if error else future.result().nbytes
      self._wanted += 1
      self._changed.notify_all()

  def open(self) -> None:
    """Lets all pass."""
    with self._changed:
      self._held = float("inf")
      self._changed.notify_all()
