"""Benchmarks are run by hand; what they compile is kept compiling here."""

import pytest

from benchmarks import demand


@pytest.mark.slow
def test_a_pair_from_the_cache_costs_less_than_one_from_windows():
  windows, cached = (demand.flop_per_pair(demand.paper_program(changes)) for changes in ("", ",data.cache=unread"))
  assert 1e11 < cached < windows
