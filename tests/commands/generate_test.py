"""`condfoley generate` with the shipped weights: what it writes, that it repeats, and what it refuses."""

import dataclasses
import json
import re
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import generation, inputs, maker
from condfoley_jax.commands.settings import Settings
from condfoley_jax.conventions import Conventions
from data_pipelines import lock, media
from data_pipelines.builders.drumstick.picture import HEIGHT, WIDTH
from data_pipelines.builders.drumstick.render import Coding, write_mp4
from data_pipelines.denoise import denoise
from data_pipelines.errors import InputError
from tests import small
from tests.commands import corpus

RATE = MINI.sample_rate


def _generate(query, example, out, *options):
  return cli.main(["generate", str(query), "--example", str(example), "--out", str(out), *options])


def _packets(path):
  with av.open(str(path)) as container:
    return [bytes(p) for p in container.demux(video=0) if p.size]


def _sound(path):
  return media.decode_audio(path, RATE)


@pytest.fixture(scope="module")
def made(videos, tmp_path_factory):
  """(query, example, out): two takes of one video of the world in the sound of another."""
  out = tmp_path_factory.mktemp("made") / "out"
  assert _generate(videos[0], videos[1], out, "--candidates", "2") == 0
  return videos[0], videos[1], out


def test_video_is_untouched_and_sound_is_as_long(made):
  query, _, out = made
  assert _packets(out / "soundtrack.mp4") == _packets(query)
  assert len(_sound(out / "soundtrack.mp4")) == round(media.probe(query).duration_s * RATE)


def test_sound_is_audible_and_not_clipped(made):
  for path in sorted((made[2] / "takes").glob("*.wav")):
    sound = _sound_of_wav(path)
    assert np.sqrt(np.mean(sound**2)) > 1e-3
    assert np.abs(sound).max() < 1


def _sound_of_wav(path):
  import soundfile

  sound, rate = soundfile.read(path)
  assert rate == RATE
  return sound


def test_generation_json_says_what_was_done(made):
  query, _, out = made
  record = json.loads((out / "generation.json").read_text())
  assert record["inputs"]["query"]["path"] == str(query)
  assert len(record["inputs"]["example"]["sha256"]) == 64
  assert record["settings"]["candidates"] == 2
  assert sorted(t["seed"] for t in record["takes"]) == [0, 1]
  assert [t["rank"] for t in record["takes"]] == [1, 2]
  segments = record["takes"][0]["segments"]
  assert segments[0]["start_s"] == 0
  assert segments[-1]["end_s"] == pytest.approx(media.probe(query).duration_s, abs=0.1)
  assert set(segments[0]) == {"start_s", "end_s", "sync_offset_s", "sync_confidence"}
  assert record["weights"]


def test_the_best_take_is_the_soundtrack(made):
  _, _, out = made
  assert (out / "soundtrack.mp4").read_bytes() == (out / "takes" / "01.mp4").read_bytes()
  assert (out / "report.html").stat().st_size > 10_000
  assert sorted(p.name for p in out.iterdir()) == ["generation.json", "report.html", "soundtrack.mp4", "takes"]


@pytest.mark.slow
def test_the_same_command_gives_the_same_sound(made, tmp_path):
  query, example, out = made
  assert _generate(query, example, tmp_path / "again", "--candidates", "2") == 0
  for name in ("01.wav", "02.wav"):
    assert (tmp_path / "again" / "takes" / name).read_bytes() == (out / "takes" / name).read_bytes()


@pytest.mark.slow
def test_another_example_and_another_seed_give_another_sound(made, videos, tmp_path):
  query, example, out = made
  assert _generate(query, videos[2], tmp_path / "example", "--candidates", "2") == 0
  assert _generate(query, example, tmp_path / "seed", "--candidates", "2", "--seed", "7") == 0
  first = _sound(out / "soundtrack.mp4")
  for other in ("example", "seed"):
    assert not np.allclose(_sound(tmp_path / other / "soundtrack.mp4"), first, atol=1e-3)


