"""Runs a command of condfoley on TPU nodes of a GKE cluster, as a JobSet.

    python -m launch.gke --name NAME --topology v5e:4x4 --bucket BUCKET --repository REPOSITORY [--slices N]
                         [--capacity spot] [--queue QUEUE [--quota CHIPS]] -- train --config ... --workdir out/NAME

Builds this commit's container where the repository has none, applies the JobSet to the cluster that kubectl talks to,
shows the first pod's log, and deletes the JobSet at the end or at Ctrl-C. JobSet itself begins it again where nodes are
taken away. The cluster needs JobSet, node pools of the topology, the Cloud Storage FUSE driver and, for a queue, Kueue.
"""

import argparse
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from data_pipelines import interrupt
from data_pipelines.errors import InputError
from launch import build, command, job, manifests
from launch.cloud_job import TRIES, CloudJob, claimed, delete_all, run_all
from launch.job import Job
from launch.manifests import LABEL, Manifest, Setting
from launch.shell import CommandFailed, Shell
from launch.supervise import Phase, State

_LOOK_S = 30.0
_BUILD_S, _DELETE_S = 3600.0, 600.0
# Pods whose log is shown: the first host of the first slice.
_SHOWN = "jobset.sigs.k8s.io/job-global-index=0,batch.kubernetes.io/job-completion-index=0"
# What gcloud says of an image that is not there.
_NO_IMAGE = "Image not found"
_STAMP = re.compile(r"^(\S+Z) (.*)$")


def main(argv: Sequence[str] | None = None) -> int:
  """0: done; 1: the job failed, or a command that another start may help; 2: wrong use, also on the nodes: one line."""
  args = _parser().parse_args(argv)
  return command.run("gke", lambda say: _run(args, say), if_interrupted="; the same command goes on")


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog="gke", description=__doc__.partition("\n")[0])
  job.add_arguments(parser)
  add = parser.add_argument
  add("--repository", required=True, metavar="PATH", help="for containers, as us-docker.pkg.dev/PROJECT/NAME")
  add("--service-account", default="default", metavar="NAME", help="of Kubernetes, that may use the bucket")
  add("--queue", metavar="NAME", help="of Kueue, to wait in")
  add("--quota", type=int, metavar="CHIPS", help="make the queue, for so many chips at a time")
  return parser


def _run(args: argparse.Namespace, say: command.Say) -> int:
  if args.quota and not args.queue:
    raise InputError("--quota: goes with --queue")
  wanted = job.from_arguments(args)
  image = f"{args.repository}/condfoley:{wanted.commit}"
  setting = Setting(image, args.service_account, args.queue, args.restarts)
  queue = manifests.queue(wanted, args.queue, args.quota) if args.quota else []
  # Of a table of rows each slice makes its share by itself: one that fails leaves the others be.
  shares = job.left(wanted) if args.delete else wanted.shares()
  jobs = {one: [*queue, manifests.jobset(one, setting)] for one in shares}
  if args.dry_run:
    _print_all(jobs, image, args.project)
    return 0
  told = lambda one: lambda text: say(text if len(jobs) == 1 else f"{one.name}: {text}")
  pods = [Pods(one, jobs[one], args.project, Shell(), told(one), any_commit=args.delete) for one in jobs]
  with claimed(wanted.name, say), tempfile.TemporaryDirectory(prefix="gke-") as place:
    if args.delete:
      delete_all(pods)
      return 0
    _build_image(image, args, Path(place), say)
    # JobSet itself begins it again.
    return run_all(pods, restarts=0, look_s=_LOOK_S)


def _build_image(image: str, args: argparse.Namespace, place: Path, say: Callable[[str], None]) -> None:
  """Builds the container of this commit, unless it is there."""
  shell = Shell()
  try:
    shell(_has_image(image, args.project), tries=TRIES, final=_NO_IMAGE)
    return
  except CommandFailed as error:
    if _NO_IMAGE not in error.said:
      raise
  say(f"building {image}")
  context = place / "build"
  build.build(context, allow_dirty=args.allow_dirty)
  shutil.copy(build.ROOT / "launch" / "Containerfile", context / "Dockerfile")
  shell(_make_image(image, context, args.project), seconds=_BUILD_S)


def _has_image(image: str, project: str | None) -> list[str]:
  return ["gcloud", "artifacts", "docker", "images", "describe", image, *_project(project), "--quiet"]


def _make_image(image: str, context: Path, project: str | None) -> list[str]:
  words = ["gcloud", "builds", "submit", str(context), f"--tag={image}", f"--timeout={_BUILD_S:.0f}s"]
  return [*words, "--suppress-logs", *_project(project), "--quiet"]


def _project(project: str | None) -> list[str]:
  return [f"--project={project}"] if project else []


