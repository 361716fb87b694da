"""`condfoley export`: a file that gives, without our code, what our code gives."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import export
from condfoley_jax.conventions import OURS
from condfoley_jax.sampling import program, rerank
from condfoley_jax.sampling.generate import Example, Generator
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import folder

FRAMES = 40
SERVER = """
import json, sys, numpy as np
from jax import export
served = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
given = np.load(sys.argv[2])
assert not any(name.startswith(("condfoley", "flax")) for name in sys.modules)
made = served.call(*(given[str(i)] for i in range(len(given))))
np.savez(sys.argv[3], **{name: np.asarray(x) for name, x in made.items()})
print(json.dumps(served.platforms))
"""


@pytest.mark.slow
def test_a_file_serves_without_our_code(small_weights, tmp_path):
  rng = np.random.default_rng(0)
  pictures = lambda frames: rng.integers(0, 256, (frames, MINI.frame_size, MINI.frame_size, 3), np.uint8)
  frames, example = pictures(FRAMES), Example(pictures(MINI.frames), rng.uniform(-0.5, 0.5, MINI.samples))
  command = [
    "export",
    "--weights",
    str(small_weights),
    "--seconds",
    "4",
    "--candidates",
    "3",
    "--out",
    str(tmp_path / "s"),
  ]
  assert cli.main(command) == 0
  # What is behind the query is not looked at.
  held = np.concatenate([frames, pictures(60 - FRAMES)])
  settings = [np.float32(0.9), np.int32(20), np.float32(0.95), np.float32(0.01), np.float32(0.2)]
  seeds = np.array([5, 6, 7], np.uint32)
  given = [held, np.int32(FRAMES), example.frames, example.audio.astype(np.float32), seeds, *settings]
  np.savez(tmp_path / "given.npz", **{str(i): x for i, x in enumerate(given)})
  words = [sys.executable, "-c", SERVER, *(str(tmp_path / n) for n in ("s", "given.npz", "made.npz"))]
  found = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
  assert json.loads(found.stdout) == ["cpu", "cuda", "tpu"]
  served = np.load(tmp_path / "made.npz")
  ours = Generator(folder.load(small_weights))(
    frames, example, Sampling(*map(float, settings[:1]), 20, 0.95, 0.01), [5, 6, 7]
  )
  samples = FRAMES * MINI.samples_per_frame
  np.testing.assert_allclose(served["audio"][:, :samples], program.limit(ours.audio), atol=1e-4)
  assert not served["audio"][:, samples:].any()
  whole = rerank.over_segments(ours.syncs)
  np.testing.assert_array_equal(served["order"], rerank.rank(*whole, 0.2))
  np.testing.assert_allclose(served["confidence"], whole.confidence, atol=1e-4)
  np.testing.assert_allclose(served["seen"][:FRAMES], ours.seen, atol=1e-4)


def test_weights_without_a_sync_net_are_refused(small_weights, tmp_path, capsys):
  parts = folder.load(small_weights)
  left = {name: part for name, part in parts.components.items() if name != "sync_net"}
  folder.save(tmp_path / "w", MINI, left, conventions=dataclasses.replace(OURS))
  assert cli.main(["export", "--weights", str(tmp_path / "w"), "--out", str(tmp_path / "s")]) == 2
  assert f"{tmp_path / 'w'}: has no sync_net to rank takes by" in capsys.readouterr().err
  assert not (tmp_path / "s").exists()


def test_a_place_that_cannot_be_is_told_before_the_work(small_weights, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(export, "Maker", None)
  (tmp_path / "mine").write_text("mine")
  places = (("mine", "is there already"), ("mine/s", "lies in a file"), ("x" * 256, "name too long"))
  for out, told in places:
    assert cli.main(["export", "--weights", str(small_weights), "--out", str(tmp_path / out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line.lower()
  assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_that_comes_while_it_works_is_kept(small_weights, tmp_path, capsys, monkeypatch):
  out = tmp_path / ("s" * 255)  # As long as a name may be.

  class Exported:
    def serialize(self):
      out.write_text("mine")
      return b"exported"

  monkeypatch.setattr(export.export, "export", lambda *_, **__: lambda *_: Exported())
  assert cli.main(["export", "--weights", str(small_weights), "--out", str(out)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{out}: is there already" in line
  assert out.read_text() == "mine" and list(tmp_path.iterdir()) == [out]


def test_more_than_fits_into_memory_is_one_line(small_weights, tmp_path, capsys):
  words = ["--weights", str(small_weights), "--out", str(tmp_path / "s"), "--candidates", "1000000000"]
  assert cli.main(["export", *words]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "GiB of memory" in line and not list(tmp_path.iterdir())
