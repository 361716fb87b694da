"""A job as Kubernetes objects for GKE: a JobSet on TPU nodes, and the Kueue queue that it may wait in.

Sources: the API of JobSet (jobset.x-k8s.io/v1alpha2) and of Kueue (kueue.x-k8s.io/v1beta2); the pages on TPUs, on
Multislice and on the Cloud Storage FUSE driver in the GKE documentation.
"""

from typing import Any, NamedTuple

from launch.command import TOLD_TO_END, WRONG_USE
from launch.job import Job

LABEL, QUEUE_LABEL = "condfoley-job", "kueue.x-k8s.io/queue-name"
CONTAINER = "condfoley"
# Label of JobSet's own on every pod.
JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_ACCELERATOR, _TOPOLOGY, _SPOT = (f"cloud.google.com/gke-{x}" for x in ("tpu-accelerator", "tpu-topology", "spot"))
_CHIPS = "google.com/tpu"
# Those by which the hosts of a slice find one another, and slices each other.
_PORTS = (8471, 8080)
# For a run that is to end to save, s. Where a spot node is taken away there is less.
_GRACE_S = 120
# Condition of a pod whose node is taken away.
_TAKEN_AWAY = "DisruptionTarget"

# A slice of several hosts is a node pool, and has it to itself.
_ALONE = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
# What mounts the bucket takes what it needs: checkpoints are large.
_MOUNTING = {"gke-gcsfuse/volumes": "true"} | {
  f"gke-gcsfuse/{what}-limit": "0" for what in ("cpu", "memory", "ephemeral-storage")
}
# Other hosts write there too, so nothing that is read is kept.
_MOUNT_OPTIONS = "implicit-dirs,metadata-cache:ttl-secs:0"

Manifest = dict[str, Any]


class Setting(NamedTuple):
  """What of a cluster a job needs besides.

  Attributes:
    image: of the container.
    account: Kubernetes service account that may use the bucket.
    queue: of Kueue; None for none.
    restarts: of the whole, at most, where it is not a node that was taken away.
  """

  image: str
  account: str
  queue: str | None
  restarts: int


def jobset(job: Job, setting: Setting) -> Manifest:
  """All of a job's slices, a run over all of them; of shares of rows each is a job of its own.

  A pod that is lost fails its slice's Job, and JobSet then begins all of them again, as often as it takes if its node
  was taken away, or if a process was told to end, which then ends all; one that ends with exit code 2 ends the whole.
  """
  labels = {LABEL: job.id} | ({QUEUE_LABEL: setting.queue} if setting.queue else {})
  return {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {
      "name": job.name,
      "labels": labels,
      "annotations": {"condfoley-commit": job.commit} | (_ALONE if job.machines.hosts > 1 else {}),
    },
    "spec": {
      "failurePolicy": {
        "maxRestarts": setting.restarts,
        "rules": [
          _rule(
            "takenAway", "RestartJobSetAndIgnoreMaxRestarts", f"condition {_TAKEN_AWAY}|exit code {TOLD_TO_END}\\b"
          ),
          _rule("wrongUse", "FailJobSet", f"exit code {WRONG_USE}\\b"),
        ],
      },
      "replicatedJobs": [{"name": "slice", "replicas": job.slices, "template": _slice(job, setting)}],
    },
  }


def queue(job: Job, name: str, chips: int) -> list[Manifest]:
  """A Kueue queue of that name for slices such as the job's, of which so many chips may be in use at a time."""
  flavor = f"{name}-{job.machines.gke}"
  quota = {"name": _CHIPS, "nominalQuota": chips}
  groups = [{"coveredResources": [_CHIPS], "flavors": [{"name": flavor, "resources": [quota]}]}]
  kueue = lambda kind, name, spec: {
    "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec
  }  # fmt: skip
  return [
    kueue("ResourceFlavor", flavor, {"nodeLabels": {_ACCELERATOR: job.machines.gke}}),
    kueue("ClusterQueue", name, {"namespaceSelector": {}, "resourceGroups": groups}),
    kueue("LocalQueue", name, {"clusterQueue": name}),
  ]


def _rule(name: str, action: str, told: str) -> Manifest:
  """What JobSet does where a rule of a Job's podFailurePolicy, of which `told` is told, ended that."""
  return {
    "name": name,
    "action": action,
    "onJobFailureReasons": ["PodFailurePolicy"],
    "onJobFailureMessagePatterns": [told],
  }


def _slice(job: Job, setting: Setting) -> Manifest:
  """The Job of a slice, a pod on each of its hosts."""
  taken_away = {"action": "FailJob", "onPodConditions": [{"type": _TAKEN_AWAY, "status": "True"}]}
  codes = {"containerName": CONTAINER, "operator": "In", "values": [WRONG_USE, TOLD_TO_END]}
  return {
    "spec": {
      "parallelism": job.machines.hosts,
      "completions": job.machines.hosts,
      "completionMode": "Indexed",
      "backoffLimit": 0,
      "podFailurePolicy": {"rules": [taken_away, {"action": "FailJob", "onExitCodes": codes}]},
      "template": {
        "metadata": {"labels": {LABEL: job.id}, "annotations": dict(_MOUNTING)},
        "spec": _pod(job, setting),
      },
    }
  }


def _pod(job: Job, setting: Setting) -> Manifest:
  nodes = {_ACCELERATOR: job.machines.gke, _TOPOLOGY: job.machines.sizes}
  spot = {"key": _SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"}
  bucket = {"bucketName": job.bucket, "mountOptions": _MOUNT_OPTIONS}
  found: Manifest = {
    "restartPolicy": "Never",
    "terminationGracePeriodSeconds": _GRACE_S,
    "serviceAccountName": setting.account,
    "nodeSelector": nodes | ({_SPOT: "true"} if job.capacity == "spot" else {}),
    "containers": [_container(job, setting)],
    "volumes": [
      {"name": "bucket", "csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": bucket}},
    ],
  }
  return found | ({"tolerations": [spot]} if job.capacity == "spot" else {})


def _container(job: Job, setting: Setting) -> Manifest:
  chips = job.machines.chips // job.machines.hosts
  return {
    "name": CONTAINER,
    "image": setting.image,
    "args": list(job.words),
    "env": [{"name": "JAX_COORDINATOR_ADDRESS", "value": "auto"}] if job.is_one else [],
    "ports": [{"containerPort": port} for port in _PORTS],
    "resources": {"requests": {_CHIPS: chips}, "limits": {_CHIPS: chips}},
    "volumeMounts": [{"name": "bucket", "mountPath": "/bucket"}],
  }
