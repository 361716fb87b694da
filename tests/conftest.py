"""What many tests share, made once a run: a few videos of the world, prepared, and one generation from them."""

import os
import signal
import sys
import tempfile
from pathlib import Path

# Where tests run in the background of a shell it is ignored, and so it would be in the commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" not in os.environ:  # Workers have the environment of the process that started them.
  # Programs compiled once serve the whole run, the commands that tests start included; the next run starts afresh.
  _CACHE = tempfile.TemporaryDirectory(prefix="condfoley-test-cache-")
  os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # Hundreds of small ones take long together.
# Most of the time here goes into compiling, most of what is compiled runs once: a quarter less of it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from condfoley_jax.clip import MINI
from data_pipelines import interrupt, prepare
from data_pipelines.builders.drumstick import builder


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
  """Folder of a prepared drumstick dataset of 4 videos, which are under `videos/`."""
  out = tmp_path_factory.mktemp("world")
  sources = lambda: builder.sources(out / "videos", "train", seed=0, count=4, workers=1)
  prepare.prepare(sources, out, MINI, name="drumstick", split="train", mapper=prepare.in_processes(1))
  return out


@pytest.fixture(scope="session")
def videos(world) -> list[Path]:
  """The 4 videos of `world`."""
  return sorted((world / "videos").glob("*.mp4"))


@pytest.fixture(scope="session")
def clips() -> dict[str, Path]:
  """Real clips by name, where they are beside the checkout."""
  folder = Path(__file__).resolve().parents[2] / "shared" / "clips"
  if not folder.is_dir():
    pytest.skip(f"no real clips in {folder}")
  return {p.stem: p for p in folder.glob("*.mp4")}


@pytest.fixture
def bucket():
  """A gs:// folder in memory, in place of the library that would ask Google."""

  class Bucket(MemoryFileSystem):
    protocol, store, pseudo_dirs = "gcs", {}, [""]

    def __init__(self, *args, **options):
      super().__init__()

    @classmethod
    def _strip_protocol(cls, path):
      return "/" + path.removeprefix("gs://").removeprefix("gcs://").strip("/")

    # Folders are there as long as files are in them.
    def mkdir(self, path, create_parents=True, **options):
      pass

    def makedirs(self, path, exist_ok=False):
      pass

  fsspec.register_implementation("gcs", Bucket, clobber=True)
  return "gs://bucket"


@pytest.fixture
def plain_pictures(monkeypatch):
  """Empty lanes of the right size, for tests of what is around them: drawing takes most of the time."""
  draw_plainly(monkeypatch)


@pytest.fixture(scope="module")
def plain_pictures_in_module():
  """The same for all tests of a module."""
  with pytest.MonkeyPatch.context() as monkeypatch:
    draw_plainly(monkeypatch)
    yield


def draw_plainly(monkeypatch):
  """See `plain_pictures`."""
  from condfoley_jax import figures  # Here, because it loads much that most tests do without.

  def plain(*_, layout, **__) -> bytes:
    return figures.poster(np.zeros((layout.row, layout.width, 3), np.uint8))

  monkeypatch.setattr(figures, "mel_figure", plain)
  monkeypatch.setattr(figures, "onset_lane", plain)


@pytest.fixture
def signals():
  """Signals do what they do in a fresh process; afterwards what they did before."""
  hook, before = sys.unraisablehook, {n: signal.getsignal(n) for n in interrupt.SIGNALS}
  for number in interrupt.SIGNALS:
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
  yield
  sys.unraisablehook = hook
  interrupt._noted.clear()
  for number, handler in before.items():
    signal.signal(number, handler)
