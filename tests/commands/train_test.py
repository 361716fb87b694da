"""Every stage trains from its shipped config, shrunk; together they make weights that generate."""

import json

import jax
import numpy as np
import pytest

from condfoley_jax import cli
from condfoley_jax.commands import train
from condfoley_jax.evaluation.judges import SHIPPED
from condfoley_jax.weights import folder
from data_pipelines import lock, media

STAGES = ("vqgan", "vocoder", "video_encoder", "transformer")
STEPS = 24
PARTS = {"vqgan", "vocoder", "video_encoder", "event_head", "sync_net", "transformer"}
# Fewer layers of the same kinds, on the same grid of codes: nearly all the time here goes into compiling them.
SHRUNK = {
  "vqgan": [
    f"--config.discriminator_start={STEPS - 4}",
    "--config.model.vqgan.patch=(10, 2)",
    "--config.model.vqgan.widths=(32, 32)",
    "--config.model.vqgan.strides=((2, 3),)",
    "--config.model.vqgan.z_channels=32",
    "--config.model.vqgan.quantizer.vocab=64",
    "--config.model.discriminator.layers=1",
  ],
  "vocoder": [
    "--config.model.istft_vocoder.layers=1",
    "--config.model.melgan_discriminator.scales=1",
    "--config.model.melgan_discriminator.layers=1",
  ],
  "video_encoder": [
    "--config.model.video_encoder.widths=(16, 16)",
    "--config.model.video_encoder.blocks=(1, 1)",
    "--config.model.event_head.width=16",
  ],
  "transformer": [
    "--config.model.transformer.layers=1",
    "--config.model.transformer.vocab=64",
    "--config.model.transformer.feature_width=16",
    f"--config.pretrained.sync_net={SHIPPED / 'sync'}",
  ],
}


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory):
  """Work directories of all stages, each trained a few steps on what the ones before made."""
  root = tmp_path_factory.mktemp("runs")
  common = [f"--config.data.train={world}", f"--config.data.validation={world}", f"--config.steps={STEPS}"]
  for stage in STAGES:
    pretrained = [f"--config.pretrained.{s}={root / s / 'weights'}" for s in STAGES[:3] if stage == "transformer"]
    arguments = ["train", "--config", f"configs/{stage}.py:mini,runlocal", "--workdir", str(root / stage)]
    assert cli.main([*arguments, *common, *pretrained, *SHRUNK.get(stage, [])]) == 0
  return root


def _losses(workdir, stage):
  name = {"vqgan": "train/reconstruction"}.get(stage, "train/loss")
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  return [line[name] for line in lines if name in line]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.slow
def test_loss_goes_down(runs, stage):
  losses = _losses(runs / stage, stage)
  assert len(losses) == STEPS
  assert np.isfinite(losses).all()
  # A quarter of the run each: batches of two clips differ more from one another than a few steps teach.
  assert np.mean(losses[-6:]) < np.mean(losses[:6])


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["classifier", "onset", "sync"])
def test_what_judges_trains_from_its_shipped_config(stage, world, tmp_path):
  """And goes on from its checkpoint."""
  data = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  arguments = ["train", "--config", f"configs/{stage}.py:mini,runlocal", "--workdir", str(tmp_path), *data]
  assert cli.main([*arguments, "--config.steps=4"]) == 0
  assert cli.main([*arguments, "--config.steps=6"]) == 0
  lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  losses = {line["step"]: [v for k, v in line.items() if k.startswith("train/") and "loss" in k] for line in lines}
  assert sorted(losses) == [1, 2, 3, 4, 5, 6] and all(np.isfinite(v).all() for v in losses.values())
  assert folder.load(tmp_path / "weights").components


@pytest.mark.slow
def test_the_discriminator_joins_in(runs):
  lines = [json.loads(line) for line in (runs / "vqgan" / "metrics.jsonl").read_text().splitlines()]
  playing = [line["step"] for line in lines if "train/discriminator_loss" in line]
  assert playing == [21, 22, 23, 24]


@pytest.mark.slow
def test_pictures_and_sound_are_logged(runs):
  events = b"".join(p.read_bytes() for p in (runs / "vocoder" / "tensorboard").iterdir())
  assert b"PNG" in events
  assert b"WAVE" in events


