"""Commands of the launchers that README and docs show are ones that they take."""

import re
import shlex
from pathlib import Path

import pytest

from launch import gke, local_pod, rehearsals, rehearse, sweep, tpu_vm
from launch.job import Job
from tests.launch import documented

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {"tpu_vm": tpu_vm, "gke": gke, "local_pod": local_pod, "sweep": sweep, "rehearse": rehearse}


def lines(path):
  """Command lines of the indented blocks, continued ones joined; those with parts that may be left out are no lines."""
  text = re.sub(r" \\\n\s*", " ", path.read_text())
  plain = [line.strip().removeprefix(".venv/bin/") for line in text.splitlines() if line.startswith("    ")]
  return [line for line in plain if not re.search(r"\[|\.\.\.|CHANGES|WORDS", line)]


def launches():
  found = [line for path in PAGES for line in lines(path) if line.startswith("python -m launch.")]
  return sorted(set(found))


def test_there_are_lines_of_every_launcher():
  kinds = {line.split()[2].removeprefix("launch.") for line in launches()}
  assert {"tpu_vm", "local_pod", "sweep"} <= kinds


@pytest.mark.parametrize("line", launches())
def test_a_launch_that_is_shown_is_one_that_is_taken(line):
  _, _, module, *words = shlex.split(line.replace("BUCKET", "foley-bucket"))
  name = module.removeprefix("launch.")
  if name == "rehearsals":
    assert words[0] == "--out" and rehearsals.RUNS
    return
  args, rest = PARSERS[name]._parser().parse_known_args(words)
  assert all(word.startswith("--config.") for word in rest)
  if name in ("tpu_vm", "gke"):
    Job(args.name, args.topology, args.slices, args.capacity, args.bucket, tuple(args.words), "0123")
  if name == "sweep":
    sweep._check(args)


def test_gcloud_lines_are_documented():
  known, found = documented.flags(), [line for path in PAGES for line in lines(path) if line.startswith("gcloud ")]
  assert len(found) > 2
  for line in found:
    words = shlex.split(line)
    assert any(words[: len(name.split())] == name.split() for name in known), line
    assert documented.unknown(words) == [], line