@pytest.mark.slow
def test_real_clips(clips, tmp_path):
  query, example = clips["chopping"], clips["hitting_metal"]
  assert _generate(query, example, tmp_path / "x") == 0
  result = tmp_path / "x" / "soundtrack.mp4"
  assert _packets(result) == _packets(query)
  sound = _sound(result)
  assert len(sound) == round(media.probe(query).duration_s * RATE)
  assert np.abs(sound).max() > 0.01


def _broken(kind, video, folder):
  path = folder / f"{kind}.mp4"
  if kind == "empty":
    path.touch()
  elif kind == "truncated":
    path.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
  elif kind == "text":
    path.write_text("not a video at all\n" * 100)
  elif kind == "silent":
    samples = round(media.probe(video).duration_s * RATE)
    media.mux(video, np.zeros(samples, np.float32), RATE, path)
  elif kind == "folder":
    path.mkdir()
  return path


_UNUSABLE = [
  (kind, role) for kind in ("missing", "empty", "truncated", "text", "folder") for role in ("query", "example")
]


def test_two_runs_into_one_folder_are_one_too_many(videos, tmp_path, capsys):
  (tmp_path / "out").mkdir()
  with lock.locked(tmp_path / "out"):
    assert _generate(videos[0], videos[1], tmp_path / "out") == 2
  assert f"{tmp_path / 'out'}: another run is at work here" in capsys.readouterr().err
  assert list((tmp_path / "out").iterdir()) == []


def test_more_takes_than_fit_into_memory_are_one_line(videos, tmp_path, capsys):
  assert _generate(videos[0], videos[1], tmp_path / "out", "--candidates", "1000000000") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "GiB of memory" in line and "fewer --candidates" in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("kind", "role"), [*_UNUSABLE, ("silent", "example")])
def test_unusable_input_is_one_line_and_leaves_nothing(kind, role, videos, tmp_path, capsys):
  bad = _broken(kind, videos[0], tmp_path)
  query, example = (bad, videos[1]) if role == "query" else (videos[0], bad)
  assert _generate(query, example, tmp_path / "out") == 2
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert str(bad) in line
  assert not (tmp_path / "out").exists()


def test_the_noise_of_the_whole_example_is_gone_before_it_is_cut(videos):
  start_s, noisy = inputs.read_example(videos[1], None, MINI, [], clips=1, denoised=False, pictures=True)
  _, clean = inputs.read_example(videos[1], start_s, MINI, [], clips=1, denoised=True, pictures=True)
  first = round(start_s * RATE)
  cut = denoise(_sound(videos[1]), RATE)[first : first + MINI.example_samples]
  np.testing.assert_array_equal(clean.audio[: len(cut)], cut)
  assert np.abs(clean.audio - noisy.audio).max() > 1e-3
  np.testing.assert_array_equal(clean.frames, noisy.frames)


def test_example_without_sound_and_start_past_its_end(videos, tmp_path, capsys):
  silent = tmp_path / "mute.mp4"
  _strip_sound(videos[1], silent)
  assert _generate(videos[0], silent, tmp_path / "out") == 2
  assert "has no sound" in capsys.readouterr().err
  assert _generate(videos[0], videos[1], tmp_path / "out", "--example-start", "1000") == 2
  assert "--example-start" in capsys.readouterr().err


def _strip_sound(source, path):
  with av.open(str(source)) as read, av.open(str(path), "w") as write:
    stream = write.add_stream_from_template(read.streams.video[0])
    for packet in read.demux(video=0):
      if packet.dts is not None:
        packet.stream = stream
        write.mux(packet)


@pytest.mark.slow
def test_a_silent_query_and_one_without_sound_work(videos, tmp_path):
  mute = tmp_path / "-mute.mp4"
  _strip_sound(videos[0], mute)
  arguments = ["generate", "--example", str(videos[1]), "--out", str(tmp_path / "out"), "--", str(mute)]
  assert cli.main(arguments) == 0


def test_a_query_of_one_frame_at_30_fps_is_refused(tmp_path, videos, capsys):
  picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
  write_mp4(tmp_path / "frame.mp4", [picture], Fraction(30), np.zeros(735, np.float32), RATE, Coding(23, 64_000))
  assert _generate(tmp_path / "frame.mp4", videos[1], tmp_path / "out") == 2
  assert "frame.mp4" in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_any_top_k_is_taken(videos, tmp_path):
  assert _generate(videos[0], videos[1], tmp_path / "out", "--top-k", str(2**32 - 1)) == 0


