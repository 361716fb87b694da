"""A run that is stopped and started again ends where an unbroken one ends; one step's metrics are pinned."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from condfoley_jax.training import run_config
from condfoley_jax.training.metrics import MetricWriter
from condfoley_jax.training.train_loop import Run
from condfoley_jax.weights import folder
from configs import vocoder
from data_pipelines.errors import InputError


def _config(world, steps):
  config = vocoder.get_config("mini,runlocal").to_dict()
  config["model"]["istft_vocoder"] |= {"layers": 1, "width": 16, "hidden": 16}
  # They take no part, but every run makes them.
  config["model"]["melgan_discriminator"] |= {"scales": 1, "layers": 1, "width": 4}
  config["data"] |= {"train": str(world), "validation": str(world)}
  # The schedule must not depend on where the run is broken off.
  config["optimizers"]["vocoder"] |= {"schedule": "constant"}
  return config | {"steps": steps, "crop_frames": 20, "every": {"log": 1, "evaluate": 100, "checkpoint": 2}}


def _train(config, workdir):
  return Run(config, workdir).go()


def _tensors(workdir):
  return (workdir / "weights" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(world, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("unbroken")
  return workdir, _train(_config(world, 6), workdir)


def test_resumed_run_ends_in_the_same_weights(world, unbroken, tmp_path):
  _train(_config(world, 4), tmp_path)
  _train(_config(world, 6), tmp_path)
  assert _tensors(tmp_path) == _tensors(unbroken[0])
  lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert [line["step"] for line in lines if "train/loss" in line] == [1, 2, 3, 4, 5, 6]


def test_what_a_killed_run_told_of_steps_that_are_done_again_is_dropped(world, unbroken, tmp_path):
  _train(_config(world, 4), tmp_path)
  with (tmp_path / "metrics.jsonl").open("a") as f:
    f.write('{"step": 5, "train/loss": 9.0}\n{"step": 6, "trai')
  _train(_config(world, 6), tmp_path)
  expected = {k: v for k, v in _numbers(unbroken[0]).items() if k[1] == "train/loss"}
  assert {k: v for k, v in _numbers(tmp_path).items() if k[1] == "train/loss"} == expected


@pytest.mark.parametrize(("cut", "added"), [(1, b""), (0, b"\xff\xfe\n"), (0, b"\0\0\0")])
def test_what_a_crash_left_of_the_metrics_is_mended(tmp_path, cut, added):
  lines = b'{"step": 1, "train/loss": 1.0}\n{"step": 2, "train/loss": 2.0}\n'
  (tmp_path / "metrics.jsonl").write_bytes(lines[: len(lines) - cut] + added)
  writer = MetricWriter(tmp_path, last_step=2)
  writer.scalars(3, {"train/loss": 3.0})
  writer.close()
  assert _numbers(tmp_path) == {(step, "train/loss"): float(step) for step in (1, 2, 3)}


def test_a_number_that_is_not_finite_is_one_that_json_has(tmp_path):
  writer = MetricWriter(tmp_path, last_step=0)
  writer.scalars(1, {"train/loss": np.nan, "train/grad_norm": np.inf})
  writer.close()
  assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "train/loss": null, "train/grad_norm": null}\n'


def test_weights_that_cannot_be_stored_are_told_and_the_checkpoints_stay(world, unbroken, tmp_path, monkeypatch):
  monkeypatch.setattr(Run, "_choose_best", lambda self: None)
  shutil.copytree(unbroken[0], tmp_path / "copy")
  shutil.rmtree(tmp_path / "copy" / "weights")
  run = Run(_config(world, 6), tmp_path / "copy")
  run.state = dataclasses.replace(run.state, params=jax.tree.map(lambda x: x + 1e6, run.state.params))
  with pytest.raises(
    InputError, match=r"weights: not written, since .* is not finite in float16; the checkpoints stay"
  ):
    run.go()
  assert (tmp_path / "copy" / "checkpoints" / "6").is_dir() and not (tmp_path / "copy" / "weights").exists()


def _numbers(workdir):
  """Every line's (step, name) and value; a second of the same step and name would be an error."""
  found = {}
  for line in map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines()):
    for name in ("train/loss", "validation/loss"):
      if name in line:
        assert (line["step"], name) not in found
        found[line["step"], name] = line[name]
  return found


def test_another_config_is_refused_where_a_run_goes_on(world, unbroken):
  workdir = unbroken[0]
  before = (workdir / "metrics.jsonl").read_bytes()
  with pytest.raises(InputError, match=r"trained with seed 0, not 1; name another --workdir"):
    _train(_config(world, 8) | {"seed": 1}, workdir)
  assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_disk_that_is_full_leaves_the_config_whole(world, tmp_path, monkeypatch):
  run_config.write(_config(world, 6), tmp_path)
  before = (tmp_path / "config.json").read_bytes()

  def cut(path, text, **_):
    path.write_bytes(text[:10].encode())
    raise OSError("No space left on device")

  monkeypatch.setattr(Path, "write_text", cut)
  with pytest.raises(OSError, match="No space left"):
    run_config.write(_config(world, 8), tmp_path)
  assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_that_was_done_is_scored_and_writes_its_weights_again(world, unbroken, tmp_path):
  """Even if fewer steps are asked for than there were: its scores are told once, of the step that they are of."""
  shutil.copytree(unbroken[0], tmp_path / "copy")
  shutil.rmtree(tmp_path / "copy" / "weights")
  # As if SIGTERM had come in the last step.
  (tmp_path / "copy" / "checkpoints" / "scores.json").unlink()
  assert _train(_config(world, 5), tmp_path / "copy") == pytest.approx(unbroken[1])
  assert _tensors(tmp_path / "copy") == _tensors(unbroken[0])
  assert _numbers(tmp_path / "copy") == pytest.approx(_numbers(unbroken[0]))
  noted = json.loads((tmp_path / "copy" / "checkpoints" / "scores.json").read_text())
  assert noted == {"6": pytest.approx(unbroken[1])}


def test_scores_are_returned_and_written(unbroken):
  workdir, scores = unbroken
  assert np.isfinite(list(scores.values())).all()
  last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
  assert last["validation/loss"] == pytest.approx(scores["loss"])


def test_another_seed_gives_other_weights(world, unbroken, tmp_path):
  _train(_config(world, 6) | {"seed": 1}, tmp_path)
  assert _tensors(tmp_path) != _tensors(unbroken[0])


def test_too_little_validation_data_is_said_before_anything_is_written(world, tmp_path):
  with pytest.raises(InputError, match="fewer than 64 examples"):
    _train(_config(world, 1) | {"batch_size": 64}, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_weights_load(unbroken):
  assert set(folder.load(unbroken[0] / "weights").components) == {"vocoder"}
