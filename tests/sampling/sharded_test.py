"""Takes split over eight devices, the model whole or in parts, are those of one device."""

import json
import os
import subprocess
import sys

import pytest

FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
# Mesh, then jobs and takes: eight takes of one job, or one of each of eight.
CASES = {
  "one": [(1, 1, 1), (1, 8)],
  "data": [(8, 1, 1), (1, 8)],
  "fsdp x tensor": [(1, 4, 2), (1, 8)],
  "one, jobs": [(1, 1, 1), (8, 1)],
  "data, jobs": [(8, 1, 1), (8, 1)],
}
SCRIPT = """
import functools, json, sys, jax, numpy as np
from flax import nnx
from jax.sharding import PartitionSpec as P
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.transformer import Transformer
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.training import sharding
from configs.sharding import RULES
from tests.fill import filled
from tests.sampling.decode_loop_test import TINY

def run(sizes, shape):
  mesh = sharding.make_mesh(sharding.MeshConfig(*sizes), jax.devices()[: int(np.prod(sizes))])
  graph, state = nnx.split(filled(lambda: Transformer(TINY, rngs=Keys(0))))
  pure = {"transformer": nnx.to_pure_dict(state)}
  placed = jax.device_put(pure, sharding.parameter_shardings(pure, RULES, mesh))
  nnx.replace_by_pure_dict(state, placed["transformer"])
  rng = np.random.default_rng(0)
  features = rng.standard_normal((2, shape[0], TINY.frames, TINY.feature_width), np.float32)
  codes = rng.integers(0, TINY.vocab, (shape[0], TINY.codes), np.int32)
  keys = jax.random.split(jax.random.key(0), shape)
  with jax.set_mesh(mesh):
    made = jax.jit(functools.partial(sample_codes, count=TINY.codes))(
      nnx.merge(graph, state), *features, codes, np.zeros((*shape, 0), np.int32), keys, Sampling(0.8, 7))
  kernel = placed["transformer"]["blocks"][0]["mlp_in"]["kernel"]
  return dict(codes=np.asarray(made).tolist(), shard=made.sharding.shard_shape(made.shape),
              kernel=[kernel.shape, kernel.sharding.shard_shape(kernel.shape)])

print(json.dumps({name: run(*case) for name, case in json.loads(sys.argv[1]).items()}))
"""


@pytest.fixture(scope="module")
def runs():
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
  words = [sys.executable, "-c", SCRIPT, json.dumps(CASES)]
  return json.loads(subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.parametrize("name", ["data", "fsdp x tensor", "data, jobs"])
def test_codes_are_those_of_one_device(runs, name):
  assert runs[name]["codes"] == runs["one, jobs" if "jobs" in name else "one"]["codes"]


def test_takes_or_jobs_are_split(runs):
  assert runs["data"]["shard"][:2] == runs["data, jobs"]["shard"][:2] == [1, 1]
  assert runs["fsdp x tensor"]["shard"][:2] == [1, 2]
  whole, part = runs["fsdp x tensor"]["kernel"]
  assert part[-1] == whole[-1] // 2 and part[-2] == whole[-2] // 4
