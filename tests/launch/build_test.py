"""A build is of the commit, all of it, and of nothing else unless one says so."""

import subprocess
import sys
import zipfile

import pytest

from data_pipelines.errors import InputError
from launch import build

SETUP = """[metadata]
name = condfoley-jax
version = 0.1.0
[options]
packages = condfoley_jax
"""


@pytest.fixture
def checkout(tmp_path):
  """A small project of its own, committed."""
  root = tmp_path / "project"
  for name, text in {
    "setup.cfg": SETUP,
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
    "requirements.lock": "jax==1\n",
    "launch/host.sh": "echo\n",
    "condfoley_jax/__init__.py": "committed = True\n",
    ".gitignore": "out/\n",
  }.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
  git = lambda *words: subprocess.run(["git", "-C", root, *words], check=True, capture_output=True)
  git("init", "--quiet")
  git("add", "--all")
  git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "all")
  return root


def packed(out):
  (wheel,) = out.glob("*.whl")
  return zipfile.ZipFile(wheel).read("condfoley_jax/__init__.py").decode()


def test_it_is_what_is_committed_with_its_versions_and_what_hosts_run(checkout, tmp_path):
  (checkout / "out").mkdir()
  (checkout / "out" / "x").touch()
  found = build.build(tmp_path / "out", root=checkout)
  head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
  assert found == head.stdout.strip() and packed(tmp_path / "out") == "committed = True\n"
  wheel, *others = sorted(path.name for path in (tmp_path / "out").iterdir())
  assert wheel == "condfoley_jax-0.1.0-py3-none-any.whl" and others == ["constraints.txt", "host.sh"]
  assert (tmp_path / "out" / "constraints.txt").read_text() == "jax==1\n"


@pytest.mark.parametrize("name", ["condfoley_jax/__init__.py", "condfoley_jax/new.py"])
def test_a_dirty_tree_is_refused_unless_allowed_and_then_recorded(checkout, tmp_path, name):
  clean = build.commit(root=checkout)
  (checkout / name).write_text("committed = False\n")
  with pytest.raises(InputError, match="1 files are not as committed; commit them, or give --allow-dirty"):
    build.build(tmp_path / "refused", root=checkout)
  assert not (tmp_path / "refused").exists()
  found = build.build(tmp_path / "out", allow_dirty=True, root=checkout)
  assert found == build.commit(allow_dirty=True, root=checkout) and found.startswith(f"{clean}-dirty-")
  assert packed(tmp_path / "out") == f"committed = {'new' in name}\n"
  (checkout / name).write_text("committed = None\n")
  assert build.commit(allow_dirty=True, root=checkout) != found


def test_files_that_are_not_built_make_no_difference(checkout):
  clean = build.commit(root=checkout)
  (checkout / "results").mkdir()
  (checkout / "results" / "a.csv").touch()
  assert build.commit(root=checkout) == clean


def test_no_checkout_is_one_line(tmp_path):
  with pytest.raises(InputError, match="not a git checkout; launch from a clone of the project"):
    build.commit(root=tmp_path)


@pytest.mark.slow
def test_the_project_s_own_wheel_can_be_built_here(tmp_path):
  """With host.sh, which is no module, as data."""
  build.build(tmp_path / "out", allow_dirty=True)
  (wheel,) = (tmp_path / "out").glob("*.whl")
  assert "launch/host.sh" in zipfile.ZipFile(wheel).namelist() and sys.version_info >= (3, 11)
