"""A hundred takes of 2 s at the published size: float32, on this machine, codes alone.

What they are compared with runs in turn with ours, in the same run: the published way, a forward pass of the whole
sequence for each code of each take (a few codes are timed); GPT-2 of the same size by Hugging Face, with its cache, all
takes in one batch, the prefix repeated; and what the machine could do, were it busy all the time with the products and
the reading that cannot be done without. The first two need the extra `bench` and are left out without it.
"""

import functools
import importlib.util
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import registry
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
  return [
    {
      "case": f"paper, {TAKES} takes of 2 s, codes only",
      "ours": TAKES / found["ours"],
      "other": TAKES / found[name],
      "against": text,
      "unit": "takes/s",
      "ratio": found[name] / found["ours"],
      "goal": _GOALS[name],
      "device": jax.devices()[0].device_kind,
    }
    for name, text in against.items()
    if name in found
  ]


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
