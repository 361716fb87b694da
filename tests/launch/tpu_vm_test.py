"""The launcher against a cloud of folders (`tests/launch/cloud.py`) in which things go wrong."""

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipelines import lock
from data_pipelines.errors import InputError
from launch import build, supervise, tpu_vm
from launch.job import Job
from tests.launch import cloud, documented
from tests.launch.launching import TRAIN, calls, placed, script

BATCH = ("generate", "--batch", "jobs.csv", "--out", "out/x")
FLAGS = ["--name", "gh", "--zone", "us-west4-a", "--bucket", "foley-bucket"]


@pytest.fixture
def place(tmp_path, monkeypatch):
  """The folder of the cloud, which is emptied in the end."""
  place = placed(tpu_vm, tmp_path, monkeypatch)
  yield place
  with cloud.Cloud(place) as left:
    for name in list(left.resources):
      left.delete(name)


def launch(*more, topology="v5e:4x4", words=TRAIN):
  return tpu_vm.main([*FLAGS, "--topology", topology, *more, "--", *words])


def started(place):
  path = place / "started"
  return path.read_text().splitlines() if path.exists() else []


def left_over(place):
  """Queued resources, hosts and processes that are still there."""
  with cloud.Cloud(place) as there:
    resources = list(there.resources)
  hosts = [str(path) for path in (place / "hosts").glob("*/*")]
  running = subprocess.run(["pgrep", "-f", str(place / "hosts")], capture_output=True, text=True, check=False).stdout
  return resources + hosts + running.split()


def test_it_runs_on_every_host_once_and_leaves_nothing(place, capfd):
  assert launch() == 0
  assert not left_over(place) and not (place / "unknown").exists()
  lines = started(place)
  assert len(lines) == 4 and all(f" auto {' '.join(TRAIN)}" in line for line in lines)
  assert {line.split()[0].split("/hosts/gh/")[1][0] for line in lines} == set("0123")
  assert Path("out/x/step").read_text().strip() == "3"
  shown = capfd.readouterr()
  assert "step 0\nstep 1\n" in shown.out and "step 0\nstep 1\n" in Path("out/launch/gh/log.txt").read_text()
  for words in (
    "gh is WAITING_FOR_RESOURCES",
    "installing 0123456789ab on 4 hosts",
    "running on 4 hosts",
    "deleting gh",
  ):
    assert words in shown.err
  assert json.loads(Path("out/launch/gh/job.json").read_text())["commit"] == "0123456789abcdef"
  (create,) = calls(place, "create")
  assert {"--accelerator-type=v5litepod-16", "--node-id=gh", "--zone=us-west4-a", "--async"} <= set(create)
  assert not {"--spot", "--reserved"} & set(create)


@pytest.mark.parametrize("capacity", ["spot", "reserved"])
def test_what_is_rented_is_what_was_said(place, capacity):
  assert launch("--capacity", capacity) == 0
  (create,) = calls(place, "create")
  assert f"--{capacity}" in create


def test_slices_that_are_taken_away_are_asked_for_again_and_the_job_goes_on(place, capfd, monkeypatch):
  monkeypatch.setenv("STEPS", "30")
  script(place, ("host.sh status", [3], "preempt"))
  assert launch("--slices", "2") == 0
  assert not left_over(place)
  assert len(calls(place, "create")) == 2 and len(started(place)) == 16
  assert "gh is SUSPENDED; begun again" in capfd.readouterr().err
  first, *_ = Path("out/launch/gh/log.txt").read_text().split("step ")[1:]
  assert first.strip() == "0" and Path("out/x/step").read_text().strip() == "30"


def test_slices_that_are_taken_away_while_it_is_installed_are_asked_for_again(place):
  script(place, ("host.sh install", [1], "preempt"))
  assert launch() == 0
  assert len(calls(place, "create")) == 2 and len(started(place)) == 4 and not left_over(place)


@pytest.mark.slow
def test_a_job_that_is_lost_too_often_is_given_up_and_leaves_nothing(place, capfd, monkeypatch):
  monkeypatch.setenv("STEPS", "1000")
  script(place, ("host.sh status", list(range(1, 50)), "preempt"))
  assert launch("--restarts", "2") == 1
  assert not left_over(place) and len(calls(place, "create")) == 3
  assert "it was begun 3 times; the same command goes on from its last checkpoint" in capfd.readouterr().err


