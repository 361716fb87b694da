"""A cloud of folders: programs `gcloud` and what hosts call, for a PATH, which do what a script of mishaps says.

Run as `gcloud` it keeps queued resources in a JSON file, and each host's home as a folder; what is to run on a host
runs here, in that folder. It takes only flags that gcloud documents.

The script is a list of {"on": words that a command line has, "nth": of such command lines, "do": mishap}. Mishaps:
`fail` before anything is done, `forbid` it, `fail_after` it, `hang`, be `slow`, and before it `preempt` all slices or
`run_out` of those that are asked for.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHIPS = {"v5litepod": 1, "v6e": 1, "v4": 2, "v5p": 2}
# How often a resource is looked at before it is there.
_WAITS = ("WAITING_FOR_RESOURCES", "PROVISIONING")

_CONDFOLEY = """#!/usr/bin/env bash
# In place of condfoley: the first host counts to STEPS in a file of the bucket, from where it was; the others wait.
echo "$PWD $JAX_COORDINATOR_ADDRESS $*" >> "$FAKE_CLOUD/started"
mkdir -p out/x
echo begins
[ -z "$CHATTER" ] || head -c 3000000 /dev/zero | tr '\\0' x
for _ in $(seq 200); do
  step=$(cat out/x/step 2> /dev/null || echo 0)
  if [ "$step" -ge "${STEPS:-3}" ]; then
    codes=(${CODES:-}) host=$(basename "$HOME")
    exit "${codes[host]:-${CODE:-0}}"
  fi
  case "$PWD $*" in */gh/0/* | */gh-0/0/* | *--shard*) echo $((step + 1)) > out/x/step; echo "step $step" ;; esac
  sleep 0.1
done
exit 1
"""
_PROGRAMS = {
  # As TPU VMs are called.
  "hostname": """#!/usr/bin/env bash
echo "t1v-n-$(basename "$(dirname "$HOME")")-w-$(basename "$HOME")"
""",
  # `python3 -m pip install` and `python3 -m uv`, of which `uv venv` makes env/.
  "python3": """#!/usr/bin/env bash
if [ "$3" = venv ]; then mkdir -p env/bin; cp "$FAKE_CLOUD/condfoley" env/bin/condfoley; fi
echo "$*" >> "$FAKE_CLOUD/installed"
""",
  "ssh-add": """#!/usr/bin/env bash
cat "$FAKE_CLOUD/agent" 2> /dev/null
""",
  "ssh-keygen": """#!/usr/bin/env bash
echo "3072 SHA256:ours someone@here (RSA)"
""",
  "mountpoint": """#!/usr/bin/env bash
[ -L "$2" ]
""",
  # Its daemon stays, with what of the caller's files is open.
  "gcsfuse": """#!/usr/bin/env bash
bucket=${@: -2:1} folder=${@: -1}
rmdir "$folder" && ln -s "$FAKE_CLOUD/buckets/$bucket" "$folder"
(exec -a "gcsfuse-of-$HOME" sleep 60) > /dev/null 2>&1 &
echo $! >> "$FAKE_CLOUD/daemons"
""",
}


def make(place: Path) -> dict[str, str]:
  """Puts the programs in `place`; the environment that finds them."""
  programs = place / "bin"
  programs.mkdir(parents=True)
  (place / "buckets" / "foley-bucket").mkdir(parents=True)
  (place / "condfoley").write_text(_CONDFOLEY)
  called = lambda file: f'#!/usr/bin/env bash\nexec {sys.executable} {file} "$@"\n'
  cluster = Path(__file__).with_name("cluster.py")
  content = {**_PROGRAMS, "gcloud": called(__file__), "kubectl": called(cluster)}
  for name, text in content.items():
    (programs / name).write_text(text)
  for path in (place / "condfoley", *programs.iterdir()):
    path.chmod(0o755)
  root = str(Path(__file__).resolve().parents[2])
  return {"PATH": f"{programs}:{os.environ['PATH']}", "FAKE_CLOUD": str(place), "PYTHONPATH": root}


class Gone(Exception):
  """What the command line asks for is not there, or a mishap; as gcloud tells it."""


class Cloud:
  """The cloud of one folder; a context that keeps others out."""

  def __init__(self, place: Path):
    self.place = place
    self._file, self._lock = place / "resources.json", place / "lock"

  def __enter__(self) -> "Cloud":
    self._held = self._lock.open("w")
    fcntl.flock(self._held, fcntl.LOCK_EX)
    text = self._file.read_text() if self._file.exists() else "{}"
    found = json.loads(text)
    self.resources, self.images = found.get("resources", {}), found.get("images", [])
    return self

  def __exit__(self, *_) -> None:
    self._file.write_text(json.dumps({"resources": self.resources, "images": self.images}))
    self._held.close()

  def host(self, node: str, number: int) -> Path:
    return self.place / "hosts" / node / str(number)

  def create(self, name: str, options: dict[str, str]) -> None:
    if name in self.resources:
      raise Gone(f"ALREADY_EXISTS: {name}")
    count = int(options.get("node-count", 1))
    kind, _, size = options["accelerator-type"].partition("-")
    hosts = max(1, int(size) // CHIPS[kind] // 4) if int(size) // CHIPS[kind] > 8 else 1
    key, _, value = options["labels"].partition("=")
    nodes = [options["node-id"]] if count == 1 else [f"{options['node-prefix']}-{i}" for i in range(count)]
    self.resources[name] = {"looks": 0, "state": None, "labels": {key: value}, "nodes": dict.fromkeys(nodes, hosts)}

  def describe(self, name: str) -> dict:
    found = self._of(name)
    if found["state"] is None:
      state = _WAITS[found["looks"]] if found["looks"] < len(_WAITS) else "ACTIVE"
      found["looks"] += 1
      if state == "ACTIVE":
        found["state"] = state
        for node, hosts in found["nodes"].items():
          for number in range(hosts):
            self.host(node, number).mkdir(parents=True)
    specs = [{"nodeId": node, "node": {"labels": found["labels"]}} for node in found["nodes"]]
    told = {"state": found["state"] or state} | found.get("told", {})
    return {"name": name, "state": told, "tpu": {"nodeSpec": specs}}

  def delete(self, name: str) -> None:
    self._stop(self._of(name))
    del self.resources[name]

  def preempt(self) -> None:
    for found in self.resources.values():
      if found["state"] == "ACTIVE":
        found["state"] = "SUSPENDED"
        self._stop(found)

  def run_out(self) -> None:
    for found in self.resources.values():
      found |= {"state": "FAILED", "told": {"failedData": {"error": {"code": 8, "message": "no more capacity"}}}}

  def hosts_of(self, node: str) -> list[Path]:
    for found in self.resources.values():
      if node in found["nodes"] and found["state"] == "ACTIVE":
        return [self.host(node, number) for number in range(found["nodes"][node])]
    raise Gone(f"NOT_FOUND: {node}")

  def _of(self, name: str) -> dict:
    if name not in self.resources:
      raise Gone(f"NOT_FOUND: {name}")
    return self.resources[name]

  def _stop(self, found: dict) -> None:
    for node in found["nodes"]:
      for pid in (self.place / "hosts" / node).glob("*/condfoley/run/pid"):
        with contextlib.suppress(ProcessLookupError):
          os.killpg(int(pid.read_text().split()[0]), signal.SIGKILL)
      subprocess.run(["pkill", "-f", f"gcsfuse-of-{self.place / 'hosts' / node}/"], check=False)
      shutil.rmtree(self.place / "hosts" / node, ignore_errors=True)


