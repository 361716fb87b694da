"""Runs a command of condfoley on Cloud TPU VMs, and gives them back.

    python -m launch.tpu_vm --name NAME --topology v5e:4x4 --zone ZONE --bucket BUCKET [--slices N] [--capacity spot]
                            -- train --config configs/X.py:PRESET --workdir out/NAME

Asks for queued resources, installs this commit on every host, starts the command on all of them in the bucket's folder,
shows the first host's log, and asks anew where the machines are taken away: the command then goes on from its last
checkpoint. At the end, or at Ctrl-C, everything that was made is deleted; the same command takes up what a killed
launcher has left. Results come to the folder that the command names.
"""

import argparse
import dataclasses
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data_pipelines import claim, interrupt
from data_pipelines.errors import InputError, printable
from launch import build, job, supervise
from launch.job import Job
from launch.shell import CommandFailed, Printed, Shell
from launch.supervise import Phase, State

# Between two looks at the hosts, s.
_LOOK_S = 30.0
# Looks in a row at which the hosts do not answer, until they count as lost.
_SILENT = 5
_TRIES = 5
_INSTALL_S, _DELETE_S = 1800.0, 900.0
# Folder of each host, in the home of whoever logs in.
_HOME = "condfoley"
_DEAD = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING")
_LABEL = "condfoley-job"


def main(argv: Sequence[str] | None = None) -> int:
  """The job's exit code; 2 for wrong use, a command of gcloud that fails, or a job lost too often: a line on stderr."""
  args = _parser().parse_args(argv)
  say = lambda text: print(f"tpu_vm: {printable(text)}", file=sys.stderr, flush=True)
  try:
    with interrupt.handled():
      return _run(args, say)
  except InputError as error:
    say(str(error))
    return 2
  except interrupt.Interrupted as error:
    say(f"interrupted by {error}; what was made is deleted, and the same command goes on")
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
  what, _, told = __doc__.partition("\n")
  parser = argparse.ArgumentParser(prog="tpu_vm", description=what, epilog=told.partition("\n\n")[2])
  job.add_arguments(parser)
  parser.add_argument("--zone", required=True, metavar="ZONE", help="for example us-west4-a")
  return parser


def _run(args: argparse.Namespace, say: Callable[[str], None]) -> int:
  commit = build.commit(allow_dirty=args.allow_dirty or args.dry_run or args.delete)
  fields = (args.name, args.topology, args.slices, args.capacity, args.bucket, tuple(args.words), commit)
  wanted = Job(*fields)
  cloud = Cloud(wanted, args.zone, args.project)
  if args.dry_run:
    _print_all(wanted, cloud)
    return 0
  with claim.claimed(wanted.local), tempfile.TemporaryDirectory(prefix="tpu-vm-") as place:
    slices = Slices(wanted, cloud, Path(place), Shell(), say, any_commit=args.delete)
    if args.delete:
      slices.end()
      return 0
    build.build(slices.build, allow_dirty=args.allow_dirty)
    described = json.dumps(dataclasses.asdict(wanted), indent=1) + "\n"
    (wanted.local / "job.json").write_text(described, encoding="utf-8")
    return supervise.run(slices, restarts=args.restarts, pause=lambda: time.sleep(_LOOK_S), say=say)


class Cloud:
  """The gcloud commands of a job.

  Args:
    wanted: the job.
    zone: of its slices.
    project: None for gcloud's own.

  Attributes:
    fetch: the command that brings results here.
  """

  def __init__(self, wanted: Job, zone: str, project: str | None):
    self._job = wanted
    self._place = [f"--zone={zone}", *([f"--project={project}"] if project else []), "--quiet"]
    self.fetch = wanted.fetch(project)

  @property
  def nodes(self) -> list[str]:
    """Names of the slices."""
    name = self._job.name
    return [name] if self._job.slices == 1 else [f"{name}-{i}" for i in range(self._job.slices)]

  def create(self) -> list[str]:
    wanted, machines = self._job, self._job.machines
    several = [f"--node-count={wanted.slices}", f"--node-prefix={wanted.name}"]
    return [
      *self._resource("create"),
      *([f"--node-id={wanted.name}"] if wanted.slices == 1 else several),
      f"--accelerator-type={machines.accelerator}",
      f"--runtime-version={machines.runtime}",
      *({"spot": ["--spot"], "reserved": ["--reserved"]}.get(wanted.capacity, [])),
      "--scopes=https://www.googleapis.com/auth/cloud-platform",
      f"--labels={_LABEL}={wanted.id}",
      "--async",
    ]

  def describe(self) -> list[str]:
    return [*self._resource("describe"), "--format=json"]

  def delete(self) -> list[str]:
    return [*self._resource("delete"), "--force"]

  def copy(self, files: Sequence[Path], node: str) -> list[str]:
    """Files to every host of a slice."""
    to = f"{node}:{_HOME}/"
    return ["gcloud", "compute", "tpus", "tpu-vm", "scp", *map(str, files), to, "--worker=all", *self._place]

  def on_hosts(self, node: str, command: str, into: Path | None = None) -> list[str]:
    """A shell command on every host of a slice; what each writes goes to NUMBER.log in the folder `into`."""
    words = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", node, "--worker=all", f"--command={command}", *self._place]
    return [*words, f"--output-directory={into}"] if into else words

  def _resource(self, verb: str) -> list[str]:
    return ["gcloud", "compute", "tpus", "queued-resources", verb, self._job.name, *self._place]


