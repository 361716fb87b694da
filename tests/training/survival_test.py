"""Runs that are killed, stopped, lose their disk or meet numbers that are not finite."""

import contextlib
import gc
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax import cli
from condfoley_jax.stages.vocoder import VocoderStage
from condfoley_jax.training import preemption
from condfoley_jax.training.checkpoints import Best, Checkpoints, read_best
from condfoley_jax.training.setbacks import Setbacks
from data_pipelines.errors import InputError
from data_pipelines.interrupt import Interrupted

STEPS = 24
# Discriminators take no part, but every process makes them and every checkpoint holds them.
TINY = (
  *(f"istft_vocoder.{size}" for size in ("layers=1", "width=16", "hidden=16", "kernel=3")),
  *(f"melgan_discriminator.{size}" for size in ("scales=1", "layers=1", "width=4")),
)


def words(world, workdir, *more):
  data = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  sizes = [f"--config.model.{size}" for size in TINY]
  every = ["--config.every.log=1", "--config.every.checkpoint=2", "--config.every.evaluate=1000"]
  # What is done between steps is what a kill can hit: steps themselves are short.
  config = f"configs/vocoder.py:mini,runlocal,steps={STEPS},crop_frames=20,keep_best=loss:min,ema=0.9"
  return ["train", "--config", config, "--workdir", str(workdir), *data, *sizes, *every, *more]


def started(*args):
  return subprocess.Popen(
    [sys.executable, "-m", "condfoley_jax.cli", *words(*args)],
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    stderr=subprocess.PIPE,
    text=True,
  )


def finished(world, workdir):
  """What a run that ends well tells."""
  process = started(world, workdir)
  told = process.communicate(timeout=300)[1]
  assert process.returncode == 0, told
  return told


def losses(workdir):
  """Of every step, the last that was told: a step that is done again is told again."""
  path = workdir / "metrics.jsonl"
  lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
  return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def wait_for_step(process, workdir, step):
  while process.poll() is None and max(losses(workdir), default=0) < step:
    time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(world, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("unbroken")
  return workdir, finished(world, workdir)


def weights(workdir):
  return (workdir / "weights" / "model.safetensors").read_bytes()


def test_killed_at_random_steps_it_ends_as_if_it_had_not_been(world, unbroken, tmp_path):
  rng = random.Random(0)
  for _ in range(3):
    process = started(world, tmp_path)
    wait_for_step(process, tmp_path, max(losses(tmp_path), default=0) + rng.randint(1, 6))
    process.kill()
    process.communicate()
  assert process.returncode == -signal.SIGKILL and max(losses(tmp_path)) < STEPS
  finished(world, tmp_path)
  assert losses(tmp_path) == losses(unbroken[0]) and list(losses(tmp_path)) == list(range(1, STEPS + 1))
  assert weights(tmp_path) == weights(unbroken[0])


def test_sigterm_saves_the_step_and_the_same_command_goes_on(world, unbroken, tmp_path):
  process = started(world, tmp_path)
  wait_for_step(process, tmp_path, 3)
  process.terminate()
  told = process.communicate(timeout=300)[1].splitlines()
  assert process.returncode == 128 + signal.SIGTERM
  assert told[-1] == "condfoley train: interrupted by SIGTERM"
  last = max(losses(tmp_path))
  assert f"stopped by SIGTERM and saved at step {last}; the same command goes on from there" in told
  assert (tmp_path / "checkpoints" / str(last)).is_dir() and not (tmp_path / "weights").exists()
  finished(world, tmp_path)
  assert losses(tmp_path) == losses(unbroken[0]) and weights(tmp_path) == weights(unbroken[0])


@pytest.mark.slow
def test_a_step_that_sigterm_kept_from_being_scored_is_scored_when_the_run_goes_on(world, tmp_path, monkeypatch):
  """The scores are those of a run that nothing stopped, and it can be the best."""
  more = ["--config.every.evaluate=2", "--config.steps=6", "--config.optimizers.vocoder.learning_rate=0.05"]
  assert cli.main(words(world, tmp_path / "whole", *more)) == 0
  best = min(validated(tmp_path / "whole"), key=validated(tmp_path / "whole").get)
  assert best < 6  # Or the last one would be the best whatever is known of those before.
  with monkeypatch.context() as patch:
    patch.setattr(preemption.Preemption, "reached", lambda self, step: step == best)
    assert cli.main(words(world, tmp_path / "cut", *more)) == 128 + signal.SIGTERM
  assert best not in validated(tmp_path / "cut")
  assert cli.main(words(world, tmp_path / "cut", *more)) == 0
  assert validated(tmp_path / "cut") == validated(tmp_path / "whole") and list(validated(tmp_path / "cut")) == [2, 4, 6]
  assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
  assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def validated(workdir):
  lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  return {line["step"]: line["validation/loss"] for line in lines if "validation/loss" in line}


@pytest.mark.slow
def test_the_best_step_is_what_is_kept(world, tmp_path, capsys):
  """Of four evaluations, two of which no checkpoint is due at; the last checkpoints are there as well."""
  more = ["--config.every.evaluate=7", "--config.optimizers.vocoder.learning_rate=0.05"]
  assert cli.main(words(world, tmp_path, *more)) == 0
  scores = validated(tmp_path)
  best = min(scores, key=scores.get)
  assert list(scores) == [7, 14, 21, 24]
  assert f"weights of step {best}, the best by loss:min" in capsys.readouterr().err
  kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdecimal()}
  assert kept == {best, 22, 24}