@pytest.mark.slow
def test_the_last_weights_folder_is_complete_and_generates(runs, videos, tmp_path):
  weights = runs / "transformer" / "weights"
  assert set(folder.load(weights).components) == PARTS
  query, example = videos[:2]
  out = tmp_path / "out"
  arguments = ["generate", str(query), "--example", str(example), "--weights", str(weights), "--out", str(out)]
  assert cli.main(arguments) == 0
  assert media.probe(out / "soundtrack.mp4").has_audio


@pytest.mark.slow
def test_frozen_parts_stay_as_they_were(runs):
  before = folder.load(runs / "vqgan" / "weights").components["vqgan"]
  after = folder.load(runs / "transformer" / "weights").components["vqgan"]
  assert np.array_equal(before.quantizer.codebook[...], after.quantizer.codebook[...])


@pytest.mark.parametrize(
  ("config", "override", "words"),
  [
    ("configs/none.py:mini", [], "no such config"),
    ("configs/vqgan.py:huge", [], "no preset"),
    ("configs/vqgan.py:mini", ["--config.stepz=3"], 'no key stepz; Did you mean "steps"'),
    ("configs/vqgan.py:mini", ["--config.learning_rate=3"], "mini: no key learning_rate"),
    ("configs/vqgan.py:mini", ["--config.=3"], "mini: Could not parse ''"),
    ("configs/vqgan.py:mini,foo", [], "mini,foo: no option `foo`"),
    ("configs/vqgan.py:mini", ["--config.steps=many"], "steps"),
    ("configs/vocoder.py:mini", ["--config.data.train=nowhere", *SHRUNK["vocoder"]], "nowhere"),
    ("configs/vqgan.py:mini", ["--config.batch_size=0"], "batch_size"),
    ("configs/vqgan.py:mini", ["--config.every.log=0"], "every.log"),
    ("configs/vqgan.py:mini", ["--config.evaluate_batches=0"], "evaluate_batches must be 1 or more"),
    ("configs/transformer.py:mini", ["--config.data.cache_epochs=0"], "data.cache_epochs must be 1 or more"),
    ("configs/vqgan.py:mini", ["--config.stage=foo"], "foo"),
    ("configs/vqgan.py:mini", ["--config.dtype=foo"], "foo"),
    ("configs/vqgan.py:mini", ["--config.clip.n_mels=81"], "81"),
    ("configs/vqgan.py:mini", ["--config.foo=1"], "foo"),
    ("configs/vqgan.py:mini", ["--config.ema=1.0"], "ema must be 0 or more and less than 1"),
    ("configs/vqgan.py:mini", ["--config.seed=4294967296"], "seed must be in 0..2^32-1"),
    ("configs/vocoder.py:mini", ["--config.crop_frames=5000"], "crop_frames is 5000; give one of 1..180"),
    ("configs/vocoder.py:mini", ["--config.sound.gain_db=(6.0,-12.0)"], "sound.gain_db is (6.0, -12.0); give the low"),
    ("configs/vocoder.py:mini", ["--config.peaks=(1,2,3)"], "peaks is (1, 2, 3); give the lowest and the highest"),
    ("configs/vocoder.py:mini", ["--config.sound.speed=1.0"], "sound.speed is 1.0; it is 0 or more and less than 1"),
    ("configs/sync.py:mini", ["--config.sound.mask_bins=-1"], "sound.mask_bins is -1"),
    ("configs/sync.py:mini", ["--config.picture.area=(1.0,0.2)"], "picture.area is (1.0, 0.2)"),
    ("configs/sync.py:mini", ["--config.picture.aspect=0.5"], "picture.aspect is 0.5; it is 1 or more"),
    ("configs/sync.py:mini", ["--config.picture.hue=-0.1"], "picture.hue is -0.1"),
    ("configs/vocoder.py:mini", ["--config.spectral_weight=nan"], "--config.spectral_weight is nan; give a number"),
    ("configs/vocoder.py:mini", ["--config.spectral_weight=-1.0"], "--config.spectral_weight must be 0 or more"),
    ("configs/vocoder.py:mini", ["--config.optimizers.vocoder.learning_rate=inf"], "learning_rate is inf; give"),
    ("configs/vocoder.py:mini", ["--config.model.melgan_discriminator.group_width=0"], "group_width"),
    ("configs/vocoder.py:mini", ["--config.model.melgan_discriminator.layers=-1"], "layers"),
    ("configs/vocoder.py:mini", ["--config.optimizers.vocoder.learning_rate=0.0"], "learning_rate is 0.0; give more"),
    ("configs/vocoder.py:mini", ["--config.sound.gain_db=(-1e999,0.0)"], "--config.sound.gain_db is (-inf, 0.0); give"),
    ("configs/vocoder.py:mini", ["--config.model.istft_vocoder.hop=7"], "istft_vocoder makes 7 samples of a mel frame"),
    ("configs/vocoder.py:mini", ["--config.sharding[0]=1"], "mini: "),
    ("configs/vocoder.py:mini", ["--config.sharding=3"], "config.sharding has 3 in place of a rule; give (pattern"),
    ("configs/vocoder.py:mini", ["--config.stage="], "no stage ``; there are vqgan, vocoder"),
    ("configs/vocoder.py:mini,seed=None", [], "lacks a number that every stage has, or it is none"),
    ("configs/models.py:mini", [], "lacks a number that every stage has, or it is none (no key steps)"),
  ],
)
def test_wrong_use_is_one_line(config, override, words, tmp_path, capsys):
  assert cli.main(["train", "--config", config, "--workdir", str(tmp_path / "w"), *override]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line
  assert "SyntaxError" not in line
  assert not (tmp_path / "w" / "config.json").exists()


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("def get_config(:", "line 1: invalid syntax"),
    ("import nonesuch", "No module named 'nonesuch'"),
    ("def get_config(): return 3", "gives no config of a stage"),
    ("x = 1", "gives no config of a stage"),
    ("def get_config(): return 1 / 0", "division by zero"),
    ("def get_config(): raise RuntimeError('no')", "no"),
    (
      "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict({'stage': 'vqgan'})",
      "lacks a number that every stage has",
    ),
  ],
)
def test_a_config_that_cannot_be_read_is_one_line(text, words, tmp_path, capsys):
  (tmp_path / "config.py").write_text(text)
  assert cli.main(["train", "--config", str(tmp_path / "config.py"), "--workdir", str(tmp_path / "w")]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line


@pytest.mark.parametrize(("address", "words"), [("foo", "`foo` is not HOST:PORT"), ("foo:1", "JAX_NUM_PROCESSES: ``")])
def test_an_address_that_is_none_is_one_line(address, words, tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", address)
  if "NUM" not in words:
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
  assert cli.main(["train", "--config", "configs/vocoder.py:mini", "--workdir", str(tmp_path / "w")]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line


@pytest.mark.parametrize(("said", "code"), [("RESOURCE_EXHAUSTED: Out of memory", 2), ("UNAVAILABLE: heartbeat", None)])
def test_a_machine_that_fails_while_a_run_is_put_together_is_no_wrong_use(said, code, tmp_path, monkeypatch, capsys):
  def fail(*_, **__):
    raise jax.errors.JaxRuntimeError(said)

  monkeypatch.setattr(train, "Run", fail)
  words = ["train", "--config", "configs/vocoder.py:mini", "--workdir", str(tmp_path / "w")]
  if code:
    assert cli.main(words) == code and said in capsys.readouterr().err
    return
  with pytest.raises(jax.errors.JaxRuntimeError, match=said):
    cli.main(words)


def test_one_run_at_a_time_trains_in_a_workdir(tmp_path, capsys):
  (tmp_path / "w").mkdir()
  with lock.locked(tmp_path / "w"):
    assert cli.main(["train", "--config", "configs/vocoder.py:mini", "--workdir", str(tmp_path / "w")]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{tmp_path / 'w'}: another run is at work here" in line and not list((tmp_path / "w").iterdir())


def test_a_workdir_that_cannot_be_made_is_one_line(world, tmp_path, capsys):
  (tmp_path / "file").touch()
  data = [f"--config.data.{split}={world}" for split in ("train", "validation")]
  arguments = ["train", "--config", "configs/vocoder.py:mini,runlocal", "--workdir", str(tmp_path / "file"), *data]
  assert cli.main(arguments) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert str(tmp_path / "file") in line