def test_guidance_of_weights_that_never_went_without_inputs_is_refused(tmp_path, monkeypatch):
  from condfoley_jax.sampling import generate
  from condfoley_jax.weights.folder import Weights

  plain = small.parts()
  plain["transformer"].config = dataclasses.replace(plain["transformer"].config, stand_ins=False)
  monkeypatch.setattr(generate, "load", lambda directory: Weights(MINI, Conventions(), plain, "none"))
  with pytest.raises(InputError, match="never trained without its inputs; choose --guidance 1"):
    maker.Maker(tmp_path, Settings(guidance=2.0))
  made = maker.Maker(tmp_path, Settings(guidance=1.0))
  assert made.settled(Settings()).guidance == 1.0


@pytest.mark.slow
def test_weights_that_overflow_are_one_line_and_leave_nothing(videos, tmp_path, capsys):
  from condfoley_jax.weights import folder

  weights = folder.load(folder.SHIPPED)
  bias = weights.components["vocoder"].embed.bias
  bias[...] = np.full_like(bias[...], 3e38)
  folder.save(tmp_path / "w", weights.clip, weights.components, conventions=weights.conventions, dtype=np.float32)
  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "w")) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{tmp_path / 'w'}: gives sound that is no number" in line
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  ("component", "field", "value", "words"),
  [
    ("transformer", "vocab", 1023, "codes in all: vqgan 1024, transformer 1023"),
    ("vqgan", "patch", (5, 1), "mel bins and frames of a code: clip (20, 6), vqgan (20, 3)"),
    ("vocoder", "hop", 128, "samples of a mel frame: clip 245, vocoder 128"),
    ("event_head", "width", 12, "width of a frame's features: video_encoder 96, event_head 12, transformer 96"),
  ],
)
def test_components_that_were_not_made_for_each_other_are_told_by_the_size(component, field, value, words):
  from condfoley_jax.weights import folder

  weights = folder.load(folder.SHIPPED)
  changed = weights.components[component]
  changed.config = dataclasses.replace(changed.config, **{field: value})
  with pytest.raises(InputError, match=re.escape(words)) as error:
    maker._require_fit(weights, folder.SHIPPED)
  assert str(folder.SHIPPED / "config.json") in str(error.value)


def test_weights_that_are_not_there_or_damaged(videos, tmp_path, capsys):
  from condfoley_jax.weights import folder

  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "none")) == 2
  assert "none" in capsys.readouterr().err
  shutil.copytree(folder.SHIPPED, tmp_path / "damaged")
  tensors = tmp_path / "damaged" / "model.safetensors"
  tensors.write_bytes(tensors.read_bytes()[:-100])
  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "damaged")) == 2
  assert "model.safetensors" in capsys.readouterr().err
  shutil.copytree(folder.SHIPPED, tmp_path / "edited")
  config = tmp_path / "edited" / "config.json"
  config.write_text(config.read_text().replace('"seconds": 2.0', '"seconds": 3.0'))
  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "edited")) == 2
  assert "does not fit" in capsys.readouterr().err
  config.write_text(config.read_text().replace('"seconds": 3.0', '"seconds": Infinity'))
  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "edited")) == 2
  assert "ClipSpec.seconds must be 3600 or less" in capsys.readouterr().err
  vqgan = folder.load(folder.SHIPPED, only=("vqgan",)).components
  folder.save(tmp_path / "part", MINI, vqgan)
  assert _generate(videos[0], videos[1], tmp_path / "out", "--weights", str(tmp_path / "part")) == 2
  assert "no component" in capsys.readouterr().err


