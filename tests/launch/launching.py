"""What tests of launchers share: a launcher without patience, in a folder of its own, before a cloud of folders."""

import json

from launch import build
from launch.shell import Shell
from tests.launch import cloud

TRAIN = ("train", "--config", "configs/vqgan.py:mini", "--workdir", "out/x")
COMMIT = "0123456789abcdef"


def placed(launcher, tmp_path, monkeypatch):
  """The folder of the cloud; `launcher`, a module, works in another, without waiting."""
  place, here = tmp_path / "cloud", tmp_path / "here"
  here.mkdir()
  for name, value in cloud.make(place).items():
    monkeypatch.setenv(name, value)
  monkeypatch.chdir(here)
  make_impatient(launcher, monkeypatch.setattr)
  return place


def make_impatient(launcher, setattr_):
  """Takes waiting and building out of a launcher, by `setattr` or the like."""
  setattr_(launcher, "_LOOK_S", 0.1)
  setattr_(launcher, "Shell", shell_without_waits)
  setattr_(build, "commit", lambda **_: COMMIT)
  setattr_(build, "build", built)


def shell_without_waits():
  """One that has no patience."""
  shell = Shell(pause=lambda _: None)
  return lambda words, *, seconds=120, **given: shell(words, seconds=min(seconds, 5), **given)


def built(out, **_):
  """What `build.build` leaves, less the wheel's content."""
  out.mkdir()
  (out / "condfoley_jax-0.1.0-py3-none-any.whl").touch()
  (out / build.CONSTRAINTS).touch()
  (out / build.HOST).write_bytes((build.ROOT / "launch" / build.HOST).read_bytes())
  return COMMIT


def script(place, *rules):
  """Says what is to go wrong: (words of a command line, which of such lines, mishap) each."""
  (place / "script.json").write_text(json.dumps([dict(zip(("on", "nth", "do"), rule, strict=True)) for rule in rules]))


def calls(place, verb):
  """Command lines with that word."""
  return [call for line in (place / "calls").read_text().splitlines() if verb in (call := json.loads(line))]
