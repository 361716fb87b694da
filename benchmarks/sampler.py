"""The cached sampler against the published way: a full forward of the whole sequence for every code."""

import functools
import time

import jax
import jax.numpy as jnp
from flax import nnx

from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.generate import sample_window
from condfoley_jax.sampling.logits import Sampling, sample
from condfoley_jax.weights import registry
from configs.models import models

ROUNDS = 3


def rows() -> list[dict]:
  """One row per number of takes, `mini` sizes, random weights."""
  model = registry.build("transformer", models("mini").transformer.to_dict(), rngs=nnx.Rngs(0))
  return [_row(model, takes) for takes in (1, 8)]


def _row(model: Transformer, takes: int) -> dict:
  config, key = model.config, jax.random.key(0)
  features = jax.random.normal(key, (takes, config.frames, config.feature_width))
  codes = jax.random.randint(key, (takes, config.codes), 0, config.vocab)
  keys, sampling = jax.random.split(key, takes), Sampling()
  cached = functools.partial(
    sample_window, model, features, features, codes, codes[:, :0], keys, sampling, model.config.codes
  )
  full = functools.partial(_full_forwards, model, features, codes, keys, sampling)
  ours, other = _interleaved(cached, full)
  return {
    "case": f"mini, {takes} takes of 2 s",
    "ours": takes / ours,
    "other": takes / other,
    "against": "a full forward per code",
    "unit": "takes/s",
    "ratio": other / ours,
    "goal": None,
    "device": jax.devices()[0].device_kind,
  }


@jax.jit
def _full_forwards(model: Transformer, features, codes, keys, sampling) -> jax.Array:
  """Codes by the published loop: a buffer with empty places, read whole for each code."""
  config = model.config

  def step(buffer, index):
    logits = model(features, features, buffer[:, :-1])[:, config.prefix - 1 + index]
    drawn = sample(logits, jax.vmap(jax.random.fold_in, (0, None))(keys, config.prefix + index), sampling)
    return buffer.at[:, config.codes + index].set(drawn), None

  buffer = jnp.concatenate([codes, jnp.zeros_like(codes)], axis=1)
  return jax.lax.scan(step, buffer, jnp.arange(config.codes))[0][:, config.codes :]


def _interleaved(a, b) -> tuple[float, float]:
  """Fastest seconds of each, run in turn after a warm-up."""
  jax.block_until_ready((a(), b()))
  times = [(_seconds(a), _seconds(b)) for _ in range(ROUNDS)]
  return tuple(min(column) for column in zip(*times, strict=True))


def _seconds(function) -> float:
  start = time.perf_counter()
  jax.block_until_ready(function())
  return time.perf_counter() - start
