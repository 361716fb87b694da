"""`condfoley convert`: from a checkpoint as the authors wrote it to takes."""

import contextlib
import json
import resource
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from condfoley_jax import cli
from condfoley_jax.sampling.decode_loop import sample_codes
from condfoley_jax.sampling.logits import Sampling
from condfoley_jax.weights import folder, tree
from data_pipelines import media
from tests import golden
from tests.weights import torch_writer
from tests.weights.published import tiny
from tests.weights.torch_writer import Instance, Name


def lightning(state: dict) -> dict:
  """What PyTorch Lightning saves around a state dict: counters, callbacks, settings of other packages' classes."""
  settings = Instance(Name("omegaconf.dictconfig", "DictConfig"), {"_content": {"block_size": 7}})
  optimizer = {"state": {0: {"step": 3, "exp_avg": np.zeros((4, 4), np.float32)}}, "param_groups": [{"lr": 1e-4}]}
  return {
    "epoch": 12,
    "pytorch-lightning_version": "1.2.10",
    "callbacks": {Name("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"): {"best_model_score": None}},
    "hyper_parameters": settings,
    "optimizer_states": [optimizer],
    "state_dict": state,
  }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("checkpoints")
  torch_writer.write(directory / "last.ckpt", lightning(tiny.checkpoint()))
  torch_writer.write(directory / "sixty.ckpt", lightning(tiny.checkpoint(columns=12, positions=180)))
  torch_writer.write(directory / "best_netG.pt", tiny.tensors(tiny.melgan()))
  return directory


def convert(*args) -> int:
  return cli.main(["convert", *map(str, args)])


def run(files, out, source="last.ckpt", *options) -> dict:
  """Conventions of the folder that a transformer and a vocoder make."""
  command = ["--kind", "transformer", "--heads", 2, files / source, out, "--vocoder", files / "best_netG.pt", *options]
  assert convert(*command) == 0
  return json.loads((out / "config.json").read_text())["conventions"]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("source", "option"), [("last.ckpt", None), ("last.ckpt", "--published"), ("sixty.ckpt", None)]
)
def test_a_checkpoint_makes_a_folder_that_generates(files, videos, tmp_path, source, option):
  run(files, tmp_path / "w", source, *([option] if option else []))
  command = ["generate", videos[0], "--example", videos[1], "--weights", tmp_path / "w", "--out", tmp_path / "x"]
  assert cli.main([str(word) for word in command]) == 0
  audio = media.decode_audio(tmp_path / "x" / "soundtrack.mp4", 22050)
  assert len(audio) == round(media.probe(videos[0]).duration_s * 22050)
  assert np.abs(audio).max() > 0


def test_conventions_say_what_was_asked_for(files, tmp_path):
  repaired = run(files, tmp_path / "a")
  assert (repaired["bn_mode"], repaired["crop"], repaired["level"]) == ("batch", "center", "rms")
  assert (repaired["vocoder_mel"], repaired["windows"], repaired["denoise"]) == ("slaney", "sliding", False)
  countix = run(files, tmp_path / "b", "last.ckpt", "--trained-on", "countix_av")
  assert (countix["level"], countix["denoise"]) == ("as_is", True)
  published = run(files, tmp_path / "c", "last.ckpt", "--published")
  assert (published["crop"], published["level"], published["windows"]) == ("first", "as_is", "half")
  assert (published["bn_mode"], published["vocoder_mel"], published["top_k"]) == ("batch", "as_decoded", 512)


def test_weights_are_those_of_the_checkpoint_to_the_bit(files, tmp_path):
  run(files, tmp_path / "w")
  loaded = folder.load(tmp_path / "w").components
  state = tiny.checkpoint()
  np.testing.assert_array_equal(loaded["transformer"].head.kernel[...], state["transformer.head.weight"].T)
  book = state["first_stage_model.quantize.embedding.weight"]
  np.testing.assert_array_equal(loaded["vqgan"].quantizer.codebook[...], book)


def test_without_a_vocoder_it_says_what_is_wanted(files, tmp_path, capsys):
  assert convert("--kind", "transformer", "--heads", 2, files / "last.ckpt", tmp_path / "w") == 0
  assert "--vocoder" in capsys.readouterr().err
  assert set(folder.load(tmp_path / "w").components) == {"vqgan", "video_encoder", "transformer"}


def test_a_vocoder_alone(files, tmp_path):
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w") == 0
  assert set(folder.load(tmp_path / "w").components) == {"vocoder"}


def test_what_cannot_be_used_is_one_line_and_leaves_nothing(files, tmp_path, capsys):
  broken = tiny.checkpoint()
  del broken["transformer.head.weight"], broken["first_stage_model.quant_conv.bias"]
  torch_writer.write(tmp_path / "broken.ckpt", lightning(broken))
  torch_writer.write(tmp_path / "hostile.ckpt", torch_writer.Call(Name("os", "system"), ("touch ran",)))
  cases = {
    tmp_path / "broken.ckpt": "quant_conv.bias",
    tmp_path / "hostile.ckpt": "system",
    tmp_path / "absent.ckpt": "",
    files / "best_netG.pt": "first_stage_permuter.backward_shuffle_idx, first_stage_permuter.forward_shuffle_idx",
  }
  for source, message in cases.items():
    assert convert("--kind", "transformer", source, tmp_path / "w") == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and str(source) in error and message in error
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w", "--vocoder", files / "best_netG.pt") == 2
  assert not (tmp_path / "w").exists()


