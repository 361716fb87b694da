"""A weights folder comes back as it went in, and a damaged one is refused in one line."""

import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from condfoley_jax.clip import MINI
from condfoley_jax.conventions import Conventions
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.quantizer import QuantizerConfig
from condfoley_jax.models.video_encoder import EventHead, EventHeadConfig
from condfoley_jax.models.vqgan import VQGAN, VQGANConfig
from condfoley_jax.weights import folder, tree
from data_pipelines.errors import InputError
from tests.fill import filled

CONFIG = VQGANConfig(
  patch=(2, 2),
  widths=(4, 6),
  strides=((2, 1),),
  encoder_blocks=1,
  decoder_blocks=1,
  attention_levels=(1,),
  mid_attention=True,
  norm="channel",
  z_channels=3,
  quantizer=QuantizerConfig(vocab=5, width=4),
)


def components():
  return {
    "vqgan": filled(lambda: VQGAN(CONFIG, rngs=Keys(0))),
    "event_head": filled(lambda: EventHead(EventHeadConfig(width=3), rngs=Keys(0))),
  }


@pytest.fixture(scope="module")
def original(tmp_path_factory):
  directory = tmp_path_factory.mktemp("original")
  folder.save(directory, MINI, components())
  return directory


@pytest.fixture
def saved(original, tmp_path):
  return shutil.copytree(original, tmp_path / "weights")


def contents(directory):
  return {path.name: path.read_bytes() for path in directory.iterdir()}


def edit_config(directory, change):
  path = directory / "config.json"
  config = json.loads(path.read_text())
  change(config)
  path.write_text(json.dumps(config))


def test_a_folder_holds_two_files_and_comes_back_as_it_went_in(saved):
  weights = folder.load(saved)
  assert set(contents(saved)) == {"config.json", "model.safetensors"}
  assert weights.clip == MINI and list(weights.components) == ["vqgan", "event_head"]
  assert weights.components["vqgan"].config == CONFIG
  for name, source in components().items():
    loaded = tree.flatten(weights.components[name])
    for key, x in tree.flatten(source).items():
      np.testing.assert_array_equal(loaded[key], x.astype(np.float16).astype(np.float32))


def bits(weights):
  """Every weight of every component, as bytes."""
  return {name: {k: v.tobytes() for k, v in tree.flatten(m).items()} for name, m in weights.components.items()}


def test_float32_weights_come_back_bit_for_bit(tmp_path):
  tiny = components()
  tiny["vqgan"].quantizer.codebook[...] = tiny["vqgan"].quantizer.codebook[...].at[0, 0].set(1e-42)
  conventions = Conventions(bn_mode="batch", level="rms")
  identity = folder.save(tmp_path / "a", MINI, tiny, conventions=conventions, dtype=np.float32)
  loaded = folder.load(tmp_path / "a")
  assert loaded.conventions == conventions and loaded.id == identity
  assert bits(loaded) == bits(folder.Weights(MINI, conventions, tiny, ""))
  folder.save(tmp_path / "b", loaded.clip, loaded.components, conventions=conventions, dtype=np.float32)
  assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_the_shipped_weights_are_saved_as_the_bytes_that_they_were_loaded_from(tmp_path):
  shipped = folder.load(folder.SHIPPED)
  folder.save(tmp_path / "again", shipped.clip, shipped.components, conventions=shipped.conventions)
  assert contents(tmp_path / "again") == contents(folder.SHIPPED)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_safetensors_reads_and_would_have_written_the_same_bytes(tmp_path, dtype):
  folder.save(tmp_path, MINI, components(), dtype=dtype)
  found = safetensors.numpy.load_file(tmp_path / "model.safetensors")
  expected = {f"{name}/{k}": x.astype(dtype) for name, m in components().items() for k, x in tree.flatten(m).items()}
  assert found.keys() == expected.keys()
  for key, x in expected.items():
    np.testing.assert_array_equal(found[key], x, strict=True)
  assert (tmp_path / "model.safetensors").read_bytes() == safetensors.numpy.save(expected)