class Pods(CloudJob):
  """A job as a JobSet; a `supervise.Backend`.

  Args:
    wanted: the job.
    objects: manifests, the JobSet last.
    project: of Google Cloud; None for gcloud's own.
    shell, say, any_commit: as for `CloudJob`.
  """

  def __init__(
    self,
    wanted: Job,
    objects: Sequence[Manifest],
    project: str | None,
    shell: Shell,
    say: Callable[[str], None],
    *,
    any_commit: bool = False,
  ):
    super().__init__(wanted, wanted.fetch(project), delete_words(wanted), "JobSet", shell, say, any_commit=any_commit)
    self._objects, self._shown = objects, ""

  def note(self) -> None:
    """Writes down what runs, and by which manifests."""
    super().note()
    text = yaml.safe_dump_all(self._objects, sort_keys=False)
    (self.job.local / "manifests.yaml").write_text(text, encoding="utf-8")

  def begin(self) -> None:
    """Applies the manifests, unless the JobSet is there.

    Raises:
      InputError: kubectl fails, or others have taken the name.
    """
    if found := self.found():
      self.require_ours(found)
      return
    text = yaml.safe_dump_all(self._objects, sort_keys=False)
    # What is broken off may come about later, when it has been looked at whether there is something to delete.
    with interrupt.patient():
      self.shell(apply_words(), tries=TRIES, given=text)

  def look(self, found: Mapping) -> State:
    """What the JobSet says; shows what the log has anew."""
    status = found.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}
    restarts = status.get("restarts", 0)
    told = f", begun again {restarts} times" if restarts else ""
    if "Suspended" in conditions:
      return State(Phase.WAITING, told=f"{self.job.name} waits in the queue")
    self._show()
    if "Completed" in conditions:
      return State(Phase.ENDED, 0)
    if failed := conditions.get("Failed"):
      wrong_use = "FailJobSet" in failed.get("reason", "")
      return State(
        Phase.ENDED,
        command.WRONG_USE if wrong_use else command.TRY_AGAIN,
        f"{self.job.name} failed{told}: {failed.get('message', '')}",
      )
    return State(Phase.RUNNING, told=f"{self._pods()}{told}")

  def _pods(self) -> str:
    """How many pods run, and what the others wait for."""
    try:
      pods = json.loads(self.shell(pods_words(self.job)))["items"]
    except CommandFailed:
      return f"{self.job.name} is there"
    running = sum(pod["status"].get("phase") == "Running" for pod in pods)
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
    reasons = {status.get("state", {}).get("waiting", {}).get("reason") for status in statuses}
    conditions = [c for pod in pods for c in pod["status"].get("conditions", [])]
    reasons |= {c.get("reason") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"}
    waiting = ", ".join(sorted(reasons - {None}))
    return f"{running} of {len(pods)} pods run" + (f" ({waiting})" if waiting else "")

  def found(self) -> Mapping | None:
    """The JobSet; None if it is not there."""
    said = self.shell(get_words(self.job), tries=TRIES)
    return json.loads(said) if said.strip() else None

  def labels(self, found: Mapping) -> set[str | None]:
    """Its own."""
    return {found["metadata"].get("labels", {}).get(LABEL)}

  def _show(self) -> None:
    """Lines of the log that are later than those shown; none where the pod is not there yet."""
    try:
      said = self.shell(log_words(self.job, self._shown))
    except CommandFailed:
      return
    lines = [found.groups() for line in said.splitlines() if (found := _STAMP.match(line)) and found[1] > self._shown]
    with (self.job.local / "log.txt").open("a", encoding="utf-8") as file:
      for _, text in lines:
        file.write(text + "\n")
        print(text, flush=True)
    self._shown = lines[-1][0] if lines else self._shown


def apply_words() -> list[str]:
  return ["kubectl", "apply", "--filename=-"]


def get_words(wanted: Job) -> list[str]:
  return ["kubectl", "get", "jobset", wanted.name, "--output=json", "--ignore-not-found"]


def pods_words(wanted: Job) -> list[str]:
  return ["kubectl", "get", "pods", f"--selector={manifests.JOBSET_LABEL}={wanted.name}", "--output=json"]


def log_words(wanted: Job, since: str) -> list[str]:
  """The log of the first pod from a time stamp on; all of it where that is empty."""
  selector = f"--selector={manifests.JOBSET_LABEL}={wanted.name},{_SHOWN}"
  words = ["kubectl", "logs", selector, f"--container={manifests.CONTAINER}", "--tail=-1", "--timestamps"]
  return [*words, *([f"--since-time={since}"] if since else [])]


def delete_words(wanted: Job) -> list[str]:
  # In the foreground: the JobSet is there until its pods, which may be saving, have ended.
  flags = ["--cascade=foreground", "--ignore-not-found", "--wait", f"--timeout={_DELETE_S:.0f}s"]
  return ["kubectl", "delete", "jobset", wanted.name, *flags]


def _print_all(jobs: Mapping[Job, Sequence[Manifest]], image: str, project: str | None) -> None:
  """Every command of a launch, in order, and after the one that applies them the manifests."""
  show = lambda words: print(shlex.join(words))
  show(_has_image(image, project))
  show(_make_image(image, Path("BUILD"), project))
  for one, objects in jobs.items():
    show(get_words(one))
    print(f"{shlex.join(apply_words())} <<END\n{yaml.safe_dump_all(objects, sort_keys=False)}END")
    show(pods_words(one))
    show(log_words(one, ""))
    show(one.fetch(project))
    show(delete_words(one))


if __name__ == "__main__":
  sys.exit(main())
