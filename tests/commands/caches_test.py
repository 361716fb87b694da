"""Caches are where they can be written."""

import os
from pathlib import Path

import pytest

from condfoley_jax.commands import caches

VARIABLES = ("JAX_COMPILATION_CACHE_DIR", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")


@pytest.fixture
def unset(monkeypatch):
  for name in (*VARIABLES, "XDG_CACHE_HOME", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
    monkeypatch.setenv(name, "")  # so that it is put back
    monkeypatch.delenv(name)
  return monkeypatch


def test_they_outlive_a_command_in_the_users_cache(unset, tmp_path):
  unset.setenv("HOME", str(tmp_path))
  with caches.chosen():
    pass
  for name in VARIABLES:
    assert Path(os.environ[name]).is_relative_to(tmp_path / ".cache" / "condfoley-jax")
    assert Path(os.environ[name]).is_dir()


@pytest.mark.parametrize("home", ["/dev/null", None])
def test_without_a_home_they_are_temporary(home, unset, tmp_path):
  unset.setenv("HOME", "/dev/null")
  if home is None:
    unset.setattr(os.path, "expanduser", lambda path: path)  # as for a user whom the system does not know
    unset.chdir(tmp_path)
  unset.setattr("tempfile.tempdir", str(tmp_path))
  with caches.chosen():
    for name in VARIABLES:
      Path(os.environ[name]).mkdir(parents=True)
      assert Path(os.environ[name]).is_relative_to(tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_the_users_choice_stays(unset, tmp_path):
  unset.setenv("HOME", str(tmp_path))
  unset.setenv("MPLCONFIGDIR", str(tmp_path / "mine"))
  with caches.chosen():
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "mine")