def test_heads_that_the_width_does_not_divide_by_are_no_fault_of_the_checkpoint(files, tmp_path, capsys):
  assert convert("--kind", "transformer", "--heads", 7, files / "last.ckpt", tmp_path / "w") == 2
  error = capsys.readouterr().err
  assert "--heads 7: a width of" in error and "last.ckpt" not in error
  assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("option", [["--published"], ["--heads", 8], ["--trained-on", "countix_av"]])
def test_options_of_a_transformer_are_refused_elsewhere(files, tmp_path, capsys, option):
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w", *option) == 2
  assert f"{option[0]}" in capsys.readouterr().err
  assert not (tmp_path / "w").exists()


def test_a_vocoder_alone_has_no_behaviour(files, tmp_path, capsys):
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w") == 0
  assert "behaviour" not in capsys.readouterr().err


@pytest.mark.parametrize(
  ("section", "field", "value", "words"),
  [
    ("conventions", "crop", "middle", "Conventions.crop is one of center, first, not middle"),
    ("conventions", "top_k", "x", "Conventions.top_k is 'x', not of type int"),
    ("clip", "mel_crop", "x", "ClipSpec.mel_crop is 'x', not of type int | None"),
    ("clip", "fps", True, "ClipSpec.fps is True, not of type int"),
    ("clip", "seconds", float("nan"), "ClipSpec.seconds must be positive, not nan"),
    ("clip", "n_fft", 100, "ClipSpec.n_fft must be even, from hop (256) to 65536, not 100"),
    ("clip", "hop", 128, "samples of a mel frame: clip 128, vocoder 256"),
    ("clip", "mel_per_row", 8, "mel bins and frames of a code: clip (8, 16), vqgan (16, 16)"),
  ],
)
def test_an_edited_config_is_told_by_its_field(files, videos, tmp_path, capsys, section, field, value, words):
  run(files, tmp_path / "w")
  path = tmp_path / "w" / "config.json"
  config = json.loads(path.read_text())
  config[section][field] = value
  path.write_text(json.dumps(config))
  capsys.readouterr()
  command = ["generate", videos[0], "--example", videos[1], "--weights", tmp_path / "w", "--out", tmp_path / "x"]
  assert cli.main([str(word) for word in command]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line and "undo the change" in line


def test_a_folder_that_holds_weights_is_not_written_over(files, tmp_path, capsys):
  run(files, tmp_path / "w")
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w") == 2
  assert "holds weights already" in capsys.readouterr().err
  assert set(folder.load(tmp_path / "w").components) == {"vqgan", "video_encoder", "transformer", "vocoder"}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("dangling", [False, True])
def test_half_a_folder_is_not_written_over_either(files, tmp_path, capsys, name, dangling):
  (tmp_path / "w").mkdir()
  path = tmp_path / "w" / name
  path.symlink_to(tmp_path / "nowhere") if dangling else path.write_bytes(b"precious")
  assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / "w") == 2
  assert "holds weights already" in capsys.readouterr().err
  assert [p.name for p in (tmp_path / "w").iterdir()] == [name]
  assert dangling or path.read_bytes() == b"precious"


