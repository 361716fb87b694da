"""Sweeps: every run is one that `condfoley train` takes, after those it reads; what is done is not done again."""

import subprocess

import pytest

from condfoley_jax.commands import train
from condfoley_jax.evaluation.systems import VARIANTS
from configs.sweeps import SWEEPS
from launch import sweep


def config_of(run, out, steps=None):
  _, _, config, _, _, *overrides = sweep.words_of(run, out, steps)
  return train.read_config(config, overrides)


@pytest.mark.parametrize("name", SWEEPS)
def test_runs_are_trained_in_an_order_that_can_be(name, tmp_path):
  before = set()
  for run in SWEEPS[name]():
    assert run.name not in before and set(run.pretrained.values()) <= before
    before.add(run.name)
    values = config_of(run, tmp_path, 7)
    assert values.steps == 7 and values.seed == run.changes.get("seed", 0)
    assert {values.pretrained[key] for key in run.pretrained} == {
      str(tmp_path / name / "weights") for name in run.pretrained.values()
    }
    if run.cache:
      assert values.data.cache == str(tmp_path / "caches" / run.cache)


def test_the_paper_s_systems_are_all_trained():
  assert set(VARIANTS) < {run.name for run in SWEEPS["paper_ablations"]()}


def test_systems_that_are_compared_with_one_another_are_trained_as_long(tmp_path):
  """But for what is trained further after that."""
  steps = {run.name: config_of(run, tmp_path).steps for run in SWEEPS["paper_ablations"]()}
  assert {steps[name] for name in VARIANTS if name != "specvqgan_finetuned"} == {steps["base"] // 2}


def test_what_has_no_example_borrows_nothing_of_one(tmp_path):
  configs = {run.name: config_of(run, tmp_path) for run in SWEEPS["paper_ablations"]() if run.name in VARIANTS}
  without = {name for name, config in configs.items() if not config.conventions.detail_frames}
  assert without == {"no_condition", "specvqgan", "specvqgan_finetuned"}


def test_runs_that_share_a_cache_see_the_same_pairs_by_the_same_networks(tmp_path):
  seen = {}
  for run in SWEEPS["paper_ablations"]():
    if run.cache:
      values = config_of(run, tmp_path)
      frozen = {key: run.pretrained[key] for key in ("vqgan", "video_encoder")}
      pairs = (frozen, values.data.to_dict(), values.sound.to_dict(), values.picture.to_dict(), values.seed)
      assert seen.setdefault(run.cache, pairs) == pairs
  assert len(seen) == 5


def test_a_sweep_stops_where_a_run_fails_and_goes_on_there(tmp_path, monkeypatch, capsys):
  names, failing = [run.name for run in SWEEPS["mini"]()], {"vocoder"}
  trained = []

  def run(words, check):
    name = words[words.index("--workdir") + 1].rsplit("/", 1)[1]
    trained.append(name)
    (tmp_path / name).mkdir(exist_ok=True)
    return subprocess.CompletedProcess(words, 2 if name in failing else 0)

  monkeypatch.setattr(sweep.subprocess, "run", run)
  go = lambda *more: sweep.main(["--sweep", "mini", "--out", str(tmp_path), *more])
  assert go() == 2 and trained == names[: names.index("vocoder") + 1]
  assert f"{tmp_path / 'vocoder'}: failed; the same command goes on with it" in capsys.readouterr().err
  failing.clear(), trained.clear()
  assert go() == 0 and trained == names[names.index("vocoder") :]
  trained.clear()
  assert go() == 0 and not trained
  # So does whatever reads a run whose config has changed.
  classifier, *rest = SWEEPS["mini"]()
  changed = classifier._replace(changes={"seed": 2})
  monkeypatch.setitem(sweep.SWEEPS, "mini", lambda: (changed, *rest))
  assert go() == 0 and trained == ["classifier", "vqgan", "base"]
  trained.clear()
  # Other numbers of steps are other runs.
  assert go("--limit-steps", "5") == 0 and trained == names
