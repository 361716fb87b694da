"""The command line: wrong use exits with 2 and says why."""

import subprocess
import sys

import pytest

from condfoley_jax import cli


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
    ["prepare", "folder", "--out", "o", "--config.x=1"],
  ],
)
def test_wrong_use_exits_with_2(arguments, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(arguments)
  assert stop.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "error" in line


def test_prepare_folder_says_what_it_lacks(tmp_path, capsys):
  assert cli.main(["prepare", "folder", "--out", str(tmp_path / "o")]) == 2
  assert "--source" in capsys.readouterr().err
  assert cli.main(["prepare", "folder", "--source", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
  assert str(tmp_path) in capsys.readouterr().err


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