@contextlib.contextmanager
def small_files():
  """No file may grow beyond 10 kB, as on a disk that fills up; only in here, for pytest may write to one too."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("out", ["w", "a/b/w"])
def test_a_full_disk_is_one_line_and_leaves_nothing(files, tmp_path, capsys, out):
  with small_files():
    assert convert("--kind", "melgan", files / "best_netG.pt", tmp_path / out) == 2
  error = capsys.readouterr().err.strip()
  assert "\n" not in error and "File too large; choose another folder" in error
  assert not list(tmp_path.iterdir())


def test_a_run_killed_while_it_writes_leaves_one_file_that_the_next_writes_over(files, tmp_path):
  # The system kills a process that writes beyond its limit, unless it asks not to be, as Python does.
  killed = """if True:
    import resource, signal, sys
    from condfoley_jax import cli
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    cli.main(sys.argv[1:])"""
  command = ["convert", "--kind", "melgan", str(files / "best_netG.pt"), str(tmp_path / "w")]
  run = subprocess.run([sys.executable, "-c", killed, *command], capture_output=True, check=False)
  assert run.returncode == -signal.SIGXFSZ
  (left,) = (tmp_path / "w").iterdir()
  assert left.name == ".model.safetensors.partial"
  assert cli.main(command) == 0
  assert {path.name for path in (tmp_path / "w").iterdir()} == {"config.json", "model.safetensors"}
  assert set(folder.load(tmp_path / "w").components) == {"vocoder"}


def test_a_run_killed_between_the_two_files_is_written_over(files, tmp_path):
  command = ["convert", "--kind", "melgan", str(files / "best_netG.pt"), str(tmp_path / "w")]
  killed = """if True:
    import os, sys
    from condfoley_jax import cli
    replace = os.replace
    os.replace = lambda *paths: (replace(*paths), os._exit(9))
    cli.main(sys.argv[1:])"""
  assert subprocess.run([sys.executable, "-c", killed, *command], capture_output=True, check=False).returncode == 9
  assert (tmp_path / "w" / "model.safetensors").exists() and not (tmp_path / "w" / "config.json").exists()
  assert cli.main(command) == 0
  assert {path.name for path in (tmp_path / "w").iterdir()} == {"config.json", "model.safetensors"}
  assert set(folder.load(tmp_path / "w").components) == {"vocoder"}


@pytest.mark.parametrize(
  ("vocoder", "message"),
  [
    (tiny.tensors(tiny.melgan(n_mels=20)), "(mel bins: clip 80, vocoder 20)"),
    (tiny.tensors(tiny.melgan(ratios=(4, 2))), "(samples of a mel frame: clip 256, vocoder 8)"),
    (
      tiny.tensors(tiny.melgan()) | {"model.1.bias": np.full(32, np.nan, np.float32)},
      "not finite in float32 (1): model.1",
    ),
    ({k: x for k, x in tiny.tensors(tiny.melgan()).items() if k != "model.1.bias"}, "missing (1): model.1.bias"),
  ],
)
def test_a_vocoder_that_does_not_fit_is_named_by_its_file(files, tmp_path, capsys, vocoder, message):
  torch_writer.write(tmp_path / "voc.pt", vocoder)
  command = [
    "--kind",
    "transformer",
    "--heads",
    2,
    files / "last.ckpt",
    tmp_path / "w",
    "--vocoder",
    tmp_path / "voc.pt",
  ]
  assert convert(*command) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"condfoley convert: {tmp_path / 'voc.pt'}: ") and message in line
  assert not (tmp_path / "w").exists()


def test_the_last_line_shows_any_folder_as_it_is_on_one_line(files, tmp_path, capsys):
  out = tmp_path / "[red]\nw"
  assert convert("--kind", "melgan", files / "best_netG.pt", out) == 0
  assert capsys.readouterr().err.splitlines()[-1] == rf"{tmp_path}/[red]\nw: converted; see docs/published.md"


@pytest.mark.golden
@pytest.mark.slow
def test_a_checkpoint_of_paper_size_generates_and_gives_the_published_greedy_codes(tmp_path, clips):
  state = {}
  for prefix, keys in (("transformer.", "gpt_real"), ("first_stage_model.", "vqgan_real")):
    state |= {f"{prefix}{k}": x for k, x in golden.state_dict(keys).items() if not k.startswith(("loss.", "wav_"))}
  state |= {f"cond_stage_model.model.{k}": x for k, x in golden.state_dict("r2plus1d").items()}
  order = np.arange(50).reshape(5, 10).T.ravel()
  state |= {
    "first_stage_permuter.forward_shuffle_idx": order,
    "first_stage_permuter.backward_shuffle_idx": np.argsort(order),
  }
  torch_writer.write(tmp_path / "last.ckpt", lightning(state))
  torch_writer.write(tmp_path / "best_netG.pt", golden.state_dict("melgan_G"))
  weights = tmp_path / "w"
  command = ["--kind", "transformer", tmp_path / "last.ckpt", weights, "--vocoder", tmp_path / "best_netG.pt"]
  assert convert(*command, "--published") == 0

  model = folder.load(weights, only=("transformer",)).components["transformer"]
  vectors = golden.load("gpt_real.npz")
  features = golden.rnd("gpt_feats", (1, 512, 60)).transpose(0, 2, 1)
  condition = vectors["idx"][:, :50].astype(np.int32)
  keys = jax.random.split(jax.random.key(0), (1, 1))
  given = (features[:, :30], features[:, 30:], condition, condition[:, None, :0], keys)
  greedy = jax.jit(sample_codes, static_argnames="count")
  codes = greedy(model, *given, Sampling(temperature=0.0), count=50)[:, 0]
  sure = golden.sure(vectors["greedy_margin"])
  assert sure.any()
  np.testing.assert_array_equal(np.asarray(codes)[sure], vectors["greedy_tokens"][:, 50:][sure])
  assert sum(x.size for x in tree.flatten(model).values()) == 305_097_728

  query = clips["hitting_metal"]
  command = ["generate", query, "--example", clips["chopping"], "--weights", weights, "--out", tmp_path / "x"]
  assert cli.main([str(word) for word in command]) == 0
  audio = media.decode_audio(tmp_path / "x" / "soundtrack.mp4", 22050)
  assert len(audio) == round(media.probe(query).duration_s * 22050) and np.abs(audio).max() > 1e-3
