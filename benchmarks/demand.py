"""What training on eight v5e chips asks of its hosts at paper size: pairs a second, and what one CPU core reads.

The step's work is what XLA counts in the lowered train step; a chip is taken to reach 40 % of its bf16 peak.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import nnx

from benchmarks import pairs
from condfoley_jax import config_tree
from condfoley_jax.clip import PAPER
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Batch, Trained
from condfoley_jax.stages.transformer import TransformerStage
from condfoley_jax.training.optimizer import OptimizerConfig, make_optimizer
from condfoley_jax.training.state import Merger, create_state, make_train_step
from configs import models, transformer
from data_pipelines import pipeline, side_shards

# A v5e chip's peak in bf16, FLOP/s, and the share of it that a well-made step reaches.
_V5E_FLOPS, _MFU, _CHIPS = 197e12, 0.4, 8
_BATCH, _PAIRS = 32, 512


def rows() -> list[dict]:
  """A row for training from windows, and one for training from a cache."""
  stage = _stage()
  with tempfile.TemporaryDirectory() as directory:
    root = Path(directory)
    pairs.make_datasets(root)
    from_windows = max(pairs.rate(lambda: pairs.read_ours(root / "paper", PAPER)) for _ in range(pairs.ROUNDS))
    cache = _cache(stage, epath.Path(directory) / "cache")
    read = lambda: [next(iterator) for iterator in [_cached(cache)] for _ in range(_PAIRS // _BATCH)]
    from_cache = max(pairs.rate(read, _PAIRS) for _ in range(pairs.ROUNDS))
  return [
    _row("windows", from_windows, _flop(stage, _windows())),
    _row("a cache", from_cache, _flop(stage, _inputs(stage))),
  ]


def _row(source: str, per_core: float, flop: float) -> dict:
  needed = _CHIPS * _V5E_FLOPS * _MFU / flop
  case = (
    f"paper, from {source}: {flop / 1e9:.0f} GFLOP a pair, so a v5e-8 at {_MFU:.0%} of peak takes {needed:.0f} pairs/s,"
    f" which {needed / per_core:.1f} cores read"
  )
  return pairs.as_row(case, per_core, needed, "what the slice takes", None)


def _stage() -> TransformerStage:
  return registry.create(transformer.get_config("paper_gh").to_dict())


def _flop(stage: TransformerStage, batch: Batch) -> float:
  """Floating-point operations of a train step, for each pair of the batch."""
  optimizers = {
    name: make_optimizer(config_tree.from_dict(OptimizerConfig, values), stage.config["steps"])
    for name, values in stage.config["optimizers"].items()
  }
  model = nnx.eval_shape(lambda: _model(stage))
  step = make_train_step(Merger(model), stage.losses("train"), optimizers, stage.after_step)
  state = jax.eval_shape(lambda: create_state(_model(stage), optimizers))
  lowered = jax.jit(step).lower(state, batch, jax.eval_shape(lambda: jax.random.key(0)))
  return lowered.cost_analysis()["flops"] / _BATCH


def _model(stage: TransformerStage) -> Trained:
  """The stage's model before anything is trained."""
  stage.config["model"] = models.models("paper_gh").to_dict()
  return Trained(**{name: stage.build(name, nnx.Rngs(0)) for name in ("transformer", "vqgan", "video_encoder")})


def _windows() -> Batch:
  frames = jax.ShapeDtypeStruct((_BATCH, PAPER.frames, PAPER.frame_resize, PAPER.frame_resize, 3), jnp.uint8)
  audio = jax.ShapeDtypeStruct((_BATCH, PAPER.samples), jnp.float32)
  return {f"{clip}_{name}": x for clip in ("target", "condition") for name, x in (("frames", frames), ("audio", audio))}


def _inputs(stage: TransformerStage) -> Batch:
  return jax.eval_shape(lambda batch: stage.inputs(_model(stage), batch, jax.random.key(0)), _windows())


def _cache(stage: TransformerStage, directory: epath.Path) -> side_shards.SideShards:
  """A cache of noise: what is in it does not change how long it takes to read."""
  arrays = {name: (str(x.dtype), x.shape[1:]) for name, x in _inputs(stage).items()}
  plan = side_shards.Plan(directory, _PAIRS, 1, arrays, {})
  plan.begin()
  rng = np.random.default_rng(0)
  noise = lambda: {name: rng.integers(0, 1024, shape).astype(dtype) for name, (dtype, shape) in arrays.items()}
  for shard in range(plan.shards):
    plan.write(shard, (noise() for _ in plan.places(shard)))
  return side_shards.SideShards(plan)


def _cached(cache: side_shards.SideShards):
  return iter(pipeline.cached_batches(cache, batch_size=_BATCH, seed=0))
