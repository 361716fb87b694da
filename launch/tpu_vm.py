"""Runs a command of condfoley on Cloud TPU VMs, and gives them back.

    python -m launch.tpu_vm --name NAME --topology v5e:4x4 --zone ZONE --bucket BUCKET [--slices N] [--capacity spot]
                            -- train --config configs/X.py:PRESET --workdir out/NAME

Asks for queued resources, installs this commit on every host, starts the command on all of them in the bucket's folder,
shows the first host's log, and asks anew where the machines are taken away: the command then goes on from its last
checkpoint. At the end, or at Ctrl-C, everything that was made is deleted; the same command takes up what a killed
launcher has left. Results come to the folder that the command names.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_pipelines import interrupt
from data_pipelines.errors import InputError
from launch import build, command, job, tpu_commands
from launch.cloud_job import TRIES, CloudJob, claimed, delete_all, run_all
from launch.job import Job
from launch.shell import CommandFailed, Shell
from launch.supervise import Phase, Refused, State
from launch.tpu_commands import Cloud

# Between two looks at the hosts, s.
_LOOK_S = 30.0
# Looks in a row at which the hosts do not answer, until they count as lost.
_SILENT = 5
_INSTALL_S = 1800.0
# Of the log of a host that failed.
_LAST_LINES = 5
_DEAD = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING")
# What gcloud says of a creation that will not be carried out later either.
_WRONG = ("INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED", "unrecognized arguments")


def main(argv: Sequence[str] | None = None) -> int:
  """The job's exit code; with a line on stderr 2 for wrong use, 1 for what another start may help: a command of gcloud
  that fails, a job that was lost too often."""
  args = _parser().parse_args(argv)
  return command.run("tpu_vm", lambda say: _run(args, say), if_interrupted="; the same command goes on")


def _parser() -> argparse.ArgumentParser:
  what, _, told = __doc__.partition("\n")
  parser = argparse.ArgumentParser(prog="tpu_vm", description=what, epilog=told.partition("\n\n")[2])
  job.add_arguments(parser)
  parser.add_argument("--zone", required=True, metavar="ZONE", help="for example us-west4-a")
  return parser


def _run(args: argparse.Namespace, say: command.Say) -> int:
  wanted = job.from_arguments(args)
  jobs = job.left(wanted) if args.delete else wanted.shares()
  clouds = {one.name: Cloud(one, args.zone, args.project) for one in jobs}
  if args.dry_run:
    for one in jobs:
      tpu_commands.print_all(one, clouds[one.name])
    return 0
  told = lambda one: lambda text: say(text if len(jobs) == 1 else f"{one.name}: {text}")
  with claimed(args.name, say), tempfile.TemporaryDirectory(prefix="tpu-vm-") as place:
    made, shell = Path(place) / "build", Shell()
    slices = [Slices(one, clouds[one.name], made, shell, told(one), any_commit=args.delete) for one in jobs]
    if args.delete:
      delete_all(slices)
      return 0
    if wanted.machines.hosts > 1:
      _require_key(shell)
    build.build(made, allow_dirty=args.allow_dirty)
    return run_all(slices, restarts=args.restarts, look_s=_LOOK_S)


def _require_key(shell: Shell) -> None:
  """Refuses what gcloud would refuse once the machines are there: to log in to several hosts while the agent has keys,
  but not its own.

  Raises:
    InputError: it is so.
  """
  try:
    held = shell(["ssh-add", "-l"])
  except InputError:
    return  # No agent, or no key in it: gcloud goes without.
  key = Path("~/.ssh/google_compute_engine")
  try:
    _, fingerprint, *_ = shell(["ssh-keygen", "-lf", str(key.expanduser())]).split()
  except (CommandFailed, ValueError) as error:
    raise InputError(
      f"{key}: no such key, and the agent has others; ssh-keygen -t rsa -f {key}, then ssh-add {key}"
    ) from error
  if fingerprint not in held:
    raise InputError(f"{key}: the agent has other keys, but not this; ssh-add {key}")


class Slices(CloudJob):
  """A job on TPU VMs; a `supervise.Backend`.

  Args:
    wanted: the job.
    cloud: its commands.
    made: folder of the build.
    shell, say, any_commit: as for `CloudJob`.
  """

  def __init__(
    self, wanted: Job, cloud: Cloud, made: Path, shell: Shell, say: Callable[[str], None], *, any_commit: bool = False
  ):
    words = cloud.fetch, cloud.delete(), "queued resource"
    super().__init__(wanted, *words, shell, say, any_commit=any_commit)
    self._cloud, self._build, self._log = cloud, made, wanted.local / "log.txt"
    self._started, self._silent, self._offset = False, 0, 0

  def begin(self) -> None:
    """Asks for the slices, unless they are there or on their way.

    Raises:
      Refused: they are not to be had now.
      InputError: gcloud takes no such request, or others have taken the name.
    """
    self._started, self._silent, self._offset = False, 0, 0
    found = self.found()
    if found and _state(found) in _DEAD:
      self.end()
      found = None
    if not found:
      self._create()
      return
    self.require_ours(found)
    # To install it anew is not needed where it runs, and could fail.
    self._started = _state(found) == "ACTIVE" and self._runs()

  def _create(self) -> None:
    try:
      # What is broken off may come about later, when it has been looked at whether there is something to delete.
      with interrupt.patient():
        self.shell(self._cloud.create())
    except CommandFailed as error:
      # It may have been made all the same; to ask twice would be to be given two.
      if found := self.found():
        self.require_ours(found)
      elif any(word in error.said for word in _WRONG):
        raise InputError(str(error)) from error
      else:
        raise Refused(str(error)) from error

  def _runs(self) -> bool:
    """Whether it was started on all hosts."""
    try:
      return bool(self._hosts())
    except CommandFailed:
      return False

  def look(self, found: Mapping) -> State:
    """What hosts and gcloud say; starts the job once they are there.

    Raises:
      CommandFailed: it cannot be installed on hosts that are there.
    """
    if (state := _state(found)) != "ACTIVE":
      return State(Phase.LOST if state in _DEAD else Phase.WAITING, told=f"{self.job.name} is {state}{_why(found)}")
    if not self._started:
      try:
        self._start()
      except CommandFailed as error:
        if self._is_active():
          raise
        return State(Phase.LOST, told=str(error))
    try:
      hosts = self._hosts()
      self._silent = 0
    except CommandFailed as error:
      self._silent += 1
      return State(Phase.LOST if self._silent >= _SILENT else Phase.WAITING, told=str(error))
    return self._outcome(hosts)

  def _outcome(self, hosts: Mapping[str, int | None]) -> State:
    """What the hosts' exit codes mean; None is that of one that runs."""
    codes = list(hosts.values())
    self._show(final=None not in codes)
    # One that fails leaves the others waiting for it. What no second start would help is what there is to say; else
    # that a machine is taken away, which is no fault of the command.
    telling = lambda code: (code != command.WRONG_USE, code != command.TOLD_TO_END)
    if failed := sorted((code for code in codes if code), key=telling):
      name = next(name for name, code in hosts.items() if code == failed[0])
      self._keep_last_words(name)
      phase = Phase.LOST if failed[0] == command.TOLD_TO_END else Phase.ENDED
      return State(phase, failed[0], f"{name} ended with exit code {failed[0]}")
    if None in codes:
      return State(Phase.RUNNING, told=f"running on {len(codes)} hosts")
    return State(Phase.ENDED, 0)

  def found(self) -> Mapping | None:
    """What gcloud says of the queued resource; None if there is none."""
    try:
      return json.loads(self.shell(self._cloud.describe(), tries=TRIES, final="NOT_FOUND"))
    except CommandFailed as error:
      if "NOT_FOUND" in error.said:
        return None
      raise

  def _is_active(self) -> bool:
    found = self.found()
    return found is not None and _state(found) == "ACTIVE"

  def labels(self, found: Mapping) -> set[str | None]:
    """Of its nodes."""
    nodes = found.get("tpu", {}).get("nodeSpec", [])
    return {spec.get("node", {}).get("labels", {}).get(tpu_commands.LABEL) for spec in nodes}

  def _start(self) -> None:
    """Installs and starts the job; hosts where that was done before do nothing.

    Raises:
      CommandFailed: it fails as often as it is tried.
    """
    self.say(f"installing {self.job.commit[:12]} on {self.job.slices * self.job.machines.hosts} hosts")
    with ThreadPoolExecutor(len(self._cloud.nodes)) as pool:
      list(pool.map(self._install, self._cloud.nodes))
      start = tpu_commands.on_host(*tpu_commands.start_words(self.job))
      list(pool.map(lambda node: self.shell(self._cloud.on_hosts(node, start), tries=TRIES), self._cloud.nodes))
    self._started = True

  def _install(self, node: str) -> None:
    # New machines take a while to let one log in.
    self.shell(self._cloud.on_hosts(node, f"mkdir -p {tpu_commands.HOME}"), tries=TRIES)
    self.shell(self._cloud.copy(sorted(self._build.iterdir()), node), seconds=_INSTALL_S, tries=TRIES)
    install = tpu_commands.on_host("install", self.job.bucket)
    self.shell(self._cloud.on_hosts(node, install), seconds=_INSTALL_S, tries=TRIES)

  def _hosts(self) -> dict[str, int | None]:
    """Exit codes of all hosts by their names, None where the job runs.

    Raises:
      CommandFailed: they do not all answer.
    """
    found: dict[str, int | None] = {}
    for node in self._cloud.nodes:
      said = self.shell(self._cloud.on_hosts(node, tpu_commands.on_host("status")))
      for name, state, code in tpu_commands.STATUS.findall(said):
        if state == "none":
          self._started = False  # A host that was made anew.
          raise CommandFailed(["host.sh", "status"], f"nothing runs on {name}")
        found[name] = int(code) if code else None
    wanted = self.job.slices * self.job.machines.hosts
    if len(found) != wanted:
      raise CommandFailed(["host.sh", "status"], f"{len(found)} of {wanted} hosts answer")
    return found

  def _show(self, *, final: bool) -> None:
    """Shows what the first host's log has anew; of a job that has ended, all of it."""
    while True:
      try:
        log = self.shell(
          self._cloud.on_hosts(self._cloud.nodes[0], tpu_commands.on_host("log", str(self._offset)), "0")
        )
      except CommandFailed:
        return
      content = log.encode("utf-8", "surrogateescape")
      self._offset += len(content)
      with self._log.open("ab") as file:
        file.write(content)
      print(content.decode(errors="replace"), end="", flush=True)
      if not (final and log):
        return

  def _keep_last_words(self, name: str) -> None:
    """Shows and keeps the log of a host that failed, which would be gone with it."""
    number = name.rpartition("-w-")[2]
    for node in self._cloud.nodes:
      try:
        log = self.shell(
          self._cloud.on_hosts(node, tpu_commands.on_host("log", "0"), number if number.isdecimal() else "0")
        )
      except CommandFailed:
        continue
      (self.job.local / f"log-{node}-{name}.txt").write_text(log, "utf-8", "surrogateescape")
      for line in log.splitlines()[-_LAST_LINES:]:
        self.say(f"{name}: {line}")


def _state(found: Mapping) -> str:
  return found["state"]["state"]


def _why(found: Mapping) -> str:
  """What gcloud says of a request that failed."""
  told = found["state"].get("failedData", {}).get("error", {}).get("message", "")
  return f": {told}" if told else ""


if __name__ == "__main__":
  sys.exit(main())
