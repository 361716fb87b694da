"""The flags that gcloud and kubectl document, by command: documented.json.

Written by `python -m tests.launch.documented`, where both are installed; the file says of which versions it is.
"""

import json
import re
import subprocess
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
_GCLOUD = (
  "artifacts docker images describe",
  "builds submit",
  "storage buckets create",
  "container node-pools create",
  "compute tpus queued-resources create",
  "compute tpus queued-resources delete",
  "compute tpus queued-resources describe",
  "compute tpus tpu-vm scp",
  "compute tpus tpu-vm ssh",
  "storage rsync",
)
_KUBECTL = ("apply", "delete", "get", "logs")


def flags() -> dict[str, list[str]]:
  """Flags by command, as the file has them: "gcloud storage rsync" -> ["--exclude", ...]."""
  return json.loads(FILE.read_text())["flags"]


def unknown(words: list[str]) -> list[str]:
  """Words of a command line that its program does not document: flags, or all where the command is none."""
  known = flags()
  command = next((name for name in known if words[: len(name.split())] == name.split()), None)
  if command is None:
    return list(words)
  named = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
  return [flag for flag in named if flag not in known[command]]


def _said(*words: str) -> str:
  said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
  return re.sub(r"\x1b\[[0-9;]*m", "", said)


def _flags_in(text: str) -> list[str]:
  text = text.replace("--[no-]", "--")  # Said either way.
  return sorted(set(re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]+|-[a-zA-Z](?=[,\s]))", text)))


def main() -> None:
  """Writes the file."""
  found = {}
  for command in _GCLOUD:
    text = _said("gcloud", *command.split(), "--help")
    # The synopsis names all of its own, and the end those that every command has.
    synopsis = text.partition("SYNOPSIS\n")[2].partition("\nDESCRIPTION\n")[0]
    found[f"gcloud {command}"] = _flags_in(synopsis + text.partition("GCLOUD WIDE FLAGS")[2])
  for command in _KUBECTL:
    text = _said("kubectl", command, "--help").partition("Options:")[2] + _said("kubectl", "options")
    found[f"kubectl {command}"] = _flags_in(text)
  versions = {
    "gcloud": _said("gcloud", "--version").splitlines()[0],
    "kubectl": _said("kubectl", "version", "--client").splitlines()[0],
  }
  FILE.write_text(json.dumps({"versions": versions, "flags": found}, indent=1) + "\n")


if __name__ == "__main__":
  main()
