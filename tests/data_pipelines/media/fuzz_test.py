"""A little of `make fuzz`, and that it tells what it is there to tell."""

import multiprocessing
import types

import numpy as np
import pytest

from tests.data_pipelines.media import fuzz


def test_damaged_files_end_in_a_result_or_one_line():
  assert fuzz.run(240, workers=2) == []


@pytest.mark.parametrize("number", [6565, 20173, 20639], ids=["48 channels", "asks for much memory", "no time"])
def test_what_once_went_wrong(number):
  assert fuzz.run(1, first=number) == []


def test_a_case_is_its_number():
  data = bytes(range(256)) * 20
  first, again, other = (fuzz.mutated(data, np.random.default_rng(seed)) for seed in (1, 1, 2))
  assert first == again != other and first != data
  assert {fuzz.mutated(data[:size], np.random.default_rng(3)) is not None for size in (0, 1, 2)} == {True}


class _Process:
  """A worker that has come to its end, or never does."""

  def __init__(self, alive):
    self.alive, self.exitcode = alive, -11

  def is_alive(self):
    return self.alive

  def join(self, seconds):
    pass

  def kill(self):
    self.alive = False


@pytest.mark.parametrize(
  ("alive", "told", "found"),
  [
    (True, None, "case 7: hangs"),
    (False, None, "case 7: the process ended (-11)"),
    (False, (7, "KeyError()"), "case 7: KeyError()"),
    (False, (None, (1000.0, 5)), "10 cases: memory grew by 1000 MiB"),
    (False, (None, (0.0, 0)), "10 cases: none of the files could be used, so that little was tried"),
    (False, (None, (0.0, 5)), None),
  ],
)
def test_what_goes_wrong_is_told(alive, told, found, monkeypatch):
  monkeypatch.setattr(fuzz, "HANGS_S", 0)
  out = multiprocessing.get_context("spawn").SimpleQueue()
  if told is not None:
    out.put(told)
  lines = list(fuzz._watch(_Process(alive), range(10), types.SimpleNamespace(value=7), out, lambda: None))
  assert lines == ([found] if found else [])
