"""`condfoley train` as two processes of one run, with the environment that starts them."""

import json
import os
import socket
import subprocess
import sys

import pytest

from condfoley_jax.weights import folder

STEPS = 3
TINY = [
  "--config.model.istft_vocoder.layers=1",
  "--config.model.istft_vocoder.width=16",
  "--config.model.istft_vocoder.hidden=16",
  "--config.crop_frames=20",
  f"--config.steps={STEPS}",
]


def _start(world, workdir, environment):
  data = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  words = ["train", "--config", "configs/vocoder.py:mini,runlocal", "--workdir", str(workdir), *data, *TINY]
  return subprocess.Popen(
    [sys.executable, "-m", "condfoley_jax.cli", *words],
    env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
    stderr=subprocess.PIPE,
    text=True,
  )


def _losses(workdir):
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return [line["train/loss"] for line in lines if "train/loss" in line]


def _free_port() -> int:
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


@pytest.mark.slow
def test_two_processes_train_as_one_and_the_first_writes(world, tmp_path):
  address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{_free_port()}", "JAX_NUM_PROCESSES": "2"}
  runs = [_start(world, tmp_path / "two", {**address, "JAX_PROCESS_ID": str(i)}) for i in range(2)]
  told = [run.communicate(timeout=300)[1] for run in runs]
  assert [run.returncode for run in runs] == [0, 0], told
  alone = _start(world, tmp_path / "one", {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"})
  assert not alone.communicate(timeout=300)[0] and not alone.returncode
  assert len(_losses(tmp_path / "two")) == STEPS
  assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-5)
  assert set(folder.load(tmp_path / "two" / "weights").components) == {"vocoder"}
  assert "train 3/3" in told[0] and "train 3/3" not in told[1]


@pytest.mark.parametrize(
  ("count", "index", "words"),
  [("", "0", "JAX_NUM_PROCESSES: `` is not a number"), ("2", "2", "JAX_PROCESS_ID: 2 is not below")],
)
def test_a_wrong_environment_is_one_line(world, tmp_path, count, index, words):
  address = {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:1", "JAX_NUM_PROCESSES": count, "JAX_PROCESS_ID": index}
  run = _start(world, tmp_path / "w", address)
  (line,) = run.communicate(timeout=100)[1].splitlines()
  assert run.returncode == 2 and words in line and not (tmp_path / "w").exists()