def test_both_files_may_be_read_by_the_same_people(saved):
  modes = {path.stat().st_mode for path in saved.iterdir()}
  assert len(modes) == 1


def test_optional_components_are_loaded_where_they_are_there(saved):
  assert list(folder.load(saved, only=("vqgan",), optional=("event_head", "sync")).components) == [
    "vqgan",
    "event_head",
  ]


def test_loaded_vqgan_reconstructs_like_the_saved_one(saved):
  mel = np.tanh(np.random.default_rng(0).standard_normal((1, 8, 6))).astype(np.float32)
  decode = nnx.jit(lambda model, mel: model.decode_latent(model.latent(mel)[..., :4]))
  ours, theirs = decode(components()["vqgan"], mel), decode(folder.load(saved).components["vqgan"], mel)
  np.testing.assert_allclose(theirs, ours, atol=5e-3 * np.abs(ours).max())


def test_only_the_components_asked_for_are_built_in_the_dtype_asked_for(saved):
  weights = folder.load(saved, only=("event_head",), dtype=jnp.bfloat16)
  (head,) = weights.components.values()
  assert isinstance(head, EventHead) and head.conv.dtype == jnp.bfloat16
  assert head.conv.kernel.dtype == jnp.float32


@pytest.mark.parametrize(
  ("name", "value"), [("clip", dataclasses.replace(MINI, fps=30)), ("conventions", Conventions(bn_mode="batch"))]
)
def test_id_belongs_to_the_config_too(saved, tmp_path, name, value):
  given = {"clip": MINI, "components": components(), name: value}
  identity = folder.save(tmp_path / "other", **given)
  assert identity == folder.load(tmp_path / "other").id != folder.load(saved).id
  assert contents(tmp_path / "other")["model.safetensors"] == contents(saved)["model.safetensors"]


def test_id_belongs_to_the_tensors(saved, tmp_path):
  identity = folder.load(saved).id
  assert len(identity) == 16
  assert folder.save(tmp_path / "same", MINI, components()) == identity
  other = components()
  other["vqgan"].quantizer.codebook[...] += 1
  assert folder.save(tmp_path / "other", MINI, other) != identity


@pytest.mark.parametrize("name", [".config.json.partial", ".model.safetensors.partial"])
def test_a_folder_that_cannot_be_written_stays_as_it_is(saved, name):
  (saved / name).mkdir()
  before = folder.load(saved).id
  other = components()
  other["vqgan"].quantizer.codebook[...] += 1
  with pytest.raises(OSError):
    folder.save(saved, MINI, other)
  assert folder.load(saved).id == before
  assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", name}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_weights_that_are_not_finite_in_float16_leave_nothing(saved, tmp_path, value):
  bad, before = components(), contents(saved)
  bad["vqgan"].quantizer.codebook[...] = bad["vqgan"].quantizer.codebook[...].at[0, 0].set(value)
  for directory in (saved, tmp_path / "new"):
    with pytest.raises(ValueError, match="vqgan/quantizer/codebook"):
      folder.save(directory, MINI, bad)
  assert contents(saved) == before
  assert not (tmp_path / "new").exists()


def remove(name):
  return lambda directory: (directory / name).unlink()


def write(name, data):
  return lambda directory: (directory / name).write_bytes(data)


def cut(directory):
  path = directory / "model.safetensors"
  path.write_bytes(path.read_bytes()[:-9])


def flip_a_bit(directory):
  path = directory / "model.safetensors"
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  path.write_bytes(data)


def setting(*keys, value):
  def change(config):
    for key in keys[:-1]:
      config = config[key]
    config[keys[-1]] = value

  return lambda directory: edit_config(directory, change)


def without(*keys):
  def change(config):
    for key in keys[:-1]:
      config = config[key]
    del config[keys[-1]]

  return lambda directory: edit_config(directory, change)


