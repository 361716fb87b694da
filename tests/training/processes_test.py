"""`condfoley train` as two processes of one run, with the environment that starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from condfoley_jax.weights import folder

STEPS = 3
TINY = [
  "--config=configs/vocoder.py:mini,runlocal",
  "--config.model.istft_vocoder.layers=1",
  "--config.model.istft_vocoder.width=16",
  "--config.model.istft_vocoder.hidden=16",
  "--config.crop_frames=20",
  f"--config.steps={STEPS}",
  "--config.batch_size=8",
]
# Of the shipped networks, and a small transformer.
FROM_CACHE = [
  "--config=configs/transformer.py:mini,runlocal",
  *(f"--config.pretrained.{name}={folder.SHIPPED}" for name in ("vqgan", "video_encoder", "vocoder", "sync_net")),
  *(f"--config.model.transformer.{name}" for name in ("layers=1", "width=32", "heads=2")),
  "--config.data.cache_epochs=1",
  f"--config.steps={STEPS}",
  "--config.batch_size=8",
]


def _start(world, workdir, environment, *more, words=TINY):
  data = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  words = ["train", "--workdir", str(workdir), *words, *data, *more]
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


def _devices(count):
  return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}


def _two(world, workdir, *more, devices=4, words=TINY):
  """Two processes of so many devices each."""
  address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{_free_port()}", "JAX_NUM_PROCESSES": "2", **_devices(devices)}
  return [_start(world, workdir, {**address, "JAX_PROCESS_ID": str(i)}, *more, words=words) for i in range(2)]


@pytest.mark.slow
# In the last two a process has but a part of each parameter, and of a batch all.
@pytest.mark.parametrize("mesh", ["data=8", "data=2,mesh.fsdp=4", "data=1,mesh.fsdp=8", "data=1,mesh.tensor=8"])
def test_two_processes_train_as_one_and_the_first_writes(world, tmp_path, mesh):
  split = [f"--config.mesh.{word.removeprefix('mesh.')}" for word in mesh.split(",")]
  runs = _two(world, tmp_path / "two", *split)
  told = [run.communicate(timeout=300)[1] for run in runs]
  assert [run.returncode for run in runs] == [0, 0], told
  alone = _start(world, tmp_path / "one", _devices(1))
  assert not alone.communicate(timeout=300)[0] and not alone.returncode
  assert len(_losses(tmp_path / "two")) == STEPS
  assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-5)
  assert set(folder.load(tmp_path / "two" / "weights").components) == {"vocoder"}
  assert "train 3/3" in told[0] and "train 3/3" not in told[1]


@pytest.mark.slow
def test_two_processes_fill_a_cache_and_train_from_it_as_one(world, tmp_path):
  cached = lambda name: f"--config.data.cache={tmp_path / name}"
  runs = _two(world, tmp_path / "two", cached("cache two"), devices=1, words=FROM_CACHE)
  told = [run.communicate(timeout=500)[1] for run in runs]
  assert [run.returncode for run in runs] == [0, 0], told
  alone = _start(world, tmp_path / "one", _devices(1), cached("cache one"), words=FROM_CACHE)
  told = alone.communicate(timeout=500)[1]
  assert not alone.returncode, told
  assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-4)


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_ends_all(world, tmp_path):
  """The same command then goes on, on another number of processes and another mesh."""
  runs = _two(world, tmp_path, "--config.steps=2000")
  while all(run.poll() is None for run in runs) and not (tmp_path / "metrics.jsonl").exists():
    time.sleep(0.1)
  time.sleep(1)
  runs[1].terminate()
  told = [run.communicate(timeout=300)[1] for run in runs]
  assert [run.returncode for run in runs] == [128 + signal.SIGTERM] * 2, told
  last = len(_losses(tmp_path))
  assert f"stopped by SIGTERM and saved at step {last}" in told[0] and 0 < last < 2000
  alone = _start(world, tmp_path, _devices(2), f"--config.steps={last + 2}", "--config.mesh.fsdp=2")
  assert not alone.communicate(timeout=300)[0] and not alone.returncode
  assert len(_losses(tmp_path)) == last + 2


@pytest.mark.parametrize(
  ("address", "count", "index", "words"),
  [
    ("127.0.0.1:1", "", "0", "JAX_NUM_PROCESSES: `` is not a number"),
    ("127.0.0.1:1", "2", "2", "JAX_PROCESS_ID: 2 is not below"),
    ("auto", "", "", "JAX_COORDINATOR_ADDRESS: auto, but this is no host of a TPU slice"),
  ],
)
def test_a_wrong_environment_is_one_line(world, tmp_path, address, count, index, words):
  address = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": count, "JAX_PROCESS_ID": index}
  run = _start(world, tmp_path / "w", address)
  (line,) = run.communicate(timeout=100)[1].splitlines()
  assert run.returncode == 2 and words in line and not (tmp_path / "w").exists()
