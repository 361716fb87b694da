"""The same global batches on one device and on meshes of eight; what a device holds of each."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

STEPS = 8
FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
MESHES = {"one": (1, 1, 1), "data": (8, 1, 1), "fsdp x tensor": (1, 4, 2)}
SCRIPT = f"""
import json, sys, jax, numpy as np
from condfoley_jax.training import parameters
from condfoley_jax.training.program import Program
from condfoley_jax.sharding import place_batch
from configs import transformer
from tests.fill import filled

def run(sizes):
  config = transformer.get_config("mini,batch_size=8,steps={STEPS},data.cache=unread").to_dict()
  # What a cache spares the step takes no part.
  config["model"] = {{"transformer": config["model"]["transformer"]}}
  config["model"]["transformer"] |= dict(layers=2, width=32, heads=4, vocab=64, feature_width=8, audio_token="learned")
  config["model"]["transformer"] |= dict(scan_layers=True, remat="full")
  # Few steps, so at the full rate from the first.
  config["optimizers"]["transformer"]["warmup_steps"] = 0
  config["mesh"] = dict(zip(("data", "fsdp", "tensor"), sizes))
  program = Program(config, jax.devices()[:int(np.prod(sizes))])
  # In place of drawing them: compiling what draws them took most of the time.
  program._initial = filled(program._made, scale=0.05)
  state, frozen = program.create()
  step, losses = program.lower("train").compile(), []
  for i in range({STEPS}):
    rng = np.random.default_rng(i)
    batch = {{k: rng.integers(0, 64, x.shape, np.int32) if x.dtype == "int32" else
              rng.standard_normal(x.shape, np.float32) for k, x in program.batch().items()}}
    state, metrics = step(state, frozen, place_batch(batch, program.mesh, 8), jax.random.key(1))
    losses.append(float(metrics["loss"]))
  held = dict(parameters=state.params, optimiser=state.opt_state)
  return dict(losses=losses) | {{name: parameters.per_device(tree) for name, tree in held.items()}}

print(json.dumps({{name: run(sizes) for name, sizes in json.loads(sys.argv[1]).items()}}))
"""


@pytest.fixture(scope="module")
def runs():
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
  words = [sys.executable, "-c", SCRIPT, json.dumps(MESHES)]
  return json.loads(subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.parametrize("name", [name for name in MESHES if name != "one"])
def test_losses_are_those_of_one_device(runs, name):
  assert len(runs[name]["losses"]) == STEPS and runs["one"]["losses"][-1] != runs["one"]["losses"][0]
  np.testing.assert_allclose(runs[name]["losses"], runs["one"]["losses"], rtol=1e-5)


def test_a_device_holds_its_part(runs):
  """All but norms, biases, positions and the projections of features is split over fsdp and tensor."""
  whole = runs["one"]
  for what in ("parameters", "optimiser"):
    assert runs["data"][what] == whole[what]
    assert runs["fsdp x tensor"][what] < 0.3 * whole[what]
