"""A hundred takes of 2 s at the published size: float32, on this machine, codes alone, and from frames to ranked sound.

What codes are compared with runs in turn with ours, in the same run: the published way, a forward pass of the whole
sequence for each code of each take (a few codes are timed); GPT-2 of the same size by Hugging Face, with its cache, all
takes in one batch, the prefix repeated; and what the machine could do, were it busy all the time with the products and
the reading that cannot be done without. The first two need the extra `bench` and are left out without it.

The whole, sound and SparseSync's verdicts included, is compared with the published chain's parts added up: codes as
above, then each take by itself through codec, vocoder and SparseSync, which sees the query anew for each. Those parts
are ours, one take of which is timed.
"""

import functools
import importlib.util
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from condfoley_jax.clip import PAPER
from condfoley_jax.conventions import PUBLISHED
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sync import FPS, SparseSync, SparseSyncConfig
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.generate import Example, Generator, Job
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.sampling.program import vocode
from condfoley_jax.sampling.rerank import score_sparse
from condfoley_jax.weights import registry
from condfoley_jax.weights.folder import Weights
from configs.models import models

TAKES, ROUNDS = 100, 2
# Codes that the published way is timed for, of each take's 50.
_TIMED_CODES = 3
_GOALS = {"published": 150.0, "gpt2": 1.0, "machine": 1 / 1.6}


def rows() -> list[dict]:
  """A row per comparison: takes a second."""
  model = registry.build("transformer", models("paper_gh").transformer.to_dict(), rngs=Keys(0))
  runs = {"ours": _ours(model)}
  if all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
    runs |= {"published": _published(model.config), "gpt2": _gpt2(model.config)}
  else:
    print("sampler: PyTorch and transformers are left out: pip install 'condfoley-jax[bench]'", file=sys.stderr)
  found = _in_turn(runs) | {"machine": _machine(model)}
  if "published" in found:
    found["published"] *= TAKES * model.config.codes / _TIMED_CODES
  against = {
    "published": f"a forward pass of {model.config.fed} positions per code and take, PyTorch",
    "gpt2": "GPT-2 of the same size with its cache, Hugging Face, all takes in one batch",
    "machine": "products and reading at the rates measured",
  }
  made = [
    _row("codes only", found["ours"], found[name], text, _GOALS[name])
    for name, text in against.items()
    if name in found
  ]
  if "published" in found:
    whole, alone = _whole(model)
    text = "the published chain's parts added up, one take at a time"
    made.append(_row("ranked sound", whole, found["published"] + TAKES * alone, text, None))
  return made


def _row(what: str, ours: float, other: float, against: str, goal: float | None) -> dict:
  """Of seconds for all takes."""
  return {
    "case": f"paper, {TAKES} takes of 2 s, {what}",
    "ours": TAKES / ours,
    "other": TAKES / other,
    "against": against,
    "unit": "takes/s",
    "ratio": other / ours,
    "goal": goal,
    "device": jax.devices()[0].device_kind,
  }


def _ours(model: Transformer) -> Callable[[], object]:
  config, key = model.config, jax.random.key(0)
  features = jax.random.normal(key, (1, config.frames, config.feature_width))
  codes = jax.random.randint(key, (1, config.codes), 0, config.vocab)
  keys, history = jax.random.split(key, (1, TAKES)), jnp.zeros((1, TAKES, 0), jnp.int32)
  program = jax.jit(functools.partial(sample_codes, count=config.codes))
  sampling = Sampling(1.0, config.vocab // 2)
  return lambda: jax.block_until_ready(program(model, features, features, codes, history, keys, sampling))


def _published(config) -> Callable[[], object]:
  """A few codes of one take."""
  import torch

  layer = torch.nn.TransformerEncoderLayer(
    config.width, config.heads, 4 * config.width, 0.0, "gelu", batch_first=True, norm_first=True
  )
  blocks = torch.nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False).eval()
  head = torch.nn.Linear(config.width, config.vocab, bias=False)
  x = torch.randn(1, config.fed, config.width)
  mask = torch.nn.Transformer.generate_square_subsequent_mask(config.fed)

  @torch.inference_mode()
  def run():
    for _ in range(_TIMED_CODES):
      torch.multinomial(head(blocks(x, mask=mask, is_causal=True)).softmax(-1)[0, -1], 1)

  return run