@pytest.mark.slow
def test_an_answer_that_is_lost_makes_no_second_one(place):
  """Of a creation that was made and told as failed, one that hangs, a start that was made and told as failed."""
  script(place, ("queued-resources create", [1], "fail_after"), ("host.sh start", [1, 2], "hang"))
  assert launch() == 0
  assert len(calls(place, "create")) == 1 and len(started(place)) == 4 and not left_over(place)


@pytest.mark.parametrize("mishap", [pytest.param("fail", marks=pytest.mark.slow), "fail_after"])
def test_whatever_fails_twice_is_tried_again(place, mishap):
  steps = ("describe", "scp", "host.sh install", "host.sh start", "host.sh status", "rsync", "queued-resources delete")
  script(place, *((step, [1, 2], mishap) for step in steps))
  assert launch() == 0
  assert [len(started(place)), len(calls(place, "create"))] == [4, 1] and not left_over(place)
  assert all((place / f"seen-{number}").exists() for number in range(len(steps)))


@pytest.mark.parametrize(("mishap", "told"), [("fail", "UNAVAILABLE: try again"), ("forbid", "PERMISSION_DENIED")])
def test_a_creation_that_is_refused_is_tried_again_where_that_may_help(place, capfd, mishap, told):
  script(place, ("queued-resources create", [1], mishap))
  assert launch() == (0 if mishap == "fail" else 2)
  assert len(calls(place, "create")) == (2 if mishap == "fail" else 1) and not left_over(place)
  assert told in capfd.readouterr().err


def test_slices_that_are_never_to_be_had_are_given_up_and_it_is_said_why(place, capfd):
  """With an exit code that tells a sweep to try again."""
  script(place, ("describe", [3, 7], "run_out"))
  assert launch("--restarts", "1") == 1
  assert not left_over(place) and len(calls(place, "create")) == 2
  assert "gh is FAILED: no more capacity; it was begun 2 times" in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("codes", "result", "begun"), [("134 143", 1, 2), ("143 2", 2, 1)])
def test_a_host_that_is_told_to_end_is_lost_and_no_failure(place, monkeypatch, codes, result, begun):
  monkeypatch.setenv("CODES", codes)
  assert launch("--restarts", "1") == result
  assert len(calls(place, "create")) == begun and not left_over(place)


@pytest.mark.slow
def test_hosts_that_answer_no_more_are_given_back(place, capfd, monkeypatch):
  monkeypatch.setenv("STEPS", "40")
  script(place, ("host.sh status", list(range(3, 8)), "fail"))
  assert launch() == 0
  assert len(calls(place, "create")) == 2 and not left_over(place)
  assert "UNAVAILABLE: try again; begun again" in capfd.readouterr().err


@pytest.mark.parametrize(("code", "begun"), [("2", 1), ("7", 3)])
def test_a_command_that_fails_is_begun_again_twice_unless_it_is_wrong_use(place, monkeypatch, capfd, code, begun):
  monkeypatch.setenv("CODE", code)
  assert launch(topology="v5e:2x4") == int(code)
  assert len(calls(place, "create")) == begun and not left_over(place)
  # Its last words are here, where the machines are not any more.
  (kept,) = Path("out/launch/gh").glob("log-*.txt")
  assert kept.read_text().startswith("begins\n") and "t1v-n-gh-w-0: begins" in capfd.readouterr().err


def test_of_several_codes_wrong_use_is_what_is_said(place, monkeypatch):
  """A host that cannot use its input makes the others fail in other ways."""
  monkeypatch.setenv("CODES", "134 134 2 134")
  assert launch() == 2 and len(calls(place, "create")) == 1


def test_a_long_log_is_shown_to_its_end(place, monkeypatch, capfd):
  monkeypatch.setenv("CHATTER", "3 MB")
  assert launch("--slices", "2", topology="v5e:2x4") == 0
  log = Path("out/launch/gh/log.txt").read_text()
  assert len(log) > 3_000_000 and log.endswith("step 2\n") and log.startswith("begins\nxxx")


