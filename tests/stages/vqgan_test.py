"""The VQGAN's losses: published values and gradients, LPAPS where a folder gives it, the adaptive weight."""

import functools

import numpy as np
import pytest
from flax import nnx

from condfoley_jax import config_tree
from condfoley_jax.clip import MINI
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.discriminator import Discriminator, DiscriminatorConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig
from condfoley_jax.models.vqgan import VQGAN, VQGANConfig
from condfoley_jax.stages import registry
from condfoley_jax.stages.stage import Trained
from condfoley_jax.stages.vqgan import adaptive_weight, discriminator_loss, fooling_loss, reconstruction_loss
from condfoley_jax.weights import folder, tree
from condfoley_jax.weights.published import lpaps as published_lpaps
from condfoley_jax.weights.published import vqgan as published
from configs import vqgan
from data_pipelines.errors import InputError
from tests import golden
from tests.fill import filled
from tests.published import by_published_name
from tests.stages.descent import created, metrics_of_steps

TINY_LPAPS = LPAPSConfig(n_mels=MINI.n_mels, widths=((2,), (3,)))


def stage_of(preset="paper_gh", **changes):
  return registry.create(vqgan.get_config(preset).to_dict() | changes)


# The published recipe for the network of the vectors.
SMALL_SIZES = vqgan.get_config("paper_gh").model.to_dict()
SMALL_SIZES["vqgan"] |= {"widths": (32, 32, 64, 64, 128), "z_channels": 32}
SMALL_SIZES["vqgan"]["quantizer"] |= {"vocab": 64, "width": 32}
SMALL = config_tree.from_dict(VQGANConfig, SMALL_SIZES["vqgan"])
PATCHGAN = config_tree.from_dict(DiscriminatorConfig, SMALL_SIZES["discriminator"])
TO_OURS = {
  "vqgan": functools.partial(published.params_from_torch, config=SMALL),
  "discriminator": functools.partial(published.discriminator_params_from_torch, config=PATCHGAN),
  "lpaps": functools.partial(published_lpaps.params_from_torch, config=LPAPSConfig()),
}


