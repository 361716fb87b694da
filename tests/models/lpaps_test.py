"""LPAPS: published distances and features, what a distance must be, and its gradient."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.clip import PAPER
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.lpaps import LPAPS, LPAPSConfig, of_classifier
from condfoley_jax.weights import folder, tree
from condfoley_jax.weights.published.lpaps import config_from_torch, params_from_torch
from tests import golden
from tests.fill import filled

PUBLISHED = LPAPSConfig()
TINY = LPAPSConfig(n_mels=8, widths=((3,), (4, 4)))


@nnx.jit
def distance(model, first, second):
  return model(first, second)


@nnx.jit
def features(model, mel):
  scaled = model.scaling(mel)
  return scaled, model.features(scaled)


@pytest.fixture(scope="module")
def published():
  model = nnx.eval_shape(lambda: LPAPS(PUBLISHED, rngs=Keys(0)))
  tree.restore(model, params_from_torch(golden.state_dict("lpaps"), PUBLISHED))
  return model


@pytest.fixture(scope="module")
def tiny():
  """Heads have no negative weights, as trained ones have none."""
  model = filled(lambda: LPAPS(TINY, rngs=Keys(0)))
  for head in model.heads:
    head.kernel[...] = abs(head.kernel[...])
  return model


def mels(frames=12):
  return np.random.default_rng(0).uniform(-1, 1, (2, 2, 8, frames)).astype(np.float32)


def inputs(suffix, shape):
  return [np.tanh(golden.rnd(f"lpaps_{name}{suffix}", shape))[:, 0] for name in "xy"]


@pytest.mark.golden
@pytest.mark.parametrize(
  ("name", "suffix", "shape"), [("value", "", (2, 1, 80, 32)), ("value160", "160", (1, 1, 80, 160))]
)
def test_distances_equal_the_published_ones(published, name, suffix, shape):
  expected = golden.load("lpaps.npz")[name].reshape(-1)
  np.testing.assert_allclose(distance(published, *inputs(suffix, shape)), expected, rtol=1e-4)


@pytest.mark.golden
def test_features_equal_the_published_ones(published):
  vectors = golden.load("lpaps.npz")
  scaled, outputs = features(published, inputs("", (2, 1, 80, 32))[0])
  np.testing.assert_allclose(scaled, vectors["scaled_x"][:, 0], rtol=1e-4, atol=1e-4)
  for i, output in enumerate(outputs):
    np.testing.assert_allclose(output[0], vectors[f"feat{i}_item0"].transpose(1, 2, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.golden
def test_sizes_come_from_the_published_tensors():
  assert config_from_torch(golden.state_dict("lpaps")) == PUBLISHED


@pytest.mark.golden
def test_statistics_of_the_checkpoint_come_first():
  own = {"scaling_layer.shift": np.full((1, 1, 80, 1), 0.5), "scaling_layer.scale": np.full((1, 1, 80, 1), 2.0)}
  state = golden.state_dict("lpaps") | own
  assert config_from_torch(state) == PUBLISHED
  params = params_from_torch(state, PUBLISHED)
  np.testing.assert_array_equal(params["scaling/mean"], np.full(80, 0.5))
  np.testing.assert_array_equal(params["scaling/deviation"], np.full(80, 2.0))


@pytest.mark.golden
@pytest.mark.parametrize(
  ("change", "error", "words"),
  [
    ({"lin3.model.1.weight": None}, ValueError, r"missing .*: lin3\.model\.1\.weight"),
    ({"net.slice3.12.bias": None}, ValueError, r"missing .*: net\.slice3\.12\.bias"),
    ({"lin5.model.1.weight": np.zeros(1)}, ValueError, r"lin5\.model\.1\.weight"),
  ],
)
def test_tensors_that_do_not_fit_are_errors(change, error, words):
  state = {k: v for k, v in (golden.state_dict("lpaps") | change).items() if v is not None}
  with pytest.raises(error, match=words):
    params_from_torch(state, PUBLISHED)


def test_published_size_has_the_published_number_of_parameters():
  assert PUBLISHED.n_mels == PAPER.n_mels
  model = nnx.eval_shape(lambda: LPAPS(PUBLISHED, rngs=Keys(0)))
  assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 14_713_536 + 1_472


def test_it_is_a_distance(tiny):
  a, b = mels()
  np.testing.assert_allclose(distance(tiny, a, a), 0, atol=1e-12)
  between = distance(tiny, a, b)
  assert between.shape == (2,) and (between > 0).all()
  np.testing.assert_allclose(distance(tiny, b, a), between, rtol=1e-5)


def test_an_item_does_not_depend_on_the_others(tiny):
  a, b = mels()
  np.testing.assert_allclose(distance(tiny, a[1:], b[1:]), distance(tiny, a, b)[1:], rtol=1e-5)


def test_gradient_reaches_every_bin_of_both_pictures(tiny):
  a, b = mels()
  gradients = jax.jit(jax.grad(lambda a, b: tiny(a, b).sum(), (0, 1)))(a, b)
  for gradient in gradients:
    assert np.isfinite(gradient).all() and (np.abs(gradient).max((0, 2)) > 0).all()


def test_gradient_is_finite_where_no_feature_is_active(tiny):
  silent = nnx.clone(tiny)
  for conv in silent.features.blocks[0]:
    conv.bias[...] = conv.bias[...] - 100
  for conv in silent.features.blocks[1]:
    conv.bias[...] = -abs(conv.bias[...])
  a, b = mels()
  value, gradient = jax.jit(jax.value_and_grad(lambda a: silent(a, b).sum()))(a)
  assert value == 0
  np.testing.assert_array_equal(gradient, 0)


def test_a_folder_gives_the_same_distance_back(tiny, tmp_path):
  folder.save(tmp_path, PAPER, {"lpaps": tiny})
  loaded = folder.load(tmp_path).components["lpaps"]
  np.testing.assert_allclose(distance(loaded, *mels()), distance(tiny, *mels()), rtol=1e-2)


def test_distance_of_a_classifier_is_that_of_its_unit_features():
  config = VGGishishConfig(3, TINY.n_mels, TINY.widths, (1, 1), 2)
  classifier = filled(lambda: VGGishish(config, rngs=Keys(0)))
  first, second = mels()
  blocks = zip(features(classifier, first)[1], features(classifier, second)[1], strict=True)
  unit = lambda x: np.asarray(x) / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)
  expected = np.mean([((unit(a) - unit(b)) ** 2).sum(-1).mean((1, 2)) for a, b in blocks], axis=0)
  model = of_classifier(classifier)
  assert model.config == TINY
  np.testing.assert_allclose(distance(model, first, second), expected, rtol=1e-5)
