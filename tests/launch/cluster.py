"""A cluster as `kubectl` shows it: JobSets in a JSON file, which run a step whenever they are looked at.

It takes what the schemas of JobSet and Kueue take, and flags that kubectl documents. Mishaps besides those of
`tests/launch/cloud.py`: `preempt`: the nodes are gone, and JobSet begins again; `wrong_use` and `give_up`: it fails.
"""

import json
import os
import sys

from tests.launch import schemas
from tests.launch.cloud import Cloud, Gone, called

# Looks at which a JobSet with a queue still waits there.
_WAITS = 2


def _kubectl(cloud: Cloud, words: list[str], options: dict[str, str], mishap: str | None) -> str:
  file = cloud.place / "jobsets.json"
  jobsets = json.loads(file.read_text()) if file.exists() else {}
  verb, *rest = words
  if verb == "apply":
    said = _apply(cloud, jobsets)
  elif verb == "get" and rest[0] == "pods":
    waiting = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    said = json.dumps({"items": [{"status": {"phase": "Running"}}, {"status": waiting}]})
  elif verb == "get":
    said = json.dumps(_look(cloud, jobsets[rest[1]], mishap)) if rest[1] in jobsets else ""
  elif verb == "logs":
    name = options["selector"].partition(",")[0].partition("=")[2]
    said = _log(jobsets, name, options.get("since-time", ""))
  else:
    said = "deleted" if jobsets.pop(rest[1], None) else ""
  file.write_text(json.dumps(jobsets))
  return said


def _apply(cloud: Cloud, jobsets: dict) -> str:
  import yaml

  for manifest in yaml.safe_load_all(sys.stdin.read()):
    if problems := schemas.problems(manifest):
      (cloud.place / "unknown").write_text(str(problems))
      raise Gone(f"error validating: {problems}")
    if manifest["kind"] == "JobSet":
      started = {"looks": 0, "restarts": 0, "failed": None, "log": []}
      jobsets.setdefault(manifest["metadata"]["name"], {"manifest": manifest, **started})
      with (cloud.place / "applied").open("a") as applied:
        applied.write(manifest["metadata"]["name"] + "\n")
  return "configured"


def _look(cloud: Cloud, jobset: dict, mishap: str | None) -> dict:
  """The JobSet, and a step of its work."""
  jobset["looks"] += 1
  conditions = []
  if mishap == "preempt":
    jobset["restarts"] += 1
  elif mishap in ("wrong_use", "give_up"):
    jobset["failed"] = "FailJobSetFailurePolicyAction" if mishap == "wrong_use" else "ReachedMaxRestarts"
  labels = jobset["manifest"]["metadata"]["labels"]
  if "kueue.x-k8s.io/queue-name" in labels and jobset["looks"] <= _WAITS:
    conditions.append({"type": "Suspended", "status": "True"})
  elif jobset["failed"]:
    conditions.append({"type": "Failed", "status": "True", "reason": jobset["failed"], "message": "as the script says"})
  else:
    step, last = _step(cloud), _last()
    # Two lines of one second, and one that is no line of the log.
    jobset["log"] += [f"2026-01-01T00:00:{step:02d}.1Z step {step}", f"2026-01-01T00:00:{step:02d}.2Z loss 1"]
    conditions += [{"type": "Completed", "status": "True"}] if step >= last else []
  return jobset["manifest"] | {"status": {"restarts": jobset["restarts"], "conditions": conditions}}


def _step(cloud: Cloud) -> int:
  file = cloud.place / "buckets" / "foley-bucket" / "out" / "x" / "step"
  file.parent.mkdir(parents=True, exist_ok=True)
  step = min(int(file.read_text()) + 1 if file.exists() else 1, _last())
  file.write_text(str(step))
  return step


def _last() -> int:
  return int(os.environ.get("STEPS", "4"))


def _log(jobsets: dict, name: str, since: str) -> str:
  if name not in jobsets:
    raise Gone("no pods")
  # As documented, from that second on.
  return "\n".join(["not a line", *(line for line in jobsets[name]["log"] if line.split()[0] >= since[:19])])


if __name__ == "__main__":
  sys.exit(called("kubectl", _kubectl))