def install_command(wanted: Job) -> str:
  return f"bash {_HOME}/{build.HOST} install {shlex.quote(wanted.bucket)}"


def start_command(wanted: Job, index: int) -> str:
  """Starts the job on a host of slice `index`."""
  settings = ["JAX_COORDINATOR_ADDRESS=auto"] if wanted.is_one else []
  return f"bash {_HOME}/{build.HOST} start {shlex.join([*settings, '--', *wanted.words_of(index)])}"


def status_command(offset: int) -> str:
  return f"bash {_HOME}/{build.HOST} status {offset}"


class Slices:
  """A job on TPU VMs; a `supervise.Backend`.

  Args:
    wanted: the job.
    cloud: its commands.
    place: a folder of the launcher's own.
    shell: runs commands.
    say: is told what happens.
    any_commit: whether what another commit or command of this name has left counts as this job's.
  """

  def __init__(
    self, wanted: Job, cloud: Cloud, place: Path, shell: Shell, say: Callable[[str], None], *, any_commit: bool = False
  ):
    self._job, self._cloud, self._place, self._shell, self._say = wanted, cloud, place, shell, say
    self._any_commit = any_commit
    self.build = place / "build"
    self._log = wanted.local / "log.txt"
    self._started, self._silent, self._offset = False, 0, 0

  def begin(self) -> None:
    """Asks for the slices, unless they are there or on their way.

    Raises:
      InputError: gcloud fails, or others have taken the name.
    """
    self._started, self._silent, self._offset = False, 0, 0
    found = self._found()
    if found and _state(found) in _DEAD:
      self.end()
      found = None
    if found:
      self._require_ours(found)
      return
    try:
      self._shell(self._cloud.create())
    except CommandFailed:
      # It may have been made all the same; to ask twice would be to be given two.
      found = self._found()
      if not found:
        raise
      self._require_ours(found)

  def state(self) -> State:
    """Looks at the slices; starts the job on them once they are there."""
    found = self._found()
    if not found:
      return State(Phase.LOST, told=f"{self._job.name} is gone")
    if (state := _state(found)) != "ACTIVE":
      return State(Phase.LOST if state in _DEAD else Phase.WAITING, told=f"{self._job.name} is {state}")
    try:
      if not self._started:
        self._start()
      codes = [code for index, node in enumerate(self._cloud.nodes) for code in self._codes(index, node)]
      self._silent = 0
    except CommandFailed as error:
      self._silent += 1
      return State(Phase.LOST if self._silent >= _SILENT else Phase.WAITING, told=str(error))
    failed = [code for code in codes if code]
    # Of one run the others wait for whoever failed; runs of their own end first.
    if failed and (self._job.is_one or None not in codes):
      return State(Phase.ENDED, failed[0])
    if None in codes:
      return State(Phase.RUNNING, told=f"running on {len(codes)} hosts")
    self._fetch()
    return State(Phase.ENDED, 0)

  def end(self) -> None:
    """Deletes the queued resources and the slices with them.

    Raises:
      InputError: they are still there, and cost money; or they are not ours.
    """
    found = self._found()
    if not found:
      return
    self._require_ours(found)
    self._say(f"deleting {self._job.name}")
    try:
      self._shell(self._cloud.delete(), seconds=_DELETE_S, tries=_TRIES, final="NOT_FOUND")
    except CommandFailed as error:
      self._say(str(error))
    if self._found():
      raise InputError(f"{self._job.name}: still there, and costs money; delete it: {shlex.join(self._cloud.delete())}")

  def _found(self) -> Mapping | None:
    """What gcloud says of the queued resource; None if there is none."""
    try:
      return json.loads(self._shell(self._cloud.describe(), tries=_TRIES, final="NOT_FOUND"))
    except CommandFailed as error:
      if "NOT_FOUND" in error.said:
        return None
      raise

  def _require_ours(self, found: Mapping) -> None:
    labels = [spec.get("node", {}).get("labels", {}).get(_LABEL) for spec in found["tpu"]["nodeSpec"]]
    if None in labels:
      raise InputError(f"{self._job.name}: a queued resource that no launch made has this name; choose another --name")
    if set(labels) != {self._job.id} and not self._any_commit:
      raise InputError(
        f"{self._job.name}: another command or commit of this name is there; --delete it, or rename this"
      )

  def _start(self) -> None:
    """Installs and starts the job; hosts where that was done before do nothing."""
    self._say(f"installing {self._job.commit[:12]} on {self._job.slices * self._job.machines.hosts} hosts")
    for node in self._cloud.nodes:
      self._shell(self._cloud.on_hosts(node, f"mkdir -p {_HOME}"), tries=_TRIES)
      self._shell(self._cloud.copy(sorted(self.build.iterdir()), node), seconds=_INSTALL_S, tries=_TRIES)
      self._shell(self._cloud.on_hosts(node, install_command(self._job)), seconds=_INSTALL_S, tries=_TRIES)
    for index, node in enumerate(self._cloud.nodes):
      self._shell(self._cloud.on_hosts(node, start_command(self._job, index)), tries=_TRIES)
    self._started = True

  def _codes(self, index: int, node: str) -> list[int | None]:
    """Exit codes of a slice's hosts, None where the job runs; the first host's log is shown."""
    into = self._place / f"status-{index}"
    into.mkdir(exist_ok=True)
    for old in into.iterdir():
      old.unlink()
    self._shell(self._cloud.on_hosts(node, status_command(self._offset if index == 0 else 0), into))
    codes = []
    for host in sorted(into.iterdir(), key=lambda path: int(path.stem)):
      first, _, log = host.read_bytes().partition(b"\n")
      word, _, code = first.decode(errors="replace").partition(" ")
      if word not in ("running", "ended"):
        self._started = False  # A host that was made anew.
        raise CommandFailed(["host.sh", "status"], f"host {host.stem} of {node} says `{printable(word)}`")
      codes.append(int(code) if word == "ended" else None)
      if index == 0 and host.stem == "0":
        self._show(log)
    if len(codes) != self._job.machines.hosts:
      raise CommandFailed(["host.sh", "status"], f"{len(codes)} of {self._job.machines.hosts} hosts of {node} answer")
    return codes

  def _show(self, log: bytes) -> None:
    self._offset += len(log)
    with self._log.open("ab") as file:
      file.write(log)
    sys.stdout.write(log.decode(errors="replace"))
    sys.stdout.flush()

  def _fetch(self) -> None:
    Path(self._job.result).mkdir(parents=True, exist_ok=True)
    self._shell(self._cloud.fetch, seconds=_INSTALL_S, tries=_TRIES)


def _state(found: Mapping) -> str:
  return found["state"]["state"]


def _print_all(wanted: Job, cloud: Cloud) -> None:
  """Every gcloud command of a launch, in order; those that look at it once each."""
  show = Printed()
  files = [Path(f"condfoley_jax-{wanted.commit[:12]}.whl"), Path(build.CONSTRAINTS), Path(build.HOST)]
  show(cloud.describe())
  show(cloud.create())
  for node in cloud.nodes:
    show(cloud.on_hosts(node, f"mkdir -p {_HOME}"))
    show(cloud.copy(files, node))
    show(cloud.on_hosts(node, install_command(wanted)))
  for index, node in enumerate(cloud.nodes):
    show(cloud.on_hosts(node, start_command(wanted, index)))
  for node in cloud.nodes:
    show(cloud.on_hosts(node, status_command(0), Path("STATUS")))
  show(cloud.fetch)
  show(cloud.delete())


if __name__ == "__main__":
  sys.exit(main())
