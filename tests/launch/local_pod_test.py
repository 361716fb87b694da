"""Processes of this machine as a pod: where one is killed all begin again, and what is trained stays the same."""

import json
import signal
import threading
import time

import pytest

from launch import local_pod

STEPS = 8
TRAIN = (
  "train", "--config", "configs/vocoder.py:mini,runlocal",
  "--config.model.istft_vocoder.layers=1", "--config.model.istft_vocoder.width=16",
  "--config.model.istft_vocoder.hidden=16", "--config.crop_frames=20", f"--config.steps={STEPS}",
  "--config.batch_size=8", "--config.every.checkpoint=2",
)  # fmt: skip


def words(world, workdir):
  return [*TRAIN, "--workdir", str(workdir), *(f"--config.data.{s}={world}" for s in ("train", "validation"))]


def losses(workdir):
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def kill_one_after(monkeypatch, workdir, checkpoint):
  """Kills the third process of the first pod once `checkpoint` is there; gives back the pods that were begun."""
  pods, begin = [], local_pod.LocalPod.begin

  def watch(process):
    while not (workdir / "checkpoints" / str(checkpoint)).exists() and process.poll() is None:
      time.sleep(0.05)
    process.send_signal(signal.SIGKILL)

  def began(self):
    begin(self)
    pods.append([process.pid for process in self.running])
    if len(pods) == 1:
      threading.Thread(target=watch, args=(self.running[2],), daemon=True).start()

  monkeypatch.setattr(local_pod.LocalPod, "begin", began)
  return pods


@pytest.mark.slow
def test_a_pod_that_loses_a_process_ends_with_the_loss_of_one_that_does_not(world, tmp_path, monkeypatch, capfd):
  pod = ["--processes", "4", "--devices", "2", "--"]
  assert local_pod.main([*pod, *words(world, tmp_path / "whole")]) == 0
  pods = kill_one_after(monkeypatch, tmp_path / "killed", 4)
  assert local_pod.main([*pod, *words(world, tmp_path / "killed")]) == 0
  assert "process 2 was killed by signal 9; begun again" in capfd.readouterr().err
  assert len(pods) == 2 and not set(pods[0]) & set(pods[1])
  whole, killed = losses(tmp_path / "whole"), losses(tmp_path / "killed")
  assert set(whole) == set(killed) == set(range(1, STEPS + 1))
  assert killed[STEPS] == whole[STEPS]
  assert (tmp_path / "killed" / "weights" / "model.safetensors").exists()


@pytest.mark.parametrize(("flag", "value"), [("--processes", "0"), ("--devices", "0"), ("--restarts", "-1")])
def test_numbers_that_make_no_pod_are_one_line(capfd, flag, value):
  assert local_pod.main([flag, value, "--", "train"]) == 2
  assert f"local_pod: {flag} {value}: must be" in capfd.readouterr().err


def test_wrong_use_ends_it_at_once(tmp_path, capfd):
  assert local_pod.main(["--", "train", "--config", "nosuch.py", "--workdir", str(tmp_path / "x")]) == 2
  assert capfd.readouterr().err.count("no such config") == 1
