"""Manifests against the published schemas, and the launcher against a cluster in which things go wrong."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from data_pipelines.errors import InputError
from launch import build, gke, manifests
from launch.job import Job
from launch.manifests import Setting
from tests.launch import cloud, documented, schemas
from tests.launch.launching import TRAIN, built, calls, placed, script

BATCH = ("generate", "--batch", "jobs.csv", "--out", "out/x")
FLAGS = ["--name", "gh", "--bucket", "foley-bucket", "--repository", "us-docker.pkg.dev/p/foley"]
SETTING = Setting("image:1", "trainer", None, 20)


def job(**changes):
  fields = {"name": "gh", "topology": "v5e:4x4", "slices": 1, "capacity": "on-demand", "bucket": "foley-bucket"}
  return Job(**(fields | {"words": TRAIN, "commit": "0123"} | changes))


def pod(manifest, number=0):
  template = manifest["spec"]["replicatedJobs"][number]["template"]["spec"]
  return template, template["template"]["spec"]


@pytest.mark.parametrize("capacity", ["on-demand", "spot", "reserved"])
@pytest.mark.parametrize(
  ("topology", "hosts", "chips", "accelerator"),
  [
    ("v5e:2x4", 1, 8, "tpu-v5-lite-podslice"),
    ("v5e:16x16", 64, 4, "tpu-v5-lite-podslice"),
    ("v4:4x4x8", 32, 4, "tpu-v4-podslice"),
    ("v5p:2x2x1", 1, 4, "tpu-v5p-slice"),
    ("v6e:8x16", 32, 4, "tpu-v6e-slice"),
  ],
)
def test_a_jobset_is_what_jobset_takes_and_asks_for_what_the_slice_has(topology, hosts, chips, accelerator, capacity):
  manifest = manifests.jobset(job(topology=topology, slices=2, capacity=capacity), SETTING)
  assert schemas.problems(manifest) == []
  (slices,) = manifest["spec"]["replicatedJobs"]
  template, spec = pod(manifest)
  assert slices["replicas"] == 2 and template["parallelism"] == template["completions"] == hosts
  limits = spec["containers"][0]["resources"]["limits"]
  assert limits == {"google.com/tpu": chips} and hosts * chips == job(topology=topology).machines.chips
  nodes = spec["nodeSelector"]
  assert nodes["cloud.google.com/gke-tpu-accelerator"] == accelerator
  assert nodes["cloud.google.com/gke-tpu-topology"] == topology.partition(":")[2]
  assert ("cloud.google.com/gke-spot" in nodes) == (capacity == "spot") == bool(spec.get("tolerations"))
  assert spec["containers"][0]["args"] == list(TRAIN)
  assert spec["containers"][0]["env"] == [{"name": "JAX_COORDINATOR_ADDRESS", "value": "auto"}]


@pytest.mark.parametrize(
  ("told", "action"),
  [
    # In the words of Kubernetes' Job controller.
    ("Pod ns/gh-slice-0-1 has condition DisruptionTarget matching FailJob rule at index 0", "IgnoreMaxRestarts"),
    (
      "Container condfoley for pod ns/gh-slice-0-1 failed with exit code 2 matching FailJob rule at index 1",
      "FailJobSet",
    ),
    ("Container condfoley for pod ns/gh-slice-0-1 failed with exit code 143 matching FailJob", "IgnoreMaxRestarts"),
    ("Container condfoley for pod ns/gh-slice-0-1 failed with exit code 21 matching", None),
  ],
)
def test_what_became_of_a_pod_says_what_becomes_of_the_jobset(told, action):
  manifest = manifests.jobset(job(), SETTING)
  found = [
    rule["action"]
    for rule in manifest["spec"]["failurePolicy"]["rules"]
    if any(re.search(pattern, told) for pattern in rule["onJobFailureMessagePatterns"])
  ]
  assert [name.endswith(action) for name in found] == [True] if action else found == []
  taken_away, wrong_use = pod(manifest)[0]["podFailurePolicy"]["rules"]
  assert taken_away["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
  assert wrong_use["onExitCodes"]["values"] == [2, 143]


def test_each_slice_of_bulk_sampling_is_a_job_of_its_share(place, capfd):
  """One that ends with rows that cannot be made leaves the others be, and what it made comes too."""
  script(place, ("get jobset gh-2", [3], "wrong_use"))
  assert launch("--slices", "3", words=BATCH, topology="v5e:2x2") == 2
  assert sorted(applied(place)) == ["gh-1", "gh-2", "gh-3"] and jobsets(place) == []
  shares = []
  for i in (1, 2, 3):
    (manifest,) = yaml.safe_load_all(Path(f"out/launch/gh-{i}/manifests.yaml").read_text())
    assert schemas.problems(manifest) == []
    container = pod(manifest)[1]["containers"][0]
    assert container["env"] == [] and manifest["spec"]["replicatedJobs"][0]["replicas"] == 1
    shares.append(container["args"][-2:])
  assert shares == [["--shard", f"{i}/3"] for i in (1, 2, 3)]
  assert len(calls(place, "rsync")) == 1 and len(calls(place, "builds")) == 1
  assert "gh-2: gh-2 failed: as the script says" in capfd.readouterr().err


def test_a_queue_is_what_kueue_takes_and_jobs_wait_in_it():
  objects = manifests.queue(job(), "foley", 64)
  assert [schemas.problems(x) for x in objects] == [[], [], []]
  flavor, cluster, local = objects
  (group,) = cluster["spec"]["resourceGroups"]
  assert group["flavors"][0]["name"] == flavor["metadata"]["name"]
  assert group["flavors"][0]["resources"] == [{"name": "google.com/tpu", "nominalQuota": 64}]
  assert local["spec"]["clusterQueue"] == cluster["metadata"]["name"] == "foley"
  queued = manifests.jobset(job(), SETTING._replace(queue="foley"))
  assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local["metadata"]["name"]


def test_the_schemas_refuse_what_is_wrong():
  manifest = manifests.jobset(job(), SETTING)
  for change in ({"replicas": 2}, {"failurePolicy": {"maxRestarts": "many"}}, {"failurePolicy": {"rules": [{}]}}):
    assert schemas.problems(manifest | {"spec": manifest["spec"] | change})
  assert schemas.problems({"apiVersion": "v1", "kind": "Nothing"}) == ["no schema of v1 Nothing"]


@pytest.fixture
def place(tmp_path, monkeypatch):
  return placed(gke, tmp_path, monkeypatch)


def launch(*more, words=TRAIN, topology="v5e:4x4"):
  return gke.main([*FLAGS, "--topology", topology, *more, "--", *words])


def jobsets(place):
  return sorted(json.loads((place / "jobsets.json").read_text()))


def applied(place):
  return (place / "applied").read_text().split()


def test_it_runs_and_leaves_nothing(place, capfd):
  assert launch() == 0
  assert jobsets(place) == [] and applied(place) == ["gh"] and not (place / "unknown").exists()
  # With its pods: what is gone writes nothing.
  (delete,) = calls(place, "delete")
  assert "--cascade=foreground" in delete
  shown = capfd.readouterr()
  steps = [f"{what}" for step in range(1, 5) for what in (f"step {step}", "loss 1")]
  assert shown.out.splitlines() == steps == Path("out/launch/gh/log.txt").read_text().splitlines()
  assert (
    Path("out/x/step").read_text() == "4"
    and "building us-docker.pkg.dev/p/foley/condfoley:0123456789abcdef" in shown.err
  )
  *_, manifest = yaml.safe_load_all(Path("out/launch/gh/manifests.yaml").read_text())
  assert manifest["metadata"]["annotations"]["condfoley-commit"] == "0123456789abcdef"
  # The container is there now.
  assert launch() == 0 and len(calls(place, "builds")) == 1


def test_one_that_waits_in_a_queue_and_is_taken_away_goes_on(place, capfd):
  script(place, ("get jobset", [6], "preempt"))
  assert launch("--queue", "foley", "--quota", "64") == 0
  told = capfd.readouterr().err
  assert "1 of 2 pods run (ImagePullBackOff)" in told
  assert "gh waits in the queue" in told and "begun again 1 times" in told
  assert applied(place) == ["gh"] and jobsets(place) == []


@pytest.mark.parametrize(("mishap", "code"), [("wrong_use", 2), ("give_up", 1)])
def test_one_that_fails_is_told_and_deleted(place, capfd, mishap, code):
  script(place, ("get jobset", [3], mishap))
  assert launch() == code
  assert "gh failed: as the script says" in capfd.readouterr().err and jobsets(place) == []


@pytest.mark.parametrize("mishap", ["fail", pytest.param("fail_after", marks=pytest.mark.slow)])
def test_whatever_fails_twice_is_tried_again(place, mishap):
  steps = ("images describe", "apply", "get jobset", "logs --selector", "rsync", "delete jobset")
  script(place, *((step, [1, 2], mishap) for step in steps))
  assert launch() == 0
  assert jobsets(place) == [] and set(applied(place)) == {"gh"}
  assert all((place / f"seen-{number}").exists() for number in range(len(steps)))


def test_what_cannot_be_deleted_is_said_with_the_command_that_does(place, capfd):
  script(place, ("delete jobset", list(range(1, 20)), "fail"))
  assert launch() == 1
  told = capfd.readouterr().err.splitlines()[-1]
  assert "gh: still there; delete it, it costs money: kubectl delete jobset gh" in told and jobsets(place) == ["gh"]


def test_what_is_left_is_taken_up_by_the_same_command_and_deleted_by_any(place, capfd, monkeypatch):
  monkeypatch.setattr(gke.Pods, "end", lambda self: None)
  monkeypatch.setattr(gke.Pods, "state", lambda self: 1 / 0)
  for _ in range(2):
    with pytest.raises(ZeroDivisionError):
      launch()
  assert applied(place) == ["gh"]
  monkeypatch.undo()
  for name, value in cloud.make(place.with_name("other")).items():
    monkeypatch.setenv(name, value.replace(str(place.with_name("other")), str(place)))
  monkeypatch.chdir(place.with_name("here"))
  monkeypatch.setattr(build, "commit", lambda **_: "fedcba9876543210")
  monkeypatch.setattr(build, "build", built)
  assert launch() == 2
  assert "another command or commit of this name is there" in capfd.readouterr().err and jobsets(place) == ["gh"]
  assert launch("--delete") == 0 and jobsets(place) == []
  assert launch("--delete") == 0 and capfd.readouterr().err.endswith("gke: nothing of gh is there\n")


def test_shares_that_were_left_are_deleted_however_many_are_said(place):
  script(place, ("delete jobset", list(range(1, 99)), "fail"))
  assert launch("--slices", "2", words=BATCH, topology="v5e:2x2") == 1 and jobsets(place) == ["gh-1", "gh-2"]
  script(place)
  assert launch("--delete", words=BATCH, topology="v5e:2x2") == 0 and jobsets(place) == []


def test_a_dry_run_prints_every_command_and_manifests_that_fit(place, capsys):
  assert launch("--dry-run", "--queue", "foley", "--quota", "64", "--capacity", "spot", "--project", "p") == 0
  text = capsys.readouterr().out
  found = re.search(r"<<END\n(.*)END\n", text, re.DOTALL)
  objects = list(yaml.safe_load_all(found[1]))
  assert [x["kind"] for x in objects] == ["ResourceFlavor", "ClusterQueue", "LocalQueue", "JobSet"]
  assert [schemas.problems(x) for x in objects] == [[]] * 4
  lines = [shlex.split(line) for line in text.replace(found[0], "\n").splitlines()]
  assert not (place / "calls").exists() and [documented.unknown(line) for line in lines] == [[]] * len(lines)
  assert launch("--queue", "foley", "--quota", "64", "--capacity", "spot", "--project", "p") == 0
  kind = lambda words: tuple(word.partition("=")[0] for word in words if not word.startswith("/"))
  ran = [json.loads(line) for line in (place / "calls").read_text().splitlines()]
  ours = {kind(words) for words in lines} | {(*kind(words), "--since-time") for words in lines}
  assert ours >= {kind(words) for words in ran if "builds" not in words}


def test_a_quota_without_a_queue_is_one_line(place, capfd):
  assert launch("--quota", "64") == 2
  assert capfd.readouterr().err.splitlines() == ["gke: --quota: goes with --queue"]


def test_wrong_jobs_are_one_line(place, capfd):
  with pytest.raises(InputError):
    job(name="GH")
  assert launch(words=("train",)) == 2
  assert capfd.readouterr().err.splitlines() == ["gke: train: give --workdir DIR"]