def _with_bad_steps(monkeypatch, bad):
  """The vocoder's loss is not a number while a gain that only the batch knows is so: in the steps numbered `bad`."""
  real = VocoderStage.losses
  calls = iter(range(10**6))

  def losses(self, phase):
    (vocoder,) = real(self, phase).values()

    def loss(model, batch, key):
      value, metrics = vocoder(model, batch, key)
      return value + jnp.where(jnp.isnan(batch["offsets"]).any(), jnp.nan, 0.0), metrics

    return {"vocoder": loss}

  from condfoley_jax import sharding

  place = sharding.place_batch

  def placed(batch, *where):
    # Validation batches have no number; they come in between but are not marked.
    if next(calls) in bad:
      batch = {**batch, "offsets": np.full_like(batch["offsets"], np.nan)}
    return place(batch, *where)

  monkeypatch.setattr(VocoderStage, "losses", losses)
  monkeypatch.setattr(sharding, "place_batch", placed)


@pytest.mark.slow
def test_steps_that_are_not_finite_are_skipped_and_after_some_the_run_goes_back(world, tmp_path, capsys, monkeypatch):
  _with_bad_steps(monkeypatch, {6, 10, 11, 12, 13})
  assert cli.main(words(world, tmp_path, "--config.skip_at_most=3")) == 0
  told = capsys.readouterr().err
  assert "3 steps in a row were not finite: back to step 10, with the data that follow" in told
  assert "skipped 1" in told
  # The steps done again are told once, and at a rate that is a time.
  lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  trained = [line for line in lines if "train/loss" in line]
  assert [line["step"] for line in trained] == list(range(1, STEPS + 1))
  assert all(line["train/seconds_per_step"] > 0 for line in trained)


@pytest.mark.parametrize(("bad", "code"), [({1, 2}, 0), (range(10**6), 2)])
def test_a_run_writes_weights_if_one_of_its_steps_was_finite(world, tmp_path, capsys, monkeypatch, bad, code):
  """Even if none was saved."""
  _with_bad_steps(monkeypatch, bad)
  assert cli.main(words(world, tmp_path, "--config.steps=3", "--config.keep_best=")) == code
  assert (tmp_path / "weights").is_dir() == (code == 0)
  assert (f"{tmp_path}: no step was finite; lower the learning rate" in capsys.readouterr().err) == (code == 2)


def test_a_run_that_never_is_finite_ends_in_one_line(world, tmp_path, capsys, monkeypatch):
  _with_bad_steps(monkeypatch, range(5, 10**6))
  assert cli.main(words(world, tmp_path, "--config.skip_at_most=2")) == 2
  last = capsys.readouterr().err.splitlines()[-1]
  assert last.startswith("condfoley train: went back 3 times to finite steps and the next were not; lower the learning")
  assert (tmp_path / "checkpoints").is_dir() and not (tmp_path / "weights").exists()


def test_not_finite_before_the_first_checkpoint_is_told():
  with pytest.raises(InputError, match="4 steps in a row were not finite before the first checkpoint"):
    Setbacks(4).go_back(None)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(world, tmp_path):
  """No file may grow beyond what the first checkpoints need."""
  run = [sys.executable, "-m", "condfoley_jax.cli", *words(world, tmp_path, "--config.steps=4")]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  assert subprocess.run(run, env=environment, stderr=subprocess.DEVNULL).returncode == 0
  longer = words(world, tmp_path, "--config.steps=8")
  limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", sys.executable, "-m", "condfoley_jax.cli", *longer]
  ended = subprocess.run(limited, env=environment, stderr=subprocess.PIPE, text=True)
  assert ended.returncode == 2, ended.stderr
  assert "Traceback" not in ended.stderr and str(tmp_path) in ended.stderr.splitlines()[-1]
  assert (tmp_path / "checkpoints" / "4").is_dir()
  assert subprocess.run([*run[:-1], "--config.steps=8"], env=environment, stderr=subprocess.DEVNULL).returncode == 0


