"""Training steps at the published sizes, batch 1, float32, beside the published code and what the machine can do.

The published code's seconds were measured once on two such cores (PyTorch 2.13, random weights). What the machine can
do is the rate of products of matrices, measured here, in the same run. A step's arrays fill gigabytes that the C
library asks the system for anew each time: `make bench` sets GLIBC_TUNABLES=glibc.malloc.hugetlb=1, so that it gets
them in large pages, for which a third of the transformer's step would be spent waiting.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from condfoley_jax.clip import PAPER
from condfoley_jax.hlo import cost
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig
from condfoley_jax.training.program import Program
from condfoley_jax.weights import folder
from configs import transformer, vqgan

ROUNDS = 3
# Case: published seconds, and how many times faster we are to be.
PUBLISHED = {
  "transformer with its video encoder": (17.1, 2.5),
  "transformer on cached features": (3.99, 1.0),
  "VQGAN with LPAPS and discriminator": (2.45, 1.0),
}
_ATTAINABLE = 0.6


def rows() -> list[dict]:
  """Two rows per case: seconds against the published ones, and flops per second against the machine's."""
  with tempfile.TemporaryDirectory() as aside:
    folder.save(Path(aside), PAPER, {"lpaps": LPAPS(LPAPSConfig(), rngs=Keys(0))})
    programs = {
      "transformer with its video encoder": (transformer, "", "train"),
      "transformer on cached features": (transformer, ",data.cache=unread", "train"),
      "VQGAN with LPAPS and discriminator": (vqgan, f",pretrained.lpaps={aside}", "adversarial"),
    }
    return [row for case, of in programs.items() for row in _rows(case, *of)]


def _rows(case: str, config, changes: str, phase: str) -> list[dict]:
  values = config.get_config(f"paper_gh,batch_size=1,dtype=float32{changes}").to_dict()
  program = Program(values)
  state, frozen = program.create()
  step = program.lower(phase).compile()
  flops = cost.of_text(step.as_text()).flops
  batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), program.batch())
  seconds, rates = [], []
  for _ in range(ROUNDS + 1):  # The first touches memory for the first time.
    rates.append(machine_rate())
    start = time.perf_counter()
    state, _ = jax.block_until_ready(step(state, frozen, batch, jax.random.key(1)))
    seconds.append(time.perf_counter() - start)
  ours, (other, goal), machine = min(seconds[1:]), PUBLISHED[case], max(rates)
  device = jax.devices()[0].device_kind
  return [
    _row(case, ours, other, "the published code, measured once", "s", other / ours, goal, device),
    _row(
      case,
      flops / ours / 1e9,
      machine / 1e9,
      "products of 2048",
      "GFLOP/s",
      flops / ours / machine,
      _ATTAINABLE,
      device,
    ),
  ]


def _row(case, ours, other, against, unit, ratio, goal, device) -> dict:
  names = ("case", "ours", "other", "against", "unit", "ratio", "goal", "device")
  return dict(zip(names, (case, ours, other, against, unit, ratio, goal, device), strict=True))


def machine_rate(size: int = 2048) -> float:
  """Flops per second of a product of square float32 matrices."""
  x = jnp.ones((size, size))
  return 2 * size**3 / _seconds(lambda: _product(x))


@jax.jit
def _product(x: jax.Array) -> jax.Array:
  return x @ x


def _seconds(function: Callable[[], jax.Array]) -> float:
  jax.block_until_ready(function())
  start = time.perf_counter()
  jax.block_until_ready(function())
  return time.perf_counter() - start
