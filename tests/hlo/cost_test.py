import subprocess
import sys

import jax
import jax.numpy as jnp

from condfoley_jax.hlo import cost
from tests.hlo import programs
from tests.hlo.programs import array


def test_of_branches_the_largest_counts():
  branches = lambda p, a, b: jax.lax.cond(p, lambda a, b: a @ b, lambda a, b: (a @ b) @ b, a, b)
  program = programs.compiled(branches, array(dtype=jnp.bool_), array(16, 16), array(16, 16))
  assert cost.of_text(program.as_text()).flops == 2 * 2 * 16**3


def test_the_parts_of_a_training_step_add_up():
  def step(weights, x):
    return weights - 0.1 * jax.grad(lambda w: programs.layers(x, w).sum())(weights)

  program = programs.compiled(step, array(6, 32, 32), array(8, 32), donate_argnums=0)
  # Forward, and twice that backward: in a loop the gradient of the first layer's input is computed too.
  assert cost.of_text(program.as_text()).flops == 3 * 6 * 2 * 8 * 32 * 32


def test_it_needs_nothing_heavy():
  code = "import sys, condfoley_jax.hlo.cost, condfoley_jax.chips; print(*sys.modules)"
  loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
  assert not {"jax", "numpy", "flax"} & set(loaded)
