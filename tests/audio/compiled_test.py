import subprocess
import sys

import numpy as np
import pytest

from condfoley_jax.audio.compiled import librosa

_FIRST_USE = "from condfoley_jax.audio.compiled import librosa; print(librosa().__version__)"


@pytest.mark.slow  # Each start compiles for 10 s.
def test_processes_that_load_it_at_once_into_an_empty_cache_leave_it_whole(tmp_path, monkeypatch):
  monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
  start = lambda: subprocess.Popen([sys.executable, "-c", _FIRST_USE], stdout=subprocess.PIPE, text=True)
  assert {process.communicate()[0] for process in (start(), start())} == {f"{librosa().__version__}\n"}
  assert {start().communicate()[0]} == {f"{librosa().__version__}\n"}
  assert list(tmp_path.rglob("*.nbi"))


@pytest.mark.slow
def test_it_is_the_library():
  np.testing.assert_allclose(librosa().hz_to_mel(1000.0), 15.0)
