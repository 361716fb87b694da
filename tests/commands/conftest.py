"""One generation that many tests write, and weights that are made for tests: small, and with a sync network."""

import dataclasses

import pytest

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import generate, generation, maker
from condfoley_jax.commands.settings import Example, Settings
from condfoley_jax.conventions import OURS
from condfoley_jax.weights import folder
from tests import small


@pytest.fixture(scope="session")
def generation_made(videos):
  """Two takes of the first video in the sound of the second."""
  return maker.make(videos[0], Settings(examples=(Example(videos[1]),), candidates=2))


@pytest.fixture
def write(generation_made, plain_pictures, monkeypatch):
  """Runs `condfoley generate` with options and returns its exit code; what it writes was made before."""

  def make(query, settings, *, weights_dir=None):
    chosen = {"examples": settings.examples, "original_db": settings.original_db}
    settings = dataclasses.replace(generation_made.settings, **chosen)
    inputs = generation.describe_inputs(query, settings)
    made = dataclasses.replace(generation_made, query=query, settings=settings, inputs=inputs)
    return dataclasses.replace(made, seconds=dict(generation_made.seconds))

  monkeypatch.setattr(generate, "make", make)
  query, (example,) = generation_made.query, generation_made.settings.files

  def run(out, *words, query=query, example=example, force=True):
    words = [*words, *["--force"] * force, f"--out={out}", "--", str(query)]
    return cli.main(["generate", f"--example={example}", *words])

  return run


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
  """A folder of small weights with a sync network."""
  directory = tmp_path_factory.mktemp("weights") / "w"
  folder.save(directory, MINI, small.parts(), conventions=dataclasses.replace(OURS, detail_frames=7))
  return directory