def _gpt2(config) -> Callable[[], object]:
  """All codes of all takes."""
  import torch
  from transformers import GPT2Config, GPT2LMHeadModel

  sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads, "vocab_size": config.vocab}
  model = GPT2LMHeadModel(GPT2Config(n_positions=config.length, **sizes)).eval()
  prefix = torch.randn(1, config.prefix, config.width)

  @torch.inference_mode()
  def run():
    out = model(inputs_embeds=prefix.repeat(TAKES, 1, 1), use_cache=True, logits_to_keep=1)
    for _ in range(config.codes - 1):
      codes = torch.multinomial(out.logits[:, -1].softmax(-1), 1)
      out = model(input_ids=codes, past_key_values=out.past_key_values, use_cache=True)
    return torch.multinomial(out.logits[:, -1].softmax(-1), 1)

  return run


def _machine(model: Transformer) -> float:
  """Seconds of the products of all decoding steps and of reading each take's own keys and values."""
  config = model.config
  x, w = jnp.ones((TAKES, config.width)), jnp.ones((config.width, 4 * config.width))
  rate = 2 * TAKES * w.size / _seconds(functools.partial(jax.jit(jnp.matmul), x, w), 20)
  block = jnp.ones(2**26)
  read = block.nbytes / _seconds(functools.partial(jax.jit(jnp.sum), block), 5)
  weights = sum(p.size for p in jax.tree.leaves(nnx.state(model.blocks))) + model.head.kernel[...].size
  steps = config.codes - 1
  own = 4 * 2 * config.layers * config.width * TAKES * steps / 2
  return steps * (2 * TAKES * weights / rate + own / read)


def _whole(transformer: Transformer) -> tuple[float, float]:
  """Seconds from frames to all ranked takes, and of one take from codes to its verdict."""
  sizes, spec, conventions = models("paper_gh"), PAPER, PUBLISHED
  kinds = {"vqgan": "vqgan", "vocoder": "melgan", "video_encoder": "video_encoder"}
  parts = {part: registry.build(kind, sizes[kind].to_dict(), rngs=Keys(0)) for part, kind in kinds.items()}
  parts |= {"transformer": transformer, "sync": SparseSync(SparseSyncConfig(), rngs=Keys(0))}
  rng, side = np.random.default_rng(0), spec.frame_size
  frames = rng.integers(0, 256, (spec.frames, side, side, 3), np.uint8)
  seen = rng.integers(0, 256, (FPS * round(spec.seconds), 224, 224, 3), np.uint8)
  example = Example(frames, rng.normal(0, 0.1, spec.example_samples).astype(np.float32))
  generator = Generator(Weights(spec, conventions, parts, "random"))
  job, sampling = Job(frames, example, range(TAKES), seen), Sampling(1.0, transformer.config.vocab // 2)

  @jax.jit
  def alone(parts, grid, seen):
    audio = vocode(parts["vocoder"], parts["vqgan"].decode(grid), spec, conventions)
    return score_sparse(parts["sync"], seen, jnp.array([seen.shape[1]]), audio[:, None], spec.sample_rate)

  grid = jnp.zeros((1, spec.code_rows, spec.code_columns), jnp.int32)
  taken = _in_turn({"all": lambda: generator.make([job], sampling), "one": lambda: alone(parts, grid, seen[None])})
  return taken["all"], taken["one"]


def _in_turn(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
  """Fastest seconds of each, in turn after a first one."""
  times: dict[str, list[float]] = {name: [] for name in runs}
  for round_ in range(ROUNDS + 1):
    for name, run in runs.items():
      time.sleep(1)  # Threads of the one before may still be waiting for work.
      took = _seconds(run, 1)
      if round_:
        times[name].append(took)
  return {name: min(took) for name, took in times.items()}


def _seconds(run: Callable[[], object], times: int) -> float:
  """Of the fastest of so many runs."""
  best = float("inf")
  for _ in range(times):
    start = time.perf_counter()
    jax.block_until_ready(run())
    best = min(best, time.perf_counter() - start)
  return best
