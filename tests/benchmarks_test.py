"""Benchmarks are run by hand; what they compile is kept compiling here."""

import pytest

from benchmarks import budget, demand


@pytest.mark.slow
def test_a_pair_from_the_cache_costs_less_than_one_from_windows():
  windows, cached = (demand.flop_per_pair(demand.paper_program(changes)) for changes in ("", ",data.cache=unread"))
  assert 1e11 < cached < windows


@pytest.mark.slow
def test_the_budget_is_of_all_that_the_shipped_weights_are_trained_by():
  trained = {name: set(program.state.params) for name, program in budget.programs()}
  assert list(trained) == list(budget.STAGES)
  players = {"vqgan", "vocoder", "video_encoder", "transformer", "sync_net", "material_classifier"}
  assert players <= set.union(*trained.values())
