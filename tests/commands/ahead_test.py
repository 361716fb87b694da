"""Reading ahead: in order, all of it, and no more than may be held."""

import threading
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condfoley_jax.commands.ahead import read_ahead


class _Reader:
  """Reads numbers as results of so many bytes, and notes how many bytes wait at most."""

  def __init__(self):
    self.lock, self.waiting, self.most = threading.Lock(), 0, 0

  def __call__(self, size):
    if size < 0:
      raise ValueError(size)
    with self.lock:
      self.waiting += size
      self.most = max(self.most, self.waiting)
    return types.SimpleNamespace(nbytes=size)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 9), max_size=40), st.integers(1, 20), st.integers(1, 3))
def test_all_is_read_in_order_and_little_waits(sizes, held, readers):
  reader, found = _Reader(), []
  for size, future in read_ahead(sizes, reader, held=held, readers=readers):
    found.append(size)
    if size < 0:
      assert isinstance(future.exception(), ValueError)
      continue
    assert future.result().nbytes == size
    with reader.lock:
      reader.waiting -= size
  assert found == sizes
  # Each reader may have begun when there was room, and the one that is wanted passes without.
  assert reader.most <= held + 9 * (readers + 1)


def test_who_stops_taking_leaves_no_thread_behind():
  before = threading.active_count()
  taking = read_ahead([5] * 20, _Reader(), held=6, readers=2)
  next(taking)
  taking.close()
  assert threading.active_count() == before


def test_an_error_of_the_taker_ends_it(recwarn):
  with pytest.raises(KeyboardInterrupt):
    for _ in read_ahead([5] * 20, _Reader(), held=6, readers=2):
      raise KeyboardInterrupt
