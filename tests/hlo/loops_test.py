"""Loops count as often as they run, and say so where that is unknown."""

import re

import jax
import jax.numpy as jnp
import pytest

from condfoley_jax.hlo import cost
from tests.hlo import programs
from tests.hlo.programs import array

ONE = 2 * 8 * 16 * 16


def _noteless(text: str) -> str:
  """As TPU programs are: without the compiler's note of how often a loop runs."""
  assert "known_trip_count" in text
  return re.sub(r", backend_config=\{.*", "", text)


@pytest.mark.parametrize("edit", [str, _noteless])
@pytest.mark.parametrize(
  ("function", "times"),
  [
    (programs.layers, 7),
    (lambda x, w: jax.lax.fori_loop(3, 10, lambda i, x: x @ w[i % 7], x), 7),
    (lambda x, w: jax.lax.fori_loop(0, 3, lambda i, x: programs.layers(x, w), x), 21),
  ],
)
def test_a_loop_counts_as_often_as_it_runs(function, times, edit):
  text = programs.compiled(function, array(8, 16), array(7, 16, 16)).as_text()
  found = cost.of_text(edit(text))
  assert found.flops == times * ONE and found.unknown_loops == 0


def test_steps_that_are_not_one_are_seen():
  def every_third(x, w):
    return jax.lax.while_loop(lambda s: s[0] < 10, lambda s: (s[0] + 3, s[1] @ w), (jnp.int32(1), x))[1]

  text = programs.compiled(every_third, array(8, 16), array(16, 16)).as_text()
  assert cost.of_text(_noteless(text)).flops == 3 * ONE


def test_a_loop_that_the_data_end_counts_once_and_is_told():
  def until_large(x, w):
    return jax.lax.while_loop(lambda x: x.sum() < 10, lambda x: x @ w, x)

  found = cost.of_text(programs.compiled(until_large, array(8, 16), array(16, 16)).as_text())
  assert found.flops == ONE and found.unknown_loops == 1
