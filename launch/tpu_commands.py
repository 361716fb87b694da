"""The gcloud commands of a job on TPU VMs."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from launch import build
from launch.job import Job

# Folder of each host, in the home of whoever logs in.
HOME = "condfoley"
LABEL = "condfoley-job"
# What `host.sh status` says.
STATUS = re.compile(r"^condfoley (\S+) (none|running|ended)(?: (\d+))?$", re.MULTILINE)


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
      f"--labels={LABEL}={wanted.id}",
      "--async",
    ]

  def describe(self) -> list[str]:
    return [*self._resource("describe"), "--format=json"]

  def delete(self) -> list[str]:
    return [*self._resource("delete"), "--force"]

  def copy(self, files: Sequence[Path], node: str) -> list[str]:
    """Files to every host of a slice."""
    to = f"{node}:{HOME}/"
    return ["gcloud", "compute", "tpus", "tpu-vm", "scp", *map(str, files), to, "--worker=all", *self._place]

  def on_hosts(self, node: str, command: str, host: str = "all") -> list[str]:
    """A shell command on every host of a slice, or on the one of that number; what they write is mixed."""
    ssh = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", node, f"--worker={host}", f"--command={command}"]
    return [*ssh, *self._place]

  def _resource(self, verb: str) -> list[str]:
    return ["gcloud", "compute", "tpus", "queued-resources", verb, self._job.name, *self._place]


def on_host(*words: str) -> str:
  """A call of `host.sh`."""
  return shlex.join(["bash", f"{HOME}/{build.HOST}", *words])


def start_words(wanted: Job) -> list[str]:
  """Those of `host.sh` that start the job."""
  settings = ["JAX_COORDINATOR_ADDRESS=auto"] if wanted.is_one else []
  return ["start", *settings, "--", *wanted.words]


def print_all(wanted: Job, cloud: Cloud) -> None:
  """Every gcloud command of a launch, in order; those that look at it once each."""
  show = lambda words: print(shlex.join(words), flush=True)
  files = [Path(f"condfoley_jax-{wanted.commit[:12]}.whl"), Path(build.CONSTRAINTS), Path(build.HOST)]
  show(cloud.describe())
  show(cloud.create())
  for node in cloud.nodes:
    show(cloud.on_hosts(node, f"mkdir -p {HOME}"))
    show(cloud.copy(files, node))
    show(cloud.on_hosts(node, on_host("install", wanted.bucket)))
    show(cloud.on_hosts(node, on_host(*start_words(wanted))))
    show(cloud.on_hosts(node, on_host("status")))
  show(cloud.on_hosts(cloud.nodes[0], on_host("log", "0"), "0"))
  show(cloud.fetch)
  show(cloud.delete())
