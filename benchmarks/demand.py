"""What training on eight v5e chips asks of its hosts at paper size: pairs a second, and what one CPU core reads.

The step's work is what XLA counts in the lowered train step; a chip is taken to reach 40 % of its bf16 peak.
"""

import tempfile
from pathlib import Path

import numpy as np
from etils import epath

from benchmarks import pairs
from condfoley_jax.clip import PAPER
from condfoley_jax.stages.stage import Batch
from condfoley_jax.training.program import Program
from configs import transformer
from data_pipelines import pipeline, side_shards

# A v5e chip's peak in bf16, FLOP/s, and the share of it that a well-made step reaches.
_V5E_FLOPS, _MFU, _CHIPS = 197e12, 0.4, 8
_BATCH, _PAIRS = 32, 512


def rows() -> list[dict]:
  """A row for training from windows, and one for training from a cache."""
  windows, cached = paper_program(""), paper_program(",data.cache=unread")
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    pairs.make_datasets(root)
    cache = _cache(cached.batch(), epath.Path(directory) / "cache")
    from_windows = max(pairs.our_rate(root / "paper", PAPER) for _ in range(pairs.ROUNDS))
    from_cache = max(pairs.rate(_cached(cache), _PAIRS // _BATCH, _BATCH) for _ in range(pairs.ROUNDS))
  return [_row("windows", from_windows, flop_per_pair(windows)), _row("a cache", from_cache, flop_per_pair(cached))]


def _row(source: str, per_core: float, flop: float) -> dict:
  needed = _CHIPS * _V5E_FLOPS * _MFU / flop
  case = (
    f"paper, from {source}: {flop / 1e9:.0f} GFLOP a pair, so a v5e-8 at {_MFU:.0%} of peak takes {needed:.0f} pairs/s,"
    f" which {needed / per_core:.1f} cores read"
  )
  return pairs.as_row(case, per_core, needed, "what the slice takes", None)


def paper_program(changes: str) -> Program:
  """The paper's training, with changes to its config."""
  return Program(transformer.get_config(f"paper_gh,batch_size={_BATCH}{changes}").to_dict())


def flop_per_pair(program: Program) -> float:
  """Floating-point operations of a train step, for each pair of the batch."""
  return program.lower("train").cost_analysis()["flops"] / _BATCH


def _cache(batch: Batch, directory: epath.Path) -> side_shards.SideShards:
  """A cache of noise in the shapes of `batch`: what is in it does not change how long it takes to read."""
  arrays = {name: (str(x.dtype), x.shape[1:]) for name, x in batch.items()}
  plan = side_shards.Plan(directory, _PAIRS, 1, arrays, {})
  plan.begin()
  rng = np.random.default_rng(0)
  noise = lambda: {name: rng.integers(0, 1024, shape).astype(dtype) for name, (dtype, shape) in arrays.items()}
  for shard in range(plan.shards):
    plan.write(shard, (noise() for _ in plan.places(shard)))
  return side_shards.SideShards(plan)


def _cached(cache: side_shards.SideShards):
  return iter(pipeline.cached_batches(cache, batch_size=_BATCH, seed=0))