@pytest.mark.parametrize("verb", ["describe", "host.sh log"])
def test_a_job_goes_on_while_gcloud_does_not_answer(place, monkeypatch, verb):
  """The laptop has no network for a while."""
  monkeypatch.setenv("STEPS", "10")
  script(place, (verb, list(range(6, 25)), "fail"))
  assert launch() == 0 and len(calls(place, "create")) == 1 and len(started(place)) == 4 and not left_over(place)


def test_what_cannot_be_installed_is_told_and_not_tried_on_other_machines(place, capfd):
  script(place, ("host.sh install", list(range(1, 50)), "fail"))
  assert launch() == 1 and len(calls(place, "create")) == 1 and not left_over(place)
  assert "UNAVAILABLE: try again" in capfd.readouterr().err.splitlines()[-1]


def test_results_that_do_not_come_are_said_to_be_in_the_bucket(place, capfd):
  script(place, ("rsync", list(range(1, 50)), "fail"))
  assert launch() == 1 and not left_over(place)
  assert "the results are in the bucket: gcloud storage rsync gs://foley-bucket/out/x" in capfd.readouterr().err


def test_what_cannot_be_deleted_is_said_with_the_command_that_does(place, capfd):
  """In the last line, of all shares."""
  script(place, ("queued-resources delete", list(range(1, 50)), "fail"))
  assert launch("--slices", "2", topology="v5e:2x4", words=BATCH) == 1
  told = capfd.readouterr().err.splitlines()[-1]
  for name in ("gh-1", "gh-2"):
    assert f"{name}: still there; delete it, it costs money: gcloud compute tpus queued-resources delete {name}" in told
  assert left_over(place)


def launcher(place, *more):
  """A process of its own, that can be killed."""
  code = (
    "import sys; from launch import tpu_vm; from tests.launch import launching, tpu_vm_test;"
    "launching.make_impatient(tpu_vm, setattr); sys.exit(tpu_vm_test.launch(*sys.argv[1:]))"
  )
  return subprocess.Popen([sys.executable, "-c", code, *more], stderr=subprocess.PIPE, text=True)


def wait_for(condition):
  for _ in range(300):
    if condition():
      return
    time.sleep(0.1)
  raise AssertionError("it never came")


def test_a_killed_launcher_is_taken_up_by_the_same_command(place, monkeypatch):
  monkeypatch.setenv("STEPS", "60")
  killed = launcher(place)
  wait_for(lambda: len(started(place)) == 4)
  killed.kill()
  killed.communicate()
  assert left_over(place)
  # What runs is not installed anew, which could fail.
  script(place, ("scp", list(range(1, 50)), "fail"))
  assert launch() == 0
  assert len(calls(place, "create")) == 1 and len(started(place)) == 4 and not left_over(place)