WIDER = ("components", "vqgan", "config", "widths")
DAMAGES = {
  "no config": (remove("config.json"), "config.json: not found"),
  "no JSON": (write("config.json", b"{"), "config.json: not readable"),
  "no text": (write("config.json", b"\xff\xfe{}"), "config.json: not readable"),
  "a list": (write("config.json", b"[]"), "config.json: not the config of a weights folder"),
  "an older format": (setting("format", value=1), "config.json: not the config of a weights folder"),
  "a newer format": (setting("format", value=folder.FORMAT + 1), "config.json: made by a newer version .*update"),
  "a newer format that is no whole number": (setting("format", value=3.0), "config.json: made by a newer version"),
  "a number too long": (write("config.json", b'{"format": %s}' % (b"9" * 5000)), "config.json: not readable"),
  "depth": (write("config.json", b"[" * 200_000), "config.json: not readable"),
  "endless seconds": (setting("clip", "seconds", value=float("inf")), "config.json: clip: ClipSpec.seconds must be"),
  "strides of nothing": (
    setting("components", "vqgan", "config", "strides", value=[[2, 0]]),
    r"component `vqgan`: VQGANConfig\.strides is \(\(2, 0\),\), and sizes are 1 or more",
  ),
  "no conventions": (without("conventions"), "config.json: not the config of a weights folder"),
  "unknown convention": (
    setting("conventions", "bn", value="batch"),
    "config.json: conventions: Conventions has no bn",
  ),
  "wrong convention": (setting("conventions", "crop", value="last"), "config.json: conventions: .*center, first"),
  "no clip": (without("clip"), "config.json: not the config of a weights folder"),
  "no components": (without("components"), "config.json: not the config of a weights folder"),
  "components without names": (
    setting("components", value=["vqgan"]),
    "config.json: not the config of a weights folder",
  ),
  "clip without hop": (without("clip", "hop"), "config.json: clip: ClipSpec needs hop"),
  "clip out of step": (setting("clip", "fps", value=17), "config.json: clip: .*17 fps"),
  "unknown kind": (setting("components", "vqgan", "kind", value="vqvae"), "component `vqgan`: .*`vqvae`"),
  "no kind": (without("components", "vqgan", "kind"), "config.json: not the config of a weights folder"),
  "a component that is none": (setting("components", "vqgan", value=[]), "config.json: not the config of a weights"),
  "sizes without end": (
    setting("components", "vqgan", "config", "encoder_blocks", value=10**12),
    "encoder_blocks is 1",
  ),
  "unknown setting": (setting("components", "vqgan", "config", "depth", value=3), "component `vqgan`: .*depth"),
  "no tensors": (remove("model.safetensors"), "model.safetensors: missing or damaged"),
  "tensors cut short": (cut, "model.safetensors: missing or damaged"),
  "tensors of noise": (write("model.safetensors", b"noise"), "model.safetensors: missing or damaged"),
  "a bit flipped": (flip_a_bit, "model.safetensors: does not belong"),
  "another id": (setting("id", value="0" * 16), "model.safetensors: does not belong"),
  "tensors of another size": (
    setting(*WIDER, value=[4, 8]),
    r"component `vqgan`: .*expected \(3, 3, 3, 8\);.* and \d+ more",
  ),
  "tensors of another depth": (
    setting("components", "vqgan", "config", "encoder_blocks", value=2),
    "component `vqgan`: .*missing encoder/levels/0/blocks/1",
  ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line_that_names_the_file(saved, name):
  damage, message = DAMAGES[name]
  damage(saved)
  with pytest.raises(InputError, match=message) as error:
    folder.load(saved)
  assert str(saved) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("is_file", [False, True])
def test_a_path_that_is_no_folder_is_refused(tmp_path, is_file):
  path = tmp_path / "nowhere"
  if is_file:
    path.write_bytes(b"")
  with pytest.raises(InputError, match=r"nowhere(/config\.json: not found|: a file; --weights takes a folder)"):
    folder.load(path)


def test_a_component_that_is_not_there_is_refused_with_those_that_are(saved):
  with pytest.raises(InputError, match="no component `transformer`; it holds vqgan, event_head"):
    folder.load(saved, only=("transformer",))
