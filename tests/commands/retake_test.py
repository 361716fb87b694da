"""`condfoley retake`: a stretch anew, the rest as it was."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import output
from condfoley_jax.sampling import retake as sampling
from data_pipelines import lock

pytestmark = pytest.mark.usefixtures("plain_pictures_in_module")


@pytest.fixture(scope="module")
def made(videos, small_weights, plain_pictures_in_module, tmp_path_factory):
  out = tmp_path_factory.mktemp("made") / "out"
  words = ["generate", str(videos[0]), "--example", str(videos[1]), "--candidates", "2", f"--weights={small_weights}"]
  assert cli.main([*words, "--out", str(out)]) == 0
  return out


@pytest.fixture
def result(made, tmp_path):
  return shutil.copytree(made, tmp_path / "out")


def _retake(out, weights, *words, take=2, start=1.5, end=2.5):
  stretch = ["--take", str(take), "--from", str(start), "--to", str(end)]
  return cli.main(["retake", str(out), *stretch, f"--weights={weights}", *words])


def _sound(out, number):
  return soundfile.read(out / "takes" / f"{number:02d}.wav", dtype="float32")[0]


def test_the_stretch_is_new_and_all_else_is_kept(result, small_weights, capsys):
  before = {path.name: path.read_bytes() for path in (result / "takes").iterdir()}
  assert _retake(result, small_weights) == 0
  assert "take 3 is take 2 with 1.5 to 2.5 s made anew" in capsys.readouterr().err
  after = {path.name: path.read_bytes() for path in (result / "takes").iterdir()}
  assert set(after) - set(before) == {f"03.{kind}" for kind in output.KINDS}
  assert {name: after[name] for name in before} == before
  old, new = _sound(result, 2), _sound(result, 3)
  first, last = round(1.5 * 22050), round(2.5 * 22050)
  np.testing.assert_array_equal(old[:first], new[:first])
  np.testing.assert_array_equal(old[last:], new[last:])
  assert np.abs(old[first:last] - new[first:last]).max() > 1e-3
  record = json.loads((result / "generation.json").read_text())
  assert record["takes"][2]["retake"] == {"take": 2, "from_s": 1.5, "to_s": 2.5}
  # As many as were asked for, and one that was made of them: the record still counts as whole.
  assert output.recorded(result) == record


def test_the_same_seed_gives_the_same_another_another(result, small_weights):
  for seed in (7, 7, 8):
    assert _retake(result, small_weights, "--seed", str(seed)) == 0
  np.testing.assert_array_equal(_sound(result, 3), _sound(result, 4))
  assert np.abs(_sound(result, 3) - _sound(result, 5)).max() > 1e-3


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.4, 1.0), (0.0, None)])
def test_beginning_and_whole(result, small_weights, start, end):
  seconds = len(_sound(result, 1)) / 22050
  assert _retake(result, small_weights, start=start, end=end or int(100 * seconds) / 100) == 0
  assert len(_sound(result, 3)) == len(_sound(result, 1))


@pytest.mark.parametrize(
  ("change", "told"),
  [
    ({"take": 3}, "has 2 takes; choose --take from them"),
    ({"start": 1.5, "end": 1.55}, "is no stretch of 0.1 s or more"),
    ({"start": 1.5, "end": 1000}, "is no stretch of 0.1 s or more"),
  ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(change, told, result, small_weights, capsys):
  before = (result / "generation.json").read_bytes()
  assert _retake(result, small_weights, **change) == 2
  assert told in capsys.readouterr().err.splitlines()[-1]
  assert (result / "generation.json").read_bytes() == before


def test_results_that_are_none_or_of_other_weights(result, small_weights, tmp_path, capsys):
  assert cli.main(["retake", str(tmp_path), "--take", "1", "--from", "0", "--to", "1"]) == 2
  assert "holds no whole result" in capsys.readouterr().err
  assert cli.main(["retake", str(result), "--take", "1", "--from", "0", "--to", "1"]) == 2
  assert "name their folder with --weights" in capsys.readouterr().err
  (result / "takes" / "01.wav").unlink()
  assert _retake(result, small_weights) == 2
  assert "holds no whole result" in capsys.readouterr().err


def test_a_take_that_was_cut_is_told(result, small_weights, capsys):
  path = result / "takes" / "01.wav"
  soundfile.write(path, soundfile.read(path)[0][:-1], 22050, subtype="PCM_24")
  assert _retake(result, small_weights) == 2
  assert "a wav there is not as long as the query" in capsys.readouterr().err


def test_an_input_that_changed_is_told(result, small_weights, videos, capsys):
  record = json.loads((result / "generation.json").read_text())
  record["inputs"]["query"]["sha256"] = "0" * 64
  (result / "generation.json").write_text(json.dumps(record))
  assert _retake(result, small_weights) == 2
  assert f"{videos[0]}: is gone, or has changed since; put it back as it was" in capsys.readouterr().err


@pytest.mark.slow
def test_inputs_are_found_from_another_folder(result, small_weights, videos, tmp_path, monkeypatch):
  record = json.loads((result / "generation.json").read_text())
  record["folder"] = str(videos[0].parent)
  for told in record["inputs"].values():
    told["path"] = Path(told["path"]).name
  (result / "generation.json").write_text(json.dumps(record))
  monkeypatch.chdir(tmp_path)
  assert _retake(result, small_weights) == 0


def test_two_retakes_in_one_folder_are_one_too_many(result, small_weights, capsys):
  before = sorted(path.name for path in (result / "takes").iterdir())
  with lock.locked(result):
    assert _retake(result, small_weights) == 2
  assert f"{result}: another run is at work here; wait for its end" in capsys.readouterr().err
  assert sorted(path.name for path in (result / "takes").iterdir()) == before


def test_what_is_drawn_goes_on_from_what_is_heard_before(monkeypatch, result, small_weights):
  """The codes before the stretch are those of the take's own sound at the example's level."""
  heard, encode = [], sampling._encode

  def watched(vqgan, sound, *args, **kwargs):
    heard.append(np.asarray(sound[0]))
    return encode(vqgan, sound, *args, **kwargs)

  monkeypatch.setattr(sampling, "_encode", watched)
  for take in (1, 2):
    assert _retake(result, small_weights, take=take) == 0
  record = json.loads((result / "generation.json").read_text())
  for take, sound in enumerate(heard, 1):
    first = int(1.5 * MINI.fps) * MINI.samples_per_frame  # A column is a frame.
    before = _sound(result, take)[:first] / record["takes"][take - 1]["gain"]
    np.testing.assert_allclose(sound[-first:], before, atol=1e-6)
    assert len(sound) == 2 * MINI.samples and not sound[:-first].any()
