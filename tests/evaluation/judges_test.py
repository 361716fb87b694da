"""The shipped judges hear what they are kept for, on videos they were trained on: that they are the right files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from condfoley_jax.clip import MINI
from condfoley_jax.evaluation.judges import PARTS, SHIPPED, Judges
from condfoley_jax.evaluation.test_set import TestSet
from data_pipelines.builders.events import ACTIONS
from data_pipelines.errors import InputError
from tests.evaluation import trials


@pytest.fixture(scope="module")
def items(world, tmp_path_factory):
  tests = TestSet(trials.made(world, tmp_path_factory.mktemp("judges") / "test"), MINI)
  first = {trial.target: index for index, trial in reversed(list(enumerate(tests.trials)))}
  return [tests[index] for index in first.values()]


def test_they_hear_the_action_and_how_late_a_sound_is(items):
  judges, late_s = Judges(MINI, of=SHIPPED), 0.2
  in_time, moved, action = [], [], []
  for item in items:
    seen, audio = judges.watch(item.query), item.sounds.target.audio_N
    verdict = judges(audio, seen)
    in_time.append(verdict.offset_s)
    moved.append(judges(np.roll(audio, round(late_s * judges.spec.sample_rate)), seen).offset_s)
    if item.action:
      action.append(ACTIONS[verdict.action] == item.action)
  assert np.mean(np.abs(in_time) < 0.04) > 0.8
  assert np.mean(np.abs(np.array(moved) - late_s) < 0.04) > 0.7
  assert np.mean(action) > 0.8
  assert judges.furthest_s == pytest.approx(8 / MINI.fps, abs=1e-6)


def test_the_folders_of_runs_are_as_good(tmp_path):
  for part in PARTS:
    shutil.copytree(SHIPPED / part, tmp_path / part / "weights")
  assert Judges(MINI, tmp_path, of=SHIPPED).id == Judges(MINI, of=SHIPPED).id


def test_a_folder_without_one_of_them_is_named(tmp_path):
  with pytest.raises(InputError, match=f"{tmp_path}/{next(iter(PARTS))}/config.json: not found"):
    Judges(MINI, tmp_path, of=SHIPPED)


@pytest.mark.parametrize("name", PARTS)
def test_a_judge_of_other_clips_is_named(tmp_path, name):
  for part in PARTS:
    shutil.copytree(SHIPPED / part, tmp_path / part)
  path = tmp_path / name / "config.json"
  path.write_text(path.read_text().replace('"fmin": 40.0', '"fmin": 50.0'))
  words = (
    f"^weights: makes other clips than those that {tmp_path / name} judges; evaluate weights of the judges' preset"
  )
  with pytest.raises(InputError, match=words):
    Judges(MINI, tmp_path, of=Path("weights"))
