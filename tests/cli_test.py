"""The command line: wrong use exits with 2 and says why."""

import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys

import pytest

import condfoley_jax
from condfoley_jax import cli
from data_pipelines.errors import InputError


@pytest.mark.parametrize(
  "arguments",
  [
    [],
    ["compose"],
    ["generate"],
    ["generate", "a.mp4", "--example", "b.mp4"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--candidates", "0"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--temperature", "-1"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--top-p", "0"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--seed", "-1"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--loud"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--temperature", "nan"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--example-start", "-1"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--guidance", "1e39"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--temperature", "1e39"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--candidates", "1" + "0" * 320],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", ""],
    ["generate", "a.mp4", "--example=", "--out", "o"],
    ["generate", "a.mp4", "--example", "b.mp4", "--out", "o", "--two\nlines"],
    ["prepare", "folder", "--out", "o", "--config.x=1"],
  ],
)
def test_wrong_use_exits_with_2(arguments, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(arguments)
  assert stop.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "error" in line
  assert line.startswith(f"condfoley {arguments[0]}: " if len(arguments) > 1 else "condfoley")


def test_version(capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(["--version"])
  assert stop.value.code == 0
  assert capsys.readouterr().out == f"condfoley {condfoley_jax.__version__}\n"


def test_prepare_folder_says_what_it_lacks(tmp_path, capsys):
  assert cli.main(["prepare", "folder", "--out", str(tmp_path / "o")]) == 2
  assert "--source" in capsys.readouterr().err
  assert cli.main(["prepare", "folder", "--source", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
  assert str(tmp_path) in capsys.readouterr().err
  (tmp_path / "file").touch()
  assert cli.main(["prepare", "folder", "--source", str(tmp_path / "file"), "--out", str(tmp_path / "o")]) == 2
  assert "file: a file; --source takes a folder" in capsys.readouterr().err
  odd = tmp_path / os.fsdecode(b"bad\xff")
  odd.mkdir()
  (odd / "a.mp4").touch()
  assert cli.main(["prepare", "folder", "--source", str(odd), "--out", str(tmp_path / "o")]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "rename" in line
  assert not (tmp_path / "o").exists()


def test_prepare_folder_tells_what_it_left_out_and_no_more(videos, tmp_path, capsys):
  (tmp_path / "videos").mkdir()
  shutil.copyfile(videos[0], tmp_path / "videos" / "a.mp4")
  for name in (b"bad\xff.mp4", b"two\nlines.mp4"):
    (tmp_path / "videos" / os.fsdecode(name)).touch()
  arguments = ["--source", str(tmp_path / "videos"), "--out", str(tmp_path / "o"), "--workers", "1"]
  assert cli.main(["prepare", "folder", *arguments]) == 0
  first, second = capsys.readouterr().err.splitlines()
  assert first == r"left out bad\udcff.mp4: the name is not UTF-8; rename it"
  assert second.startswith(r"left out two\nlines.mp4: ")


def test_prepare_folder_and_drumstick(videos, tmp_path):
  source = str(videos[0].parent)
  assert cli.main(["prepare", "folder", "--source", source, "--out", str(tmp_path / "f"), "--workers", "1"]) == 0
  assert (tmp_path / "f" / "dataset.json").exists()
  arguments = ["prepare", "drumstick", "--split", "test", "--videos", "1", "--workers", "1", "--out"]
  assert cli.main([*arguments, str(tmp_path / "d")]) == 0
  assert len(list((tmp_path / "d" / "videos").glob("*_times.txt"))) == 1


def test_the_installed_command_runs():
  result = subprocess.run([sys.executable, "-m", "condfoley_jax.cli", "--help"], capture_output=True, text=True)
  assert result.returncode == 0
  assert "generate" in result.stdout


def test_memory_that_is_full_is_one_line(tmp_path, monkeypatch, capsys):
  def full(*_, **__):
    raise MemoryError("Unable to allocate 536. GiB")

  monkeypatch.setattr("data_pipelines.builders.drumstick.builder.sources", full)
  assert cli.main(["prepare", "drumstick", "--out", str(tmp_path / "o")]) == 1
  assert capsys.readouterr().err.splitlines() == ["condfoley prepare: memory is full; run this where there is more"]


def test_a_disk_that_fills_up_is_one_line_that_names_the_place(tmp_path, monkeypatch, capsys):
  def full(*_, **__):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr("data_pipelines.builders.drumstick.builder.sources", full)
  assert cli.main(["prepare", "drumstick", "--out", str(tmp_path / "o")]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{tmp_path / 'o'}: No space left on device" in line


@pytest.mark.parametrize("letters", [1, 10_000])
def test_standard_output_that_cannot_be_written_is_one_line(letters):
  """At the end, or before it where more is printed than Python holds back."""
  code = f"import sys; from condfoley_jax import cli; cli._RUN['inspect'] = lambda *_: print('x' * {letters});"
  code += "sys.argv = ['condfoley', 'inspect', 'f']; sys.exit(cli.main())"
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
  with open("/dev/full", "w") as full:
    words = [sys.executable, "-c", code]
    ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
  told = "condfoley inspect: standard output: No space left on device; choose another place\n"
  assert (ended.returncode, ended.stderr) == (2, told)


@pytest.mark.parametrize("told", [True, False])
def test_a_disk_that_fails_is_no_wrong_use(tmp_path, monkeypatch, capsys, told):
  """A launcher tries again what ends with 1, and nothing that ends with 2; also where another module told of it."""

  def failing(*_, **__):
    error = OSError(errno.EIO, "Input/output error", "bucket/a")
    if told:
      raise InputError("bucket/a: Input/output error; run this again") from error
    raise error

  monkeypatch.setattr("data_pipelines.builders.drumstick.builder.sources", failing)
  assert cli.main(["prepare", "drumstick", "--out", str(tmp_path / "o")]) == 1
  assert capsys.readouterr().err == "condfoley prepare: bucket/a: Input/output error; run this again\n"


def test_prepare_says_what_of_a_data_set_is_there_and_what_is_missing(tmp_path, capsys):
  assert cli.main(["prepare", "greatest_hits", "--check", "--source", str(tmp_path)]) == 2
  captured = capsys.readouterr()
  assert "andrewowens.com" in captured.out and captured.err.count("\n") == 1
  assert cli.main(["prepare", "folder", "--check", "--source", str(tmp_path)]) == 2
  assert "--check" in capsys.readouterr().err


@pytest.mark.parametrize(
  "words",
  [
    [],
    ["folder"],
    ["folder", "--source", "x", "--check", "--verify", "y"],
    ["--verify", "x", "--labels", "y"],
    ["folder", "--verify", "x"],
  ],
)
def test_prepare_asks_for_what_it_needs(words, capsys):
  with pytest.raises(SystemExit, match="2"):
    cli.main(["prepare", *words])
  assert capsys.readouterr().err.count("\n") == 1


def test_beam_is_asked_for_in_one_line(videos, tmp_path, capsys):
  if importlib.util.find_spec("apache_beam"):
    pytest.skip("Apache Beam is installed")
  words = ["prepare", "folder", "--source", str(videos[0].parent), "--out", str(tmp_path / "o")]
  assert cli.main([*words, "--beam=--runner=DirectRunner"]) == 2
  assert "condfoley-jax[beam]" in capsys.readouterr().err
  assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_modules_are_loaded_ends_it_without_a_traceback(ignored):
  """But where it is ignored, as a shell has it for what runs in the background of a script."""
  code = (
    "import os, signal, sys, types; cli = types.ModuleType('condfoley_jax.cli');"
    "cli.main = lambda: os.kill(os.getpid(), signal.SIGINT); sys.modules['condfoley_jax.cli'] = cli;"
    "import condfoley_jax; condfoley_jax.cli = cli; from condfoley_jax import entry; entry.main()"
  )
  words = [sys.executable, "-c", code]
  words = ["sh", "-c", """trap '' INT; exec "$@\"""", "sh", *words] if ignored else words
  ended = subprocess.run(words, capture_output=True, check=False)
  assert (ended.returncode, ended.stderr) == (0 if ignored else -signal.SIGINT, b"")