def test_orbax_does_not_tell_at_length_that_it_was_interrupted(tmp_path, caplog, monkeypatch):
  def interrupted(*_, **__):
    raise Interrupted(signal.SIGINT)

  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    checkpoints.save(1, {"weight": jnp.zeros(2)}, {}, jax.random.key(0))
    with monkeypatch.context() as patch:
      patch.setattr("threading.Thread.join", interrupted)
      with pytest.raises(Interrupted):
        checkpoints.wait()
  assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
  ("name", "left"), [("data/metadata", "{"), ("data/metadata", None), ("state/manifest.ocdbt", None)]
)
def test_a_damaged_checkpoint_is_one_line_that_names_it(tmp_path, name, left):
  state = {"weight": jnp.zeros(2)}
  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    checkpoints.save(3, state, {}, jax.random.key(0))
    checkpoints.wait()
    (tmp_path / "3" / name).unlink()
    if left is not None:
      (tmp_path / "3" / name).write_text(left)
    with pytest.raises(InputError, match=f"{tmp_path}/3: damaged, or of another config; move it away"):
      checkpoints.restore(3, state)
    gc.collect()  # Of reads that were not begun: told here, not in a test to come.


def test_reads_that_a_failed_one_leaves_behind_say_nothing(tmp_path, monkeypatch, caplog):
  logger = logging.getLogger("asyncio")
  monkeypatch.setattr(logger, "disabled", False)

  def fail(*_, **__):
    logger.error("Task exception was never retrieved")
    raise ValueError("damaged")

  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    monkeypatch.setattr(checkpoints._manager, "restore", fail)
    with pytest.raises(InputError, match="damaged"):
      checkpoints.restore(3, {})
    logger.error("Task exception was never retrieved")
  assert not caplog.records


def test_damaged_scores_are_one_line(tmp_path):
  for text in ("{", "[1]", '{"x": {}}', '{"3": 1}'):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(InputError, match=f"{tmp_path}/scores.json: damaged; remove it"):
      Checkpoints(tmp_path)


def test_a_step_can_be_scored_after_it_was_saved_and_be_the_best(tmp_path):
  state, best = {"weight": jnp.zeros(2)}, Best("loss", highest=False)
  with contextlib.closing(Checkpoints(tmp_path, best=best)) as checkpoints:
    checkpoints.save(2, state, {}, jax.random.key(0))
  with contextlib.closing(Checkpoints(tmp_path, best=best)) as checkpoints:
    checkpoints.scores.note(2, {"loss": 1.0})
    for step, loss in ((4, 3.0), (6, 2.0), (8, 4.0)):
      checkpoints.scores.note(step, {"loss": loss})
      checkpoints.save(step, state, {}, jax.random.key(0))
    checkpoints.wait()
    assert checkpoints.best() == 2
    checkpoints.scores.note(10, {"loss": 0.0})  # The run is killed before it saves this one.
  kept = {int(p.name) for p in tmp_path.iterdir() if p.name.isdecimal()}
  assert kept == {2, 6, 8}
  with contextlib.closing(Checkpoints(tmp_path, best=best)) as checkpoints:
    assert checkpoints.best() == 2 and 10 not in checkpoints.scores


def test_scores_kept_as_they_once_were_are_told(tmp_path):
  (tmp_path / "4" / "metrics").mkdir(parents=True)
  with pytest.raises(InputError, match=f"{tmp_path}: scores are kept as an older version did; name another"):
    Checkpoints(tmp_path)


@pytest.mark.parametrize("highest", [True, False])
def test_a_score_that_is_no_number_or_missing_is_never_the_best(highest):
  best = Best("loss", highest)
  assert best({"loss": np.nan}) == best({}) == -np.inf < best({"loss": 1e30})


def test_the_best_is_the_lowest_or_the_highest_or_none():
  assert read_best("", ("loss",)) is None
  assert read_best("loss:min", ("loss",))({"loss": 2.0}) == -2 and read_best("f1:max", ("f1",))({"f1": 0.5}) == 0.5


@pytest.mark.parametrize("best", ["los:min", "loss", "loss:most", ":min"])
def test_a_score_that_there_is_not_is_refused_before_anything_is_written(world, tmp_path, capsys, best):
  workdir = tmp_path / "run"
  assert cli.main(words(world, workdir, f"--config.keep_best={best}")) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "--config.keep_best" in line and "there are convergence, log_magnitude, loss" in line
  assert not workdir.exists()


def test_a_checkpoint_that_is_refused_leaves_the_run_as_it_was(world, unbroken, tmp_path, capsys):
  """Its config and its numbers: another attempt goes on from the step before."""
  workdir = tmp_path / "run"
  shutil.copytree(unbroken[0], workdir)
  last = max(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdecimal())
  (workdir / "checkpoints" / str(last) / "data" / "metadata").write_text("{")
  before = {name: (workdir / name).read_bytes() for name in ("config.json", "metrics.jsonl")}
  assert cli.main(words(world, workdir, "--config.steps=30")) == 2
  assert "damaged, or of another config" in capsys.readouterr().err.splitlines()[-1]
  assert {name: (workdir / name).read_bytes() for name in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("steps", [5, 9])
def test_profile_leaves_a_trace(world, tmp_path, steps):
  """Of five steps, or of what there is of them."""
  assert cli.main([*words(world, tmp_path, f"--config.steps={steps}"), "--profile"]) == 0
  assert list((tmp_path / "profile").rglob("*.xplane.pb"))
  assert (tmp_path / "parameters.txt").read_text().startswith("parameter ")