def test_each_stretch_of_a_query_sounds_like_its_own_example(videos, small_weights, plain_pictures, tmp_path):
  """What is far from where two meet is what each example alone gives there."""
  query, weights = corpus.video("q.mp4", seconds=2)(tmp_path), f"--weights={small_weights}"
  examples = [f"--example={videos[1]}@0-1.2", f"--example={videos[2]}@1.2-"]
  assert cli.main(["generate", weights, *examples, f"--out={tmp_path / 'both'}", str(query)]) == 0
  assert _generate(query, videos[1], tmp_path / "one", weights) == 0
  both, one = (_sound_of_wav(tmp_path / name / "takes" / "01.wav") for name in ("both", "one"))
  assert len(both) == len(one) == 2 * RATE
  level = lambda sound: sound / np.abs(sound[: RATE // 2]).max()
  np.testing.assert_allclose(level(both)[: RATE // 2], level(one)[: RATE // 2], atol=1e-3)
  assert np.abs(level(both)[-RATE // 2 :] - level(one)[-RATE // 2 :]).max() > 0.01
  record = json.loads((tmp_path / "both" / "generation.json").read_text())
  assert [x["path"] for x in record["settings"]["examples"]] == [str(videos[1]), str(videos[2])]
  assert set(record["inputs"]) == {"query", "example", "example_2"}
  report = (tmp_path / "both" / "report.html").read_text()
  assert "Example 2" in report and f"{videos[2].name}, from 1.2 s" in report


def test_the_querys_own_sound_is_under_the_takes_in_the_video_alone(write, videos, tmp_path):
  assert write(tmp_path / "plain") == 0 and write(tmp_path / "under", "--keep-original-audio", "-18dB") == 0
  plain, under = (_sound(tmp_path / name / "soundtrack.mp4") for name in ("plain", "under"))
  own = media.decode_audio(videos[0], RATE, duration_s=len(plain) / RATE)
  wav = [(tmp_path / name / "takes" / "01.wav").read_bytes() for name in ("plain", "under")]
  assert wav[0] == wav[1]
  added = under - plain
  assert np.dot(added, own) / np.dot(own, own) == pytest.approx(10 ** (-18 / 20), rel=0.1)


def test_a_query_without_sound_has_none_to_keep(videos, tmp_path, capsys):
  _strip_sound(videos[0], tmp_path / "mute.mp4")
  words = ["--keep-original-audio", "-18dB"]
  assert _generate(tmp_path / "mute.mp4", videos[1], tmp_path / "out", *words) == 2
  assert "mute.mp4: has no sound to keep" in capsys.readouterr().err


def test_sound_that_is_to_be_kept_and_cannot_be_read_is_told_before_takes_are_made(tmp_path):
  query = corpus.CASES["unknown codec of its sound"].make(tmp_path)
  assert inputs.query_samples(query, MINI, sound=False) == RATE
  with pytest.raises(InputError, match=r"b\.mp4: no sound can be decoded"):
    inputs.query_samples(query, MINI, sound=True)


def test_no_take_is_louder_than_minus_1_dbtp(made):
  record = json.loads((made[2] / "generation.json").read_text())
  for number, take in enumerate(record["takes"], 1):
    sound = _sound_of_wav(made[2] / "takes" / f"{number:02d}.wav")
    heard = media.measure_loudness(sound.astype(np.float32), RATE)
    assert heard.true_peak <= 10 ** (-1 / 20) + 1e-6
    assert take["true_peak_dbtp"] == pytest.approx(20 * np.log10(heard.true_peak), abs=0.05)
    assert take["loudness_lufs"] == pytest.approx(heard.integrated_lufs, abs=0.1)


@pytest.mark.parametrize("louder", [0.5, 1.6, 3000])
def test_however_loud_a_sound_it_is_told_by_how_much_it_was_turned_down_and_how_loud_it_is_then(louder):
  sound = (louder * np.sin(np.arange(2 * RATE) * 0.2)).astype(np.float32)
  held, gain, told = generation.held_down(sound.copy(), RATE)
  np.testing.assert_allclose(held, gain * sound, rtol=1e-5)
  assert gain == 1 if louder < 0.8 else 0.8 < louder * gain < 10 ** (-1 / 20)
  heard = media.measure_loudness(held, RATE)
  assert told.integrated_lufs == pytest.approx(heard.integrated_lufs, abs=0.01)
  assert told.true_peak == pytest.approx(heard.true_peak, abs=1e-3) and heard.true_peak <= 10 ** (-1 / 20) + 1e-6
