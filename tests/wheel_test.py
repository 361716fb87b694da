"""The built wheel generates and trains outside the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import condfoley_jax

ROOT = Path(condfoley_jax.__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
  """(folder with the unpacked wheel and nothing else of ours, environment that imports from it)."""
  if not (ROOT / "setup.cfg").exists():
    pytest.skip("not a checkout")
  root = tmp_path_factory.mktemp("wheel")
  build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(root), str(ROOT)]
  subprocess.run(build, check=True, capture_output=True)
  (wheel,) = root.glob("*.whl")
  install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(root / "site")]
  subprocess.run([*install, str(wheel)], check=True, capture_output=True)
  return root, {**os.environ, "PYTHONPATH": str(root / "site")}


def _run(installed, *arguments):
  root, environment = installed
  return subprocess.run(
    [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
  )


def test_it_is_the_wheel_that_is_imported(installed):
  result = _run(installed, "-c", "import condfoley_jax, configs, launch; print(condfoley_jax.__file__)")
  assert str(installed[0] / "site") in result.stdout


@pytest.mark.slow
def test_it_generates(installed, videos):
  out = installed[0] / "out"
  arguments = ["generate", str(videos[0]), "--example", str(videos[1]), "--out", str(out)]
  result = _run(installed, "-m", "condfoley_jax.cli", *arguments)
  assert result.returncode == 0, result.stderr
  assert (out / "soundtrack.mp4").stat().st_size > 1000


@pytest.mark.slow
def test_it_finds_its_configs(installed, world):
  overrides = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  # One layer of each kind: what takes long here is compiling.
  overrides += ["--config.model.istft_vocoder.layers=1", "--config.crop_frames=20"]
  overrides += [f"--config.model.melgan_discriminator.{size}=1" for size in ("scales", "layers")]
  arguments = [
    "train",
    "--config",
    "configs/vocoder.py:mini,runlocal",
    "--workdir",
    "w",
    "--config.steps=1",
    *overrides,
  ]
  result = _run(installed, "-m", "condfoley_jax.cli", *arguments)
  assert result.returncode == 0, result.stderr
  assert (installed[0] / "w" / "weights" / "model.safetensors").exists()