def befalling(place: Path, line: str) -> str | None:
  """What is to befall this command line."""
  script = place / "script.json"
  for number, rule in enumerate(json.loads(script.read_text()) if script.exists() else []):
    if rule["on"] in line:
      counted = place / f"seen-{number}"
      seen = int(counted.read_text()) + 1 if counted.exists() else 1
      counted.write_text(str(seen))
      if seen in rule["nth"]:
        return rule["do"]
  return None


def _carry_out(cloud: Cloud, words: list[str], options: dict[str, str]) -> str:
  group, verb, *rest = words
  if group == "queued-resources":
    found = getattr(cloud, verb)(rest[0], options) if verb == "create" else getattr(cloud, verb)(rest[0])
    return json.dumps(found)
  if verb == "scp":
    *files, to = rest
    node, _, folder = to.partition(":")
    for host in cloud.hosts_of(node):
      for file in files:
        shutil.copy(file, host / folder)
    return ""
  if group == "artifacts":
    if rest[-1] not in cloud.images:
      raise Gone("Image not found.\n\nUse @sha256:digest")
    return ""
  if group == "builds":
    if {path.suffix for path in Path(rest[0]).iterdir()} != {"", ".whl", ".txt", ".sh"}:
      raise Gone("INVALID_ARGUMENT: it lacks files")
    cloud.images.append(options["tag"])
    return ""
  if verb == "rsync":
    shutil.copytree(cloud.place / "buckets" / rest[0].removeprefix("gs://"), rest[1], dirs_exist_ok=True)
    return ""
  return _ssh(cloud, rest[0], options)


