import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import PAPER
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.melgan import (
  MelGAN,
  MelGANConfig,
  MelGANDiscriminator,
  MelGANDiscriminatorConfig,
  WeightNormConv,
  WeightNormUpsample,
  discriminator_loss,
  feature_distance,
  fooling_loss,
)
from condfoley_jax.weights import tree
from condfoley_jax.weights.published import melgan as published
from tests import golden

SMALL = MelGANConfig(width=4, residual_layers=2)


@nnx.jit
def run(model, x):
  return model(x)


def load(module, config, weights):
  model = nnx.eval_shape(lambda: module(config, rngs=Keys(0)))
  tree.restore(model, weights)
  return model


def test_default_is_the_paper_grid():
  assert np.prod(MelGANConfig().ratios) == PAPER.hop and MelGANConfig().n_mels == PAPER.n_mels


def test_paper_size_has_the_published_number_of_parameters():
  model = nnx.eval_shape(lambda: MelGAN(MelGANConfig(), rngs=Keys(0)))
  assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 4_266_050


def test_gain_sets_the_norm_of_the_kernel_whatever_its_length():
  conv = WeightNormConv(3, 5, 3, dtype=jnp.float32, rngs=Keys(0))
  x = np.ones((1, 8, 3), np.float32)
  before = run(conv, x)
  conv.kernel[...] = 7 * conv.kernel[...]
  np.testing.assert_allclose(run(conv, x), before, rtol=1e-5)
  conv.gain[...] = 2 * conv.gain[...]
  np.testing.assert_allclose(run(conv, x), 2 * before, rtol=1e-5)


@pytest.mark.parametrize("ratio", [2, 3])
def test_upsampling_equals_a_transposed_convolution(ratio):
  layer = WeightNormUpsample(6, 4, ratio, dtype=jnp.float32, rngs=Keys(0))
  x = jax.random.normal(jax.random.key(0), (2, 10, 6))
  start = (ratio + 1) // 2
  kernel = layer.kernel[...].swapaxes(0, 1)[::-1]
  full = jax.lax.conv_general_dilated(
    x, kernel, (1,), ((2 * ratio - 1,) * 2,), lhs_dilation=(ratio,), dimension_numbers=("NWC", "WIO", "NWC")
  )
  np.testing.assert_allclose(run(layer, x), full[:, start : start + 10 * ratio], atol=1e-5)


def test_left_over_tensors_are_an_error():
  with pytest.raises(ValueError, match="extra"):
    published._convert({"extra": np.zeros(1)}, {}, {})


@pytest.mark.golden
@pytest.mark.parametrize(
  ("config", "keys", "name"), [(MelGANConfig(), "melgan_G", "wav"), (SMALL, "melgan_G_small", "wav_small")]
)
def test_generator_equals_the_published_one(config, keys, name):
  vectors = golden.load("melgan.npz")
  model = load(MelGAN, config, published.params_from_torch(golden.state_dict(keys), config))
  spec01 = 1 / (1 + np.exp(-golden.rnd("melgan_spec", (1, 80, 40))))
  np.testing.assert_allclose(run(model, 2 * spec01 - 1), vectors[name][:, 0], atol=1e-4)


@pytest.mark.golden
def test_discriminator_equals_the_published_one():
  vectors = golden.load("melgan.npz")
  config = MelGANDiscriminatorConfig()
  weights = published.discriminator_params_from_torch(golden.state_dict("melgan_D"), config)
  model = load(MelGANDiscriminator, config, weights)
  for i, outputs in enumerate(run(model, np.tanh(golden.rnd("melgan_wav", (1, 1, 8192)))[:, 0])):
    assert len(outputs) == 7
    golden.assert_close(outputs[-1][..., 0], vectors[f"disc{i}_score"][:, 0])
    for j, output in enumerate(outputs[:-1]):
      golden.assert_close(output[0, :64, 0], vectors[f"disc{i}_layer{j}_first64"])
      np.testing.assert_allclose(jnp.abs(output).mean(), vectors[f"disc{i}_layer{j}_meanabs"], rtol=1e-4)


def outputs_of(seed):
  """What discriminators of two scales and four strided layers might give."""
  rng = np.random.default_rng(seed)
  sizes = [[(2, 64 >> i, 3) for i in range(6)] + [(2, 2, 1)], [(2, 32 >> i, 3) for i in range(6)] + [(2, 1, 1)]]
  return [[rng.standard_normal(size).astype(np.float32) for size in scale] for scale in sizes]


def test_losses_equal_the_published_formulas():
  real, fake = outputs_of(0), outputs_of(1)
  hinge = sum(
    np.maximum(1 - r[-1], 0).mean() + np.maximum(1 + f[-1], 0).mean() for r, f in zip(real, fake, strict=True)
  )
  np.testing.assert_allclose(discriminator_loss(real, fake), hinge, rtol=1e-5)
  np.testing.assert_allclose(fooling_loss(fake), -sum(f[-1].mean() for f in fake), rtol=1e-5)
  pairs = [(a, b) for r, f in zip(real, fake, strict=True) for a, b in zip(r[:-1], f[:-1], strict=True)]
  expected = 4 / (4 + 1) * (1 / 2) * sum(np.abs(a - b).mean() for a, b in pairs)
  np.testing.assert_allclose(feature_distance(real, fake), expected, rtol=1e-5)


def test_features_of_true_sound_get_no_gradient():
  real, fake = jax.jit(jax.grad(feature_distance, argnums=(0, 1)))(outputs_of(0), outputs_of(1))
  assert not any(np.any(x) for x in jax.tree.leaves(real))
  assert all(np.any(x) for scale in fake for x in scale[:-1]) and not any(np.any(scale[-1]) for scale in fake)
