"""Takes split over eight devices, the model whole or in parts, are those of one device."""

import json
import os
import subprocess
import sys

import numpy as np
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
from condfoley_jax import sharding
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


WHOLE = {"one": (1, 1, 1), "data, by takes": (8, 1, 1), "data, by jobs": (2, 1, 1), "in parts": (4, 1, 2)}
WHOLE_SCRIPT = """
import json, sys, jax, numpy as np
from flax import nnx
from condfoley_jax.clip import MINI
from condfoley_jax.conventions import Conventions
from condfoley_jax.sampling import placement
from condfoley_jax.sampling.generate import Example, Generator, Job
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax import sharding
from condfoley_jax.weights.folder import Weights
from tests import small

weights = Weights(MINI, Conventions(detail_frames=7), small.parts(), "none")
rng = np.random.default_rng(0)
pictures = lambda frames: rng.integers(0, 256, (frames, MINI.frame_size, MINI.frame_size, 3), np.uint8)
example = lambda: Example(pictures(MINI.frames), rng.uniform(-0.5, 0.5, MINI.samples).astype(np.float32))
jobs = [Job(pictures(52), example(), range(3)), Job(pictures(40), example(), range(2))]

def run(sizes):
  mesh = sharding.make_mesh(sharding.MeshConfig(*sizes), jax.devices()[: int(np.prod(sizes))])
  generator = Generator(weights, mesh)
  begun = generator.begin(jobs, Sampling(guidance=2.0))
  made = generator.finish(begun, jobs)
  told = dict(grids=[m.grids.tolist() for m in made], syncs=[[x.tolist() for x in m.syncs] for m in made])
  audio = begun[0].audio
  return told | dict(audio=[m.audio[:, ::500].tolist() for m in made], shard=audio.sharding.shard_shape(audio.shape))

def mesh_where_there_is(room):
  placement._memory = lambda device: room
  return list(placement.mesh_of(weights.components).shape.values())

size = sum(x.nbytes for x in jax.tree.leaves(nnx.state(nnx.Dict(weights.components))))
meshes = [mesh_where_there_is(size * times) for times in (2.0, 1.9, 0.4, 0.1)]
print(json.dumps({"meshes": meshes} | {name: run(sizes) for name, sizes in json.loads(sys.argv[1]).items()}))
"""


def _on_eight_devices(script, cases):
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
  words = [sys.executable, "-c", script, json.dumps(cases)]
  return json.loads(subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.fixture(scope="module")
def runs():
  return _on_eight_devices(SCRIPT, CASES)


@pytest.fixture(scope="module")
def whole_runs():
  return _on_eight_devices(WHOLE_SCRIPT, WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WHOLE if name != "one"])
def test_sound_and_scores_are_those_of_one_device(whole_runs, name):
  found, expected = whole_runs[name], whole_runs["one"]
  assert found["grids"] == expected["grids"]
  for key, most in (("audio", 1e-4), ("syncs", 1e-4)):
    for mine, theirs in zip(found[key], expected[key], strict=True):
      np.testing.assert_allclose(mine, theirs, atol=most)


@pytest.mark.slow
def test_whole_takes_or_jobs_are_split(whole_runs):
  assert whole_runs["one"]["shard"][:2] == [2, 3]
  assert whole_runs["data, by takes"]["shard"][:2] == [2, 1]
  assert whole_runs["data, by jobs"]["shard"][:2] == [1, 3]


@pytest.mark.parametrize("name", ["data", "fsdp x tensor", "data, jobs"])
def test_codes_are_those_of_one_device(runs, name):
  assert runs[name]["codes"] == runs["one, jobs" if "jobs" in name else "one"]["codes"]


def test_takes_or_jobs_are_split(runs):
  assert runs["data"]["shard"][:2] == runs["data, jobs"]["shard"][:2] == [1, 1]
  assert runs["fsdp x tensor"]["shard"][:2] == [1, 2]
  whole, part = runs["fsdp x tensor"]["kernel"]
  assert part[-1] == whole[-1] // 2 and part[-2] == whole[-2] // 4


@pytest.mark.slow
def test_weights_are_in_as_few_parts_as_fit_in_half_the_memory(whole_runs):
  assert whole_runs["meshes"] == [[8, 1, 1], [4, 1, 2], [1, 1, 8], [1, 1, 8]]
