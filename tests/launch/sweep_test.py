"""Sweeps: every run is one that its command takes, after those it reads; what is done is not done again."""

import csv
import itertools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from condfoley_jax import arguments
from condfoley_jax.commands import train
from condfoley_jax.evaluation.systems import VARIANTS
from configs import sweeps
from configs.sweeps import SHIPPED, SWEEPS, Evaluate, Train
from data_pipelines.errors import InputError
from launch import build, costs, sweep

# In place of condfoley: writes what a run leaves, and notes that it was there; fails as a file of its name says.
_CONDFOLEY = """
import json, pathlib, sys, time
words = sys.argv[1:]
value = lambda flag: pathlib.Path(next(b for a, b in zip(words, words[1:]) if a == flag))
home = pathlib.Path(HOME)
out = value("--workdir") if words[0] == "train" else value("--out")
with (home / "ran").open("a") as ran:
  ran.write(f"{words[0]} {out}\\n")
given = [part for word in words for part in word.split("=")[-1].split(",")]
for weights in [part for part in given if part.endswith("/weights")]:
  assert pathlib.Path(weights).is_dir(), f"{weights} is not there yet"
if (home / f"slow-{out.name}").exists():
  time.sleep(30)
fail = home / f"fail-{out.name}"
if fail.exists() and (codes := fail.read_text().split()):
  fail.write_text(" ".join(codes[1:]))
  sys.exit(int(codes[0]))
(out / "weights").mkdir(parents=True, exist_ok=True)
if words[0] == "train":
  score = {"step": 9, "validation/loss": len(str(out)) / 10, "validation/onset_count_accuracy": None}
  (out / "config.json").write_text('{"keep_best": ""}')
  (out / "metrics.jsonl").write_text(json.dumps({"step": 5, "train/loss": 1}) + "\\n" + json.dumps(score) + "\\n")
elif words[0] == "evaluate":
  metrics = {"material_accuracy": {"value": 0.5, "ci95": [0.4, 0.6], "n": 9}}
  systems = {"base": metrics, "no_condition": metrics}
  (out / "metrics.json").write_text(json.dumps({"systems": systems, "ceilings": {"vocoder": metrics}}))
else:
  (out / "dataset.json").write_text("{}")
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
  """The folder of a package that is run in place of condfoley's command."""
  package = tmp_path / "path" / "condfoley_jax"
  package.mkdir(parents=True)
  (package / "__init__.py").touch()
  (package / "cli.py").write_text(_CONDFOLEY.replace("HOME", repr(str(tmp_path))))
  monkeypatch.setenv("PYTHONPATH", str(package.parent))
  monkeypatch.setattr(sweep, "_commit", lambda: "0123")
  # Not the project's root, whose package would be found first.
  monkeypatch.chdir(tmp_path)
  return tmp_path


def ran(home):
  path = home / "ran"
  return [line.split("out/")[1] for line in path.read_text().splitlines()] if path.exists() else []


def go(home, *more, name="mini"):
  return sweep.main(["--sweep", name, "--out", str(home / "out"), *more])


def rows(home):
  with (home / "out" / "results.csv").open(newline="") as file:
    return list(csv.DictReader(file))


def plan(tmp_path, name, *more):
  return sweep.Plan(sweep._parser().parse_args(["--sweep", name, "--out", str(tmp_path), *more]))


def config_of(run, planned):
  return train.read_config(*sweep._config_of(planned._words[run.name]))


@pytest.mark.parametrize("name", SWEEPS)
def test_runs_are_in_an_order_that_can_be_and_are_what_their_commands_take(name, tmp_path):
  planned, before = plan(tmp_path, name, "--limit-steps", "7", "--seeds", "2"), set()
  whole = arguments.parser(dict.fromkeys(("generate", *arguments._COMMANDS, "study make", "study analyse")))
  for run in planned.runs.values():
    assert run.name not in before and set(run.reads) <= before
    before.add(run.name)
    if isinstance(run, Evaluate):
      assert whole.parse_known_args(planned._words[run.name])[1] == []
      continue
    values = config_of(run, planned)
    assert values.steps == 7 and values.seed == run.changes.get("seed", 0)
    for key, read in run.pretrained.items():
      assert values.pretrained[key] == (SHIPPED if read == SHIPPED else str(tmp_path / read / "weights"))
    assert not run.cache or values.data.cache == str(tmp_path / "caches" / run.cache)