@pytest.mark.parametrize("impatient", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_signal_deletes_what_was_made_however_often_it_comes(place, monkeypatch, impatient):
  monkeypatch.setenv("STEPS", "1000")
  script(place, ("queued-resources delete", [1], "slow"))
  stopped = launcher(place)
  wait_for(lambda: len(started(place)) == 4)
  stopped.send_signal(signal.SIGTERM)
  for _ in range(3 if impatient else 0):
    time.sleep(1)
    stopped.send_signal(signal.SIGTERM)
  told = stopped.communicate(timeout=60)[1]
  assert stopped.returncode == 143 and not left_over(place)
  assert "gh is deleted\ntpu_vm: interrupted by SIGTERM; the same command goes on\n" in told


@pytest.mark.parametrize("on", ["host.sh install", pytest.param("queued-resources create", marks=pytest.mark.slow)])
def test_signals_delete_what_was_made_while_gcloud_hangs(place, on):
  """The second comes before anything is deleted, and longer after the first than a command has to end by itself."""
  script(place, (on, [1], "hang"), ("queued-resources delete", [1], "slow"))
  stopped = launcher(place)
  wait_for(lambda: (place / "seen-0").exists())
  for _ in range(3):
    stopped.send_signal(signal.SIGINT)
    time.sleep(0.7)
  told = stopped.communicate(timeout=60)[1]
  assert stopped.returncode == 130 and not left_over(place)
  assert told.endswith("tpu_vm: interrupted by SIGINT; the same command goes on\n")


@pytest.mark.slow
def test_a_signal_does_not_hide_what_cannot_be_deleted(place, monkeypatch):
  monkeypatch.setenv("STEPS", "1000")
  script(place, ("queued-resources delete", list(range(1, 50)), "fail"))
  stopped = launcher(place)
  wait_for(lambda: len(started(place)) == 4)
  stopped.send_signal(signal.SIGINT)
  *_, interrupted, last = stopped.communicate(timeout=60)[1].splitlines()
  assert stopped.returncode == 1 and interrupted.startswith("tpu_vm: interrupted by SIGINT")
  assert last.startswith("tpu_vm: gh: still there; delete it, it costs money: gcloud") and left_over(place)


def test_a_launcher_that_is_still_at_work_is_waited_for(place, monkeypatch, capfd):
  """It may be giving back what a new one asks for; if it is longer at work than that takes, that is told."""
  folder, pause = Path("out/launch/gh"), supervise.pause
  folder.mkdir(parents=True)
  with contextlib.ExitStack() as held:
    held.enter_context(lock.locked(folder))
    monkeypatch.setattr(supervise, "pause", lambda _: None)
    assert launch() == 2 and not (place / "calls").exists()
    assert "another run is at work here" in capfd.readouterr().err.splitlines()[-1]
    monkeypatch.setattr(supervise, "pause", lambda seconds: held.close() or pause(min(seconds, 0.1)))
    assert launch() == 0
  assert capfd.readouterr().err.startswith("tpu_vm: another launcher of gh is at work; waits 15 minutes at most")


def test_what_is_left_can_be_deleted_by_another_commit_but_not_taken_up(place, monkeypatch, capfd):
  monkeypatch.setenv("STEPS", "1000")
  killed = launcher(place)
  wait_for(lambda: started(place))
  killed.kill()
  killed.communicate()
  monkeypatch.setattr(build, "commit", lambda **_: "fedcba9876543210")
  assert launch() == 2
  assert "another command or commit of this name is there; --delete it, or rename this" in capfd.readouterr().err
  assert left_over(place)
  assert launch("--delete") == 0 and not left_over(place)
  assert "tpu_vm: gh is deleted" in capfd.readouterr().err
  assert launch("--delete") == 0 and capfd.readouterr().err == "tpu_vm: nothing of gh is there\n"


def test_shares_that_were_left_are_deleted_however_many_are_said(place, capfd):
  """By what was noted of them; another job that has such a name stays."""
  script(place, ("queued-resources delete", list(range(1, 50)), "fail"))
  assert launch("--slices", "2", topology="v5e:2x4", words=BATCH) == 1
  assert tpu_vm.main(["--name", "gh-7", *FLAGS[2:], "--topology", "v5e:2x4", "--", *BATCH]) == 1
  script(place)
  assert launch("--delete", topology="v5e:2x4", words=BATCH) == 0
  with cloud.Cloud(place) as there:
    assert list(there.resources) == ["gh-7"]
  assert "nothing of gh is there" in capfd.readouterr().err
  Path("out/launch/gh-1/job.json").write_text("{}")
  assert launch("--delete", topology="v5e:2x4", words=BATCH) == 2
  assert "out/launch/gh-1/job.json: damaged; remove it" in capfd.readouterr().err


@pytest.mark.parametrize(
  ("held", "topology", "words"),
  [
    ("256 SHA256:other", "v5e:4x4", "the agent has other keys, but not this; ssh-add ~/.ssh/google_compute_engine"),
    ("256 SHA256:other\n3072 SHA256:ours", "v5e:4x4", ""),
    ("256 SHA256:other", "v5e:2x4", ""),
  ],
)
def test_an_agent_that_lacks_the_key_is_told_before_anything_is_asked_for(place, capfd, held, topology, words):
  """gcloud would refuse to log in to several hosts when they are there."""
  (place / "agent").write_text(held)
  assert launch(topology=topology) == (2 if words else 0)
  assert words in capfd.readouterr().err and (place / "calls").exists() == (not words)
  assert not left_over(place)


def test_a_key_that_is_not_there_is_told(place, capfd):
  (place / "agent").write_text("256 SHA256:other")
  (place / "bin" / "ssh-keygen").write_text("#!/bin/sh\nexit 255\n")
  assert launch() == 2 and "no such key, and the agent has others; ssh-keygen -t rsa -f" in capfd.readouterr().err


def test_bulk_sampling_is_a_share_of_the_rows_for_each_slice(place):
  assert launch("--slices", "3", topology="v5e:2x4", words=BATCH) == 0
  shares = sorted(line.rsplit(" ", 1)[1] for line in started(place))
  assert shares == ["1/3", "2/3", "3/3"] and not any(" auto " in line for line in started(place))
  # Each is a request of its own: one that waits, or is taken away, does not keep the others.
  assert sorted(call[5] for call in calls(place, "create")) == ["gh-1", "gh-2", "gh-3"] and not left_over(place)
  # All have made theirs in one folder.
  assert len(calls(place, "rsync")) == 1


def test_of_a_batch_results_come_also_where_rows_could_not_be_made(place, monkeypatch):
  monkeypatch.setenv("CODE", "2")
  assert launch(topology="v5e:2x4", words=BATCH) == 2
  assert calls(place, "rsync") and Path("out/x/step").exists() and not left_over(place)


def test_a_dry_run_prints_every_command_and_each_is_documented(place, capsys):
  assert launch("--dry-run", "--slices", "2", "--capacity", "spot", "--project", "p") == 0
  lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
  assert not (place / "calls").exists() and [documented.unknown(line) for line in lines] == [[]] * len(lines)
  assert launch("--slices", "2", "--capacity", "spot", "--project", "p") == 0
  kind = lambda words: [word.partition("=")[0] for word in words if not word.startswith(("/", "condfoley_jax"))]
  ran = [json.loads(line) for line in (place / "calls").read_text().splitlines()]
  assert {tuple(kind(words)) for words in lines} >= {tuple(kind(words)) for words in ran if "scp" not in words}


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"name": "GH"}, "--name GH: use at most 44 of a-z"),
    ({"bucket": "gs://b/c"}, "--bucket gs://b/c: not the name of a bucket"),
    ({"slices": 0}, "--slices 0: must be 1 or more"),
    ({"topology": "v5e:2x8"}, "v5e:2x8: 16 chips are given out as v5e:4x4"),
    ({"topology": "v5e:1x2"}, "v5e:1x2: there are v5e slices of 1, 4, 8, 16, 32, 64, 128, 256 chips"),
    ({"topology": "v5e:16x32"}, "v5e:16x32: there are v5e slices of"),
    ({"topology": "v4:1x1x1"}, "v4:1x1x1: there are v4 slices of 4, 8, 16"),
    ({"topology": "v9:2x2"}, "v9:2x2: no chip `v9`"),
    ({"words": ("studio",)}, "give a command of condfoley after --"),
    ({"words": ("train", "--config", "x")}, "train: give --workdir DIR"),
    ({"words": ("train", "--workdir", "/x")}, "--workdir /x: in the bucket it is a folder such as out/x"),
    ({"words": ("generate", "q.mp4", "--out", "x")}, "generate: on slices it makes the rows of a table"),
    ({"words": ("generate", "--batch", "j", "--out", "x")}, "v5e:4x4: generate takes slices of one host"),
  ],
)
def test_what_cannot_be_launched_is_one_line(changes, words):
  fields = {"name": "gh", "topology": "v5e:4x4", "slices": 1, "capacity": "spot", "bucket": "foley-bucket"}
  fields |= {"words": TRAIN, "commit": "0"}
  with pytest.raises(InputError, match=f"^{re.escape(words)}"):
    Job(**(fields | changes))


def test_without_gcloud_there_is_one_line(place, monkeypatch, capfd):
  monkeypatch.setenv("PATH", str(place))
  assert launch() == 2
  assert capfd.readouterr().err.splitlines() == ["tpu_vm: gcloud: not found; install it and log in"]
