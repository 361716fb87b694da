"""The command: JSON of a true training step, and one line for what cannot be rehearsed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launch import rehearse

ROOT = Path(__file__).parents[2]
SMALL = ["--config", "configs/transformer.py:mini,runlocal", "--config.model.transformer.layers=1"]
# Features and codes from a cache: the sound and the frames are not read.
SMALL += ["--config.data.cache=out/cache", "--config.batch_size=4", "--config.mesh.data=2", "--config.mesh.tensor=2"]


@pytest.mark.slow
def test_a_training_step_for_four_chips(libtpu):
  command = [sys.executable, "-m", "launch.rehearse", *SMALL, "--topology", "v5e:2x2"]
  result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
  assert result.returncode == 0, result.stderr
  found = json.loads(result.stdout)
  assert found["config"] == SMALL[1] and found["topology"] == "v5e:2x2"
  assert found["mesh"] == {"data": 2, "fsdp": 1, "tensor": 2} and found["program"] == "train"
  assert found["fits"] and found["hbm_bytes"]["needed"] < found["hbm_bytes"]["limit"]
  # Parameters and the two moments of each are donated, and come out in the same places.
  assert found["hbm_bytes"]["aliased"] > 0.9 * found["hbm_bytes"]["outputs"]
  # Gradients over data, activations over tensor.
  assert found["collectives"]["all-reduce"]["count"] > 2
  assert found["roofline_s"] == found["seconds"][found["bound"]] == max(found["seconds"].values())
  # A product with the weights takes 6 operations per parameter and position; attention and the head come on top.
  positions, parameters = 4 * 275, 12 * 192**2
  assert 1 < found["flops_per_example"] * 4 / (6 * positions * parameters) < 4


@pytest.mark.slow
def test_a_training_step_for_two_slices_sends_gradients_between_them(libtpu):
  """Each holds a copy of the parameters, of which it keeps its gradient in as many parts as it has chips along fsdp."""
  several = [*SMALL[:-2], "--config.mesh.data=2", "--config.mesh.fsdp=4", "--topology", "v5e:2x2", "--slices", "2"]
  several[several.index("--config.batch_size=4")] = "--config.batch_size=8"
  command = [sys.executable, "-m", "launch.rehearse", *several]
  result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
  assert result.returncode == 0, result.stderr
  found = json.loads(result.stdout)
  assert (found["slices"], found["devices"], found["mesh"]["fsdp"]) == (2, 8, 4)
  sent, gradient = found["collectives"]["between-slices"]["bytes"], 4 * 12 * 192**2
  assert 1 < sent / (gradient / 4) < 4
  assert found["seconds"]["slices"] == sent / 3.125e9 and found["bound"] in found["seconds"]


@pytest.mark.parametrize(
  ("arguments", "why"),
  [
    (["--topology", "v9:2x2"], "v9:2x2: no chip `v9`"),
    (["--topology", "v5e:2x2", "--config.mesh.tensor=3"], "does not take up 4 devices"),
    (["--topology", "v5e:2x2", "--config.batch_size=3"], "batch_size 3 does not divide"),
    (["--topology", "v5e:2x2", "--config.nonsense=3"], "nonsense"),
    (["--topology", "v5e:2x2", "--slices", "2", "--search"], "--search: is of one slice; leave out --slices"),
    (["--topology", "v5e:2x2", "--config.accumulate=0"], "accumulate must be 1 or more"),
    (["--topology", "v5e:2x2", "--config.mesh.tensor=1", "--config.mesh.data=4", "--sampler", "6"], "6 takes"),
  ],
)
def test_what_does_not_go_together_is_one_line(libtpu, capfd, arguments, why):
  assert rehearse.main([*SMALL, *arguments]) == 2
  output = capfd.readouterr()
  assert output.out == "" and why in output.err and output.err.count("\n") == 1


def test_only_a_transformer_samples(libtpu, capfd):
  arguments = ["--config", "configs/vqgan.py:mini", "--topology", "v5e:2x2", "--sampler", "4"]
  assert rehearse.main(arguments) == 2
  assert "only a transformer samples" in capfd.readouterr().err


@pytest.mark.parametrize("takes", ["0", "many"])
def test_takes_are_a_number(capsys, takes):
  with pytest.raises(SystemExit) as raised:
    rehearse.main([*SMALL, "--topology", "v5e:2x2", "--sampler", takes])
  assert raised.value.code == 2 and f"{takes} is not a whole number" in capsys.readouterr().err


def test_sampling_is_one_program(libtpu, capfd):
  assert rehearse.main([*SMALL, "--config.model.transformer.width=64", "--topology", "v5e:2x2", "--sampler", "8"]) == 0
  found = json.loads(capfd.readouterr().out)
  assert found["program"] == "sampler" and found["batch_size"] == 8
  # Every step is counted: each reads the weights again.
  assert found["unknown_loops"] == 0 and found["fits"]