def test_other_seeds_are_other_runs_of_the_same(tmp_path):
  first, second = sweeps.of("paper_ablations"), sweeps.of("paper_ablations", 2)
  assert second[: len(first)] == first and len(second) == 2 * len(first)
  for one, other in zip(first, second[len(first) :], strict=True):
    assert other.name == f"seed1/{one.name}" and (one.seed, other.seed) == (0, 1)
    assert [name.removeprefix("seed1/") for name in other.reads] == list(one.reads)
    if isinstance(one, Train):
      assert other.changes["seed"] == one.changes.get("seed", 0) + 1
      assert other.cache == (one.cache and f"seed1/{one.cache}")


def test_the_paper_s_systems_are_all_trained_and_scored():
  runs = {run.name: run for run in SWEEPS["paper_ablations"]()}
  assert set(VARIANTS) < set(runs) and set(runs["evaluation"].weights) == {SHIPPED, *VARIANTS}


def test_systems_that_are_compared_with_one_another_are_trained_as_long(tmp_path):
  """But for what is trained further after that."""
  planned = plan(tmp_path, "paper_ablations")
  steps = {name: config_of(planned.runs[name], planned).steps for name in VARIANTS}
  base = train.read_config("configs/transformer.py:mini", []).steps
  assert {n for name, n in steps.items() if name != "specvqgan_finetuned"} == {base // 2}


def test_what_has_no_example_borrows_nothing_of_one(tmp_path):
  planned = plan(tmp_path, "paper_ablations")
  without = {n for n in VARIANTS if not config_of(planned.runs[n], planned).conventions.detail_frames}
  assert without == {"no_condition", "specvqgan", "specvqgan_finetuned"}


@pytest.mark.parametrize("name", ["paper_ablations", "sizes", "codebook"])
def test_runs_that_share_a_cache_see_the_same_pairs_by_the_same_networks(name, tmp_path):
  planned, seen = plan(tmp_path, name), {}
  for run in planned.runs.values():
    if isinstance(run, Train) and run.cache:
      values = config_of(run, planned)
      frozen = {key: run.pretrained[key] for key in ("vqgan", "video_encoder")}
      pairs = (frozen, values.data.to_dict(), values.sound.to_dict(), values.picture.to_dict(), values.seed)
      assert seen.setdefault(run.cache, pairs) == pairs


def test_a_sweep_goes_on_where_a_run_failed_without_what_is_done(home, capsys):
  names = [run.name for run in SWEEPS["mini"]()]
  (home / "fail-vqgan").write_text("2")
  assert go(home) == 1
  # What reads it is left; what does not is run.
  assert ran(home) == [name for name in names if name != "base"]
  told = capsys.readouterr().err
  assert "vqgan: failed with exit code 2" in told and "vqgan: failed; the same command tries again" in told
  status = {row["run"]: row["status"] for row in rows(home)}
  assert status == dict.fromkeys(names, "done") | {"vqgan": "failed", "base": "left"}
  (home / "ran").unlink()
  assert go(home) == 0 and ran(home) == ["vqgan", "base"]
  (home / "ran").unlink()
  assert go(home) == 0 and ran(home) == []


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_begun_as_another_is_not_gone_on_with(home, monkeypatch, capsys, fails):
  """Neither where it is done nor where it failed half-way."""
  if fails:
    (home / "fail-classifier").write_text("7 7")
  assert go(home) == int(fails)
  (home / "ran").unlink()
  told = lambda: capsys.readouterr().err.splitlines()[-1]
  runs = SWEEPS["mini"]()
  changed = Train(runs[0].name, runs[0].config, changes={"seed": 2})
  with monkeypatch.context() as patch:
    patch.setitem(sweeps.SWEEPS, "mini", lambda: (changed, *runs[1:]))
    assert go(home) == 2 and ran(home) == []
    assert f"{home / 'out' / 'classifier'}: was begun with another config, or on other runs; name another" in told()
  assert go(home, "--limit-steps", "3") == 2 and "was begun with another config" in told() and ran(home) == []
  # Another commit is another run, unless it is said that it is not.
  monkeypatch.setattr(sweep, "_commit", lambda: "4567")
  assert go(home) == 2 and "was begun by commit 0123, which --any-commit would take for this one" in told()
  assert go(home, "--any-commit") == 0
  assert ran(home) == (["classifier", "vqgan", "base"] if fails else [])
  assert {row["commit"] for row in rows(home) if row["run"] == "classifier"} == {"0123"}


def test_what_reads_a_run_that_is_another_is_another(tmp_path, monkeypatch):
  before, runs = plan(tmp_path, "mini")._hashes, SWEEPS["mini"]()
  changed = Train(runs[0].name, runs[0].config, changes={"seed": 2})
  monkeypatch.setitem(sweeps.SWEEPS, "mini", lambda: (changed, *runs[1:]))
  after = plan(tmp_path, "mini")._hashes
  assert {name for name in before if before[name] != after[name]} == {"classifier", "vqgan", "base"}


def test_failed_runs_are_tried_as_often_as_said_but_wrong_use_is_not(home, capsys):
  (home / "fail-vocoder").write_text("7 7")
  assert go(home, "--retries", "2") == 0
  assert ran(home).count("vocoder") == 3 and "vocoder: failed with exit code 7; tried again" in capsys.readouterr().err


def test_several_run_at_a_time_after_what_they_read(home):
  """The stand-in fails where what it reads is not there yet."""
  assert go(home, "--parallel", "4") == 0
  assert set(ran(home)[:4]) == {"classifier", "vocoder", "video_encoder"} | {ran(home)[3]} and len(ran(home)) == 6
  assert (home / "out" / "logs" / "base.log").exists()


@pytest.mark.slow
def test_what_is_scored_is_trained_before_however_many_run_at_a_time(home):
  """The stand-in fails where the weights that it is to score are not there."""
  assert go(home, "--parallel", "4", name="paper_ablations") == 0 and ran(home)[-1] == "evaluation"


def test_evaluations_of_several_seeds_have_no_take_in_common(tmp_path):
  planned, seeds = plan(tmp_path, "rerank_n", "--seeds", "3"), []
  for run in planned.runs.values():
    given = [word.partition("=")[2] for word in planned._words[run.name] if word.startswith("--seed=")]
    seeds.append(int(given[0]) if given else 0)
  assert seeds[0] == 0 and min(b - a for a, b in itertools.pairwise(seeds)) > 100


def test_results_are_a_row_for_each_run_and_system_and_a_table_over_seeds(home):
  assert go(home, "--seeds", "2", name="paper_ablations") == 0
  found = rows(home)
  assert {(row["run"], row["seed"]) for row in found} == {
    (name, seed) for seed in "01" for name in ("two_stream", *VARIANTS, "base", "vocoder")
  }
  (row,) = (row for row in found if (row["run"], row["seed"]) == ("no_condition", "1"))
  # Of its training and of the evaluation, in one row.
  assert row["material_accuracy"] == "0.5" and float(row["validation/loss"]) > 0 and row["status"] == "done"
  assert list(row)[:5] == ["run", "seed", "config_hash", "commit", "status"]
  lines = (home / "out" / "table.md").read_text().splitlines()
  (line,) = (line for line in lines if line.startswith("| no_condition |"))
  assert "| 2 | done |" in line and "0.500 ± 0.000" in line
  assert (home / "out" / "results.png").read_bytes()[1:4] == b"PNG"


def test_a_few_steps_come_with_a_few_videos(home):
  assert go(home, "--limit-steps", "3", name="seeds") == 0
  assert ran(home) == ["data/train", "data/val", "data/test", "base_half", "evaluation"]


def test_a_killed_sweep_takes_its_runs_with_it_and_goes_on_to_the_same_table(home, tmp_path):
  (home / "slow-vocoder").touch()
  code = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from launch import sweep;"
    "sweep._commit = lambda: '0123'; sys.exit(sweep.main(sys.argv[1:]))"
  )
  words = [sys.executable, "-c", code, str(build.ROOT), "--sweep", "mini", "--out", str(home / "out")]
  killed = subprocess.Popen(words, stderr=subprocess.DEVNULL, env={"PATH": "", "PYTHONPATH": str(home / "path")})
  for _ in range(300):
    if "vocoder" in ran(home):
      break
    time.sleep(0.1)
  killed.send_signal(signal.SIGKILL)
  killed.wait()
  time.sleep(0.5)
  pattern = f"condfoley_jax.cli train .*{home}"
  assert not subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False).stdout
  (home / "slow-vocoder").unlink()
  assert go(home) == 0
  assert ran(home).count("vqgan") == 1 and ran(home).count("vocoder") == 2
  again = (home / "out" / "results.csv").read_text()
  assert again.count("done") == 6


