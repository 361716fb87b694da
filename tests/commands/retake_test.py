"""`condfoley retake`: a stretch anew, the rest as it was."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import earlier, output, retake
from condfoley_jax.conventions import OURS
from condfoley_jax.sampling import retake as sampling
from condfoley_jax.sampling.generate import Generator
from condfoley_jax.sampling.spans import spans
from condfoley_jax.weights import folder
from data_pipelines import lock
from tests import small

pytestmark = pytest.mark.usefixtures("plain_pictures_in_module")


@pytest.fixture(scope="module")
def made(videos, small_weights, plain_pictures_in_module, tmp_path_factory):
  out = tmp_path_factory.mktemp("made") / "out"
  words = ["generate", str(videos[0]), "--example", str(videos[1]), "--candidates", "2", f"--weights={small_weights}"]
  assert cli.main([*words, "--out", str(out)]) == 0
  return out


# Where in the results of `loud_weights` a second example begins, s.
BOUND = 3.5


@pytest.fixture(scope="module")
def loud_weights(tmp_path_factory):
  """As `small_weights`, but for a vocoder whose frames are clicks, in their middles: takes are turned down."""
  directory, parts = tmp_path_factory.mktemp("weights") / "w", small.parts()
  kernel, bias = parts["vocoder"].head.kernel, parts["vocoder"].head.bias
  bins = bias.shape[0] // 2
  kernel[...] = kernel[...].at[:, bins:].set(0)
  bias[...] = bias[...].at[bins:].set(np.pi * np.arange(bins)).at[:bins].add(2)
  folder.save(directory, MINI, parts, conventions=dataclasses.replace(OURS, detail_frames=7))
  return directory


@pytest.fixture(scope="module")
def loud_made(videos, loud_weights, plain_pictures_in_module, tmp_path_factory):
  out = tmp_path_factory.mktemp("made") / "out"
  words = ["generate", str(videos[0]), "--example", str(videos[1]), "--candidates", "2", f"--weights={loud_weights}"]
  words[2:4] = [f"--example={videos[1]}@0-{BOUND}", f"--example={videos[2]}@{BOUND}-"]
  assert cli.main([*words, "--out", str(out)]) == 0
  return out


@pytest.fixture
def loud_result(loud_made, tmp_path):
  return shutil.copytree(loud_made, tmp_path / "out")


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


@pytest.mark.parametrize("start", [0.0, BOUND])
def test_a_beginning_with_its_own_seed_is_what_it_was(loud_result, loud_weights, start):
  """Level, example, frames and scores are those of the take, though it was turned down: nothing is before a stretch
  with an example of its own."""
  first, _ = json.loads((loud_result / "generation.json").read_text())["takes"]
  assert first["gain"] < 0.5
  assert _retake(loud_result, loud_weights, f"--seed={first['seed']}", take=1, start=start, end=start + 0.9) == 0
  old, new = _sound(loud_result, 1), _sound(loud_result, 3)
  assert np.abs(old - new).max() > 0
  whole = slice(round((start + 0.03) * 22050), None)
  np.testing.assert_allclose(new[whole], old[whole], atol=0.03 * np.abs(old).max())
  again = json.loads((loud_result / "generation.json").read_text())["takes"][2]
  for was, now in zip(first["segments"], again["segments"], strict=True):
    assert (now["start_s"], now["end_s"]) == (was["start_s"], was["end_s"])
    assert now["sync_confidence"] == pytest.approx(was["sync_confidence"], abs=1e-3)


def test_segments_that_changed_are_scored_where_they_are_before_they_are_turned_down(
  loud_result, loud_weights, monkeypatch
):
  scored, score = [], Generator.score

  def watched(self, frames, seen, audio, segments):
    scored.append((audio, segments))
    return score(self, frames, seen, audio, segments)

  monkeypatch.setattr(Generator, "score", watched)
  assert _retake(loud_result, loud_weights, start=2.5, end=3.5) == 0
  record = json.loads((loud_result / "generation.json").read_text())
  ((audio, segments),) = scored
  # Those of stretches overlap: neither begins where one before it ends.
  assert [MINI.frames, *np.diff(segments).ravel()] == [MINI.frames] * 3 and segments == [(23, 53), (52, 82)]
  np.testing.assert_allclose(audio[0] * record["takes"][1]["gain"], _sound(loud_result, 3), atol=1e-6)
  was, now = (record["takes"][i]["segments"] for i in (1, 2))
  assert [a == b for a, b in zip(was, now, strict=True)] == [True, False, False, True]


def test_what_it_goes_on_from_is_as_loud_as_it_was_made(loud_result, loud_weights, monkeypatch):
  """And of the stretch with the example alone: what sounds like another is not before it."""
  given, remake = [], sampling.remake

  def watched(generator, frames, example, sampling, seed, sound, span):
    given.append((len(frames), sound, span))
    return remake(generator, frames, example, sampling, seed, sound, span)

  monkeypatch.setattr(sampling, "remake", watched)
  assert _retake(loud_result, loud_weights, start=5.0, end=5.5) == 0
  ((frames, sound, (first, last)),) = given
  span = spans([BOUND], 100, MINI)[1]
  begin = span.first * MINI.samples_per_frame
  assert frames == span.end - span.first and (first, last) == (round(5.0 * 22050) - begin, round(5.5 * 22050) - begin)
  gain = json.loads((loud_result / "generation.json").read_text())["takes"][1]["gain"]
  np.testing.assert_allclose(sound * gain, _sound(loud_result, 2)[begin:][: len(sound)], atol=1e-6)


def test_the_sound_of_takes_is_read_where_it_is_asked_for(made, monkeypatch):
  told, wav = json.loads((made / "generation.json").read_text())["takes"][0], made / "takes" / "01.wav"
  whole, read = soundfile.read(wav, dtype="float32")[0], []
  monkeypatch.setattr(soundfile, "read", lambda *a, read_=soundfile.read, **k: read.append(k) or read_(*a, **k))
  audio = earlier.take_of(told, wav).audio
  assert audio.shape == (len(audio),) == whole.shape and not read
  np.testing.assert_array_equal(audio[100:300:7], whole[100:300:7])
  assert (read[0]["start"], read[0]["stop"]) == (100, 300)
  np.testing.assert_array_equal(audio[-50:], whole[-50:])
  np.testing.assert_array_equal(audio[None], whole[None])
  np.testing.assert_array_equal(np.asarray(audio), whole)


def test_a_seed_that_is_not_used_yet_is_the_next():
  assert [retake._unused(seeds) for seeds in ({0}, {4, 7}, {2**32 - 1}, {2**32 - 1, 0, 1})] == [1, 8, 0, 2]


def test_the_same_seed_gives_the_same_another_another(result, small_weights):
  for seed in (7, 7, 8):
    assert _retake(result, small_weights, "--seed", str(seed)) == 0
  np.testing.assert_array_equal(_sound(result, 3), _sound(result, 4))
  assert np.abs(_sound(result, 3) - _sound(result, 5)).max() > 1e-3


# A tenth of a second, by numbers that are a little less apart.
@pytest.mark.parametrize(
  ("start", "end"), [(0.0, 0.5), (0.2, 0.3), (0.4, 1.0), pytest.param(0.0, None, marks=pytest.mark.slow)]
)
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