def _ssh(cloud: Cloud, node: str, options: dict[str, str]) -> str:
  """What hosts write, mixed, with what gcloud itself has to say among it."""
  said, wanted = "", options["worker"]
  for number, host in enumerate(cloud.hosts_of(node)):
    if wanted not in ("all", str(number)):
      continue
    environment = os.environ | {"HOME": str(host)}
    done = subprocess.run(
      ["bash", "-c", options["command"]], cwd=host, env=environment, capture_output=True, check=False
    )
    if done.returncode:
      raise Gone(f"ssh: exit code {done.returncode}: {done.stderr.decode()}")
    if wanted == "all":
      said += f"SSH: Attempting to connect to worker {number}...\n"
    said += done.stdout.decode()
  return said


Do = Callable[[Cloud, list[str], dict[str, str], str | None], str]


def called(program: str, do: Do) -> int:
  """A call of `program`, noted, with what befalls it; `do` carries it out: cloud, words, options, mishap to output."""
  from tests.launch import documented

  place, argv = Path(os.environ["FAKE_CLOUD"]), sys.argv[1:]
  with (place / "calls").open("a") as calls:
    calls.write(json.dumps([program, *argv]) + "\n")
  if unknown := documented.unknown([program, *argv]):
    (place / "unknown").write_text(" ".join(unknown))
    print(f"unrecognized arguments: {unknown}", file=sys.stderr)
    return 2
  words = [word for word in argv if not word.startswith("-")]
  options = dict(word[2:].split("=", 1) for word in argv if word.startswith("--") and "=" in word)
  mishap = befalling(place, " ".join(argv))
  if mishap in ("hang", "slow"):
    time.sleep(60 if mishap == "hang" else 3)
  try:
    with Cloud(place) as cloud:
      if mishap in ("fail", "forbid"):
        raise Gone("UNAVAILABLE: try again" if mishap == "fail" else "PERMISSION_DENIED: not you")
      said = do(cloud, words, options, mishap)
      if mishap == "fail_after":
        raise Gone("DEADLINE_EXCEEDED: no answer")
  except Gone as error:
    print(f"ERROR: ({program}) {error}", file=sys.stderr)
    return 1
  print(said, end="")
  return 0


def _gcloud(cloud: Cloud, words: list[str], options: dict[str, str], mishap: str | None) -> str:
  if mishap in ("preempt", "run_out"):
    getattr(cloud, mishap)()
  return _carry_out(cloud, words[2:] if words[0] == "compute" else words, options)


if __name__ == "__main__":
  sys.exit(called("gcloud", _gcloud))