def test_runs_on_slices_are_launched_there_and_cost_what_is_said(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  rehearsed = {"fits": True, "roofline_s": 0.01}
  monkeypatch.setattr(costs, "_rehearsed", lambda name, words, topology, slices: rehearsed)
  words = ["--sweep", "seeds", "--out", "out/s", "--backend", "tpu_vm", "--topology", "v5e:4x4", "--dry-run"]
  assert sweep.main([*words, "--", "--zone", "z", "--bucket", "b"]) == 0
  out = capsys.readouterr().out
  hours = 2750 * 0.01 * costs.STEP_PER_ROOFLINE / 3600 + costs.OVERHEAD_HOURS
  cells = [f"{value:.3g}" for value in (10 * costs.STEP_PER_ROOFLINE, hours, 16 * hours, 16 * hours * 1.2)]
  assert f"| base_half | yes | {' | '.join(cells)} |" in out
  trained, scored = (line.split() for line in out.splitlines() if "-m launch.tpu_vm" in line)
  assert trained[trained.index("--name") + 1] == "seeds-base-half" and "v5e:4x4" in trained
  # An evaluation takes one host.
  assert "v5e:2x4" in scored and scored[scored.index("--") + 1] == "evaluate"
  assert trained[trained.index("--zone") + 1] == "z" and trained[trained.index("--") + 1] == "train"
  assert sweep.main([*words, "--", "--zone", "z", "--bucket", "b", "--capacity", "spot"]) == 0
  assert f"| base_half | yes | {' | '.join(cells[:3])} | - |" in capsys.readouterr().out
  assert sweep.main([*words, "--", "--zone", "z", "--bucket", "b", "--slices=2"]) == 0
  out = capsys.readouterr().out
  assert "On 2 x v5e:4x4, on-demand" in out and f"| {32 * hours:.3g} | {32 * hours * 1.2:.3g} |" in out
  assert next(line for line in out.splitlines() if "-- evaluate" in line).count("--slices 1 -- evaluate") == 1
  rehearsed["fits"] = False
  assert sweep.main([*words, "--", "--zone", "z", "--bucket", "b"]) == 2
  assert "sweep: base_half: does not fit v5e:4x4; name a larger --topology" in capsys.readouterr().err


def test_a_sweep_ends_where_the_code_changes_under_it(home, monkeypatch, capsys):
  commits = iter(["0123", "0123", "0123", "4567"])
  monkeypatch.setattr(sweep, "_commit", lambda: next(commits))
  assert go(home) == 2 and len(ran(home)) == 2
  assert "4567 now, 0123 when the sweep began; start it again" in capsys.readouterr().err


def test_every_run_can_be_a_job(tmp_path):
  for name in SWEEPS:
    names = [sweep._job_name(name, run.name) for run in sweeps.of(name, 3)]
    assert len(set(names)) == len(names) and all(re.fullmatch("[a-z][-a-z0-9]{0,39}", one) for one in names)


@pytest.mark.parametrize("text", ["chip\nv5e\n", "chip,capacity,usd_per_chip_hour\nv5e,spot,much\n", None])
def test_a_table_of_prices_that_is_none_is_one_line(tmp_path, text):
  path = tmp_path / "prices.csv"
  if text:
    path.write_text(text)
  with pytest.raises(InputError, match=r"prices.csv: no table of prices .* usd_per_chip_hour"):
    costs.read_prices(path)


def test_every_chip_has_a_price():
  assert {chip for chip, _ in costs.read_prices(costs.PRICES)} == {"v4", "v5e", "v5p", "v6e"}


@pytest.mark.parametrize(
  ("more", "words"),
  [
    (["--backend", "gke"], "--backend gke: needs --topology"),
    (["--topology", "v5e:2x2"], "--topology and words after -- go with --backend tpu_vm or gke"),
    (["--backend", "gke", "--topology", "v5e:2x2", "--limit-steps", "2"], "--limit-steps: goes with --backend local"),
    (["--parallel", "0"], "--parallel 0: must be 1 or more"),
  ],
)
def test_wrong_use_is_one_line(home, more, words, capsys):
  assert go(home, *more) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line and not ran(home)


def test_two_sweeps_in_one_folder_are_one_too_many(home, capsys):
  from data_pipelines import lock

  (home / "out").mkdir()
  with lock.locked(home / "out"):
    assert go(home) == 2
  assert "another run is at work here" in capsys.readouterr().err and Path(home / "out").exists()


def test_a_folder_of_which_nobody_knows_what_was_begun_there_is_refused(home, capsys):
  assert go(home) == 0
  (home / "ran").unlink()
  (home / "out" / "vqgan" / "status.json").write_text(json.dumps([1]))
  assert go(home) == 2 and ran(home) == []
  assert f"{home / 'out' / 'vqgan'}: nothing says what was begun there" in capsys.readouterr().err


def test_what_is_done_is_done_by_whatever_name_its_folder_is_called(home, monkeypatch):
  assert go(home) == 0
  (home / "ran").unlink()
  monkeypatch.chdir(home)
  assert sweep.main(["--sweep", "mini", "--out", "out"]) == 0 and ran(home) == []