@pytest.fixture(scope="module")
def state():
  """Published tensors by part."""
  state = golden.state_dict("vqgan_small")
  below = lambda prefix: {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
  own = {k: v for k, v in state.items() if not k.startswith(("loss.", "wav_transforms."))}
  return {"vqgan": own, "discriminator": below("loss.discriminator."), "lpaps": below("loss.perceptual_loss.")}


@pytest.fixture(scope="module")
def model(state):
  def build():
    rngs = Keys(0)
    parts = {"vqgan": VQGAN(SMALL, rngs=rngs), "discriminator": Discriminator(PATCHGAN, rngs=rngs)}
    return Trained(**parts, lpaps=LPAPS(LPAPSConfig(), rngs=rngs))

  model = nnx.eval_shape(build)
  for part, convert in TO_OURS.items():
    tree.restore(getattr(model, part), convert(state[part]))
  return model


@pytest.fixture(scope="module")
def mel():
  return np.tanh(golden.rnd("vqgan_x", (2, 1, 80, 160)))[:, 0]


def gradients(loss, part, *others):
  """Of loss(part, *others) -> (value, metrics): value, metrics, and the gradients in `part` by our names."""
  (value, metrics), grads = nnx.jit(nnx.value_and_grad(loss, has_aux=True))(part, *others)
  return value, metrics, tree.flatten(grads)


def assert_norms_equal(grads, expected):
  """Biases that a norm takes away again have no gradient but rounding, of norm below 1e-6; the least other is 2e-3."""
  assert set(expected) == set(grads)
  for name, norm in expected.items():
    np.testing.assert_allclose(np.linalg.norm(grads[name]), norm, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.golden
@pytest.mark.slow
def test_loss_and_gradients_with_the_discriminator_equal_the_published_ones(model, state, mel):
  expected, arrays = golden.load("vqgan_small_train.json"), golden.load("vqgan_small.npz")
  stage = stage_of(model=SMALL_SIZES)

  def loss(part, discriminator, lpaps, mel):
    parts = Trained(vqgan=part, discriminator=discriminator, lpaps=lpaps)
    return stage.objective(stage.phase(40_000), parts, mel)[:2]

  value, metrics, grads = gradients(loss, model.vqgan, model.discriminator, model.lpaps, mel)
  for ours, name in (
    (value, "ae_loss_step40000"),
    (metrics["fool"], "g_loss"),
    (metrics["codebook"], "quant_loss"),
    (metrics["reconstruction"] + metrics["lpaps"], "nll"),
  ):
    np.testing.assert_allclose(ours, expected[name], rtol=1e-4, err_msg=name)
  grads = by_published_name(grads, state["vqgan"], TO_OURS["vqgan"])
  assert_norms_equal(grads, expected["grad_norms"])
  for name, array in (
    ("decoder.conv_out.weight", "grad_conv_out_weight"),
    ("quantize.embedding.weight", "grad_codebook"),
    ("encoder.conv_in.weight", "grad_enc_conv_in"),
  ):
    scale = np.abs(arrays[array]).max()
    np.testing.assert_allclose(grads[name] / scale, arrays[array] / scale, atol=1e-4, err_msg=name)


@pytest.mark.golden
def test_loss_before_the_discriminator_and_adaptive_weight_equal_the_published_ones(model, mel):
  stage = stage_of(model=SMALL_SIZES)

  @nnx.jit
  def values(model, mel):
    loss, _, _, quantized = stage.objective(stage.phase(0), model, mel)
    distances = model.lpaps(mel, model.vqgan.decode_latent(quantized.z))
    return loss, balance(model, mel, quantized.z), distances

  expected = golden.load("vqgan_small_train.json")
  names = ("ae_loss_step0", "raw_adaptive_weight_before_clamp", "p_loss_per_item")
  for value, name in zip(values(model, mel), names, strict=True):
    np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)


@pytest.mark.golden
def test_loss_and_gradients_of_the_discriminator_equal_the_published_ones(model, state, mel):
  expected, rec = golden.load("vqgan_small_train.json"), golden.load("vqgan_small.npz")["rec"][:, 0]
  value, _, grads = gradients(lambda *args: (discriminator_loss(*args), None), model.discriminator, mel, rec)
  np.testing.assert_allclose(value, expected["disc_loss"], rtol=1e-4)
  grads = by_published_name(grads, state["discriminator"], TO_OURS["discriminator"])
  assert_norms_equal(grads, expected["disc_grad_norms"])


def balance(model, mel, z):
  """The adaptive weight, within no range."""
  return adaptive_weight(
    model.vqgan,
    z,
    lambda rec: reconstruction_loss(mel, rec, model.lpaps)[0],
    lambda rec: fooling_loss(model.discriminator, rec),
  )


def thin_sizes():
  """Mini with few channels and a level less, on the same grid of codes."""
  sizes = vqgan.get_config("mini").model.to_dict()
  sizes["vqgan"] |= {"patch": (10, 2), "widths": (4, 4), "strides": ((2, 3),), "z_channels": 4}
  return sizes | {"discriminator": {"width": 2, "layers": 1}}


def thin(lpaps=None):
  sizes = thin_sizes()

  def build():
    rngs = Keys(0)
    parts = {"vqgan": VQGAN(config_tree.from_dict(VQGANConfig, sizes["vqgan"]), rngs=rngs)}
    return Trained(**parts, discriminator=Discriminator(DiscriminatorConfig(**sizes["discriminator"]), rngs=rngs))

  model = filled(build)
  model.lpaps = lpaps
  return model


def random_mel():
  return np.random.default_rng(0).uniform(-1, 1, (2, MINI.n_mels, 24)).astype(np.float32)


def objective(stage, phase, model):
  loss, metrics, _, quantized = nnx.jit(lambda model, mel: stage.objective(phase, model, mel))(model, random_mel())
  return loss, metrics, quantized


def test_shipped_configs_have_no_lpaps_and_the_published_range():
  for preset in ("mini", "paper_gh"):
    config = vqgan.get_config(preset)
    assert config.pretrained.lpaps is None and config.adaptive_weight == (1.0, 1.0)
  stage = stage_of("mini", model=thin_sizes())
  assert nnx.eval_shape(lambda: stage.create(Keys(0))).lpaps is None


def test_lpaps_of_a_folder_joins_the_loss(tmp_path):
  lpaps = filled(lambda: LPAPS(TINY_LPAPS, rngs=Keys(0)))
  folder.save(tmp_path, MINI, {"lpaps": lpaps})
  stage = stage_of("mini", model=thin_sizes(), pretrained={"lpaps": str(tmp_path)})
  assert nnx.eval_shape(lambda: stage.create(Keys(0))).lpaps.config == TINY_LPAPS
  assert set(stage.losses("adversarial")) == {"vqgan", "discriminator"}, "it is no player"
  loss, metrics, quantized = objective(stage, "alone", thin(lpaps))
  assert metrics["lpaps"] != 0
  np.testing.assert_allclose(loss, metrics["reconstruction"] + metrics["lpaps"] + quantized.loss, rtol=1e-5)


def test_lpaps_can_be_made_of_our_own_classifier(tmp_path):
  config = VGGishishConfig(17, MINI.n_mels, TINY_LPAPS.widths, (1, 1), 2)
  classifier = filled(lambda: VGGishish(config, rngs=Keys(0)))
  folder.save(tmp_path, MINI, {"material_classifier": classifier})
  stage = stage_of("mini", model=thin_sizes(), pretrained={"lpaps": str(tmp_path)}, lpaps_weight=0.5)
  model = thin(stage._lpaps())
  loss, metrics, quantized = objective(stage, "alone", model)
  assert 0 < metrics["lpaps"] < 2
  np.testing.assert_allclose(loss, metrics["reconstruction"] + 0.5 * metrics["lpaps"] + quantized.loss, rtol=1e-5)


def test_a_folder_with_neither_is_an_input_error(tmp_path):
  folder.save(tmp_path, MINI, {"vqgan": thin().vqgan})
  stage = stage_of("mini", model=thin_sizes(), pretrained={"lpaps": str(tmp_path)})
  with pytest.raises(InputError, match="no `lpaps` and no `material_classifier`"):
    nnx.eval_shape(lambda: stage.create(Keys(0)))


@pytest.mark.slow
def test_losses_go_down_with_an_averaged_codebook_and_a_discriminator():
  sizes = thin_sizes()
  sizes["vqgan"]["quantizer"] |= {"vocab": 16, "loss": "averages"}
  stage = stage_of("mini", model=sizes)
  model = created(stage)
  before = np.asarray(model.vqgan.quantizer.codebook[...])
  audio = 0.1 * np.random.default_rng(0).standard_normal((2, 12 * MINI.hop)).astype(np.float32)
  steps = metrics_of_steps(stage, model, {"audio": audio}, steps=12, rate=3e-3, phase="adversarial")
  assert steps[-1]["reconstruction"] < 0.8 * steps[0]["reconstruction"]
  assert steps[-1]["discriminator_loss"] < steps[0]["discriminator_loss"]
  assert not np.array_equal(model.vqgan.quantizer.codebook[...], before)


def test_a_folder_without_lpaps_is_an_input_error(tmp_path):
  stage = stage_of("mini", pretrained={"lpaps": str(tmp_path)})
  with pytest.raises(InputError, match=str(tmp_path)):
    nnx.eval_shape(lambda: stage.create(Keys(0)))


@pytest.mark.parametrize(("bounds", "expected"), [((1.0, 1.0), 1.0), ((0.0, 1e9), None), ((0.0, 1e-6), 1e-6)])
def test_weight_of_the_discriminator_stays_within_its_range(bounds, expected):
  model = thin()
  stage = stage_of("mini", model=thin_sizes(), adaptive_weight=bounds, discriminator_weight=0.5)
  alone, _, quantized = objective(stage, "alone", model)
  loss, metrics, _ = objective(stage, "adversarial", model)
  weight = nnx.jit(balance)(model, random_mel(), quantized.z) if expected is None else expected
  np.testing.assert_allclose(loss, alone + 0.5 * weight * metrics["fool"], rtol=1e-5)


def test_adaptive_weight_is_the_ratio_of_gradients_in_the_last_layer():
  model, mel = thin(), random_mel()

  def norm(loss):
    grads = nnx.jit(nnx.grad(lambda vqgan: loss(vqgan(mel)[0])))(model.vqgan)
    return np.linalg.norm(tree.flatten(grads)["decoder/conv_out/kernel"])

  weight = nnx.jit(lambda model: balance(model, mel, model.vqgan.quantizer(model.vqgan.latent(mel)).z))(model)
  nll = norm(lambda rec: reconstruction_loss(mel, rec, None)[0])
  np.testing.assert_allclose(weight, nll / (norm(lambda rec: fooling_loss(model.discriminator, rec)) + 1e-4), rtol=1e-4)
