"""The VGGish-ish classifier: published numbers, its pooling at any length, its statistics."""

import jax
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.classifier import VGGishish, VGGishishConfig, adaptive_mean
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sequence import Frozen
from condfoley_jax.weights import tree
from condfoley_jax.weights.published import vggsound_statistics as statistics
from condfoley_jax.weights.published.vggishish import config_from_torch, params_from_torch
from tests import golden
from tests.fill import filled

PUBLISHED = VGGishishConfig(classes=17)
TINY = VGGishishConfig(classes=3, n_mels=8, widths=((2,), (4, 4)), pool=(2, 3), hidden=5)


@nnx.jit
def run(model, *inputs):
  return model(*inputs)


def standardised(name, shape):
  """The mel that our classifier turns into the published classifier's input."""
  return golden.rnd(name, shape) * statistics.DEVIATIONS[:, None] + statistics.MEANS[:, None]


def shapes(name):
  """Tensors of the published shapes that take no memory."""
  return {k: np.broadcast_to(np.float32(0), shape) for k, shape in golden.load(f"keys_{name}.json").items()}


def tiny_state():
  rng = np.random.default_rng(0)
  convs = {"features.0": (2, 1), "features.3": (4, 2), "features.5": (4, 4)}
  linear = {"classifier.0": (5, 4 * 2 * 3), "classifier.2": (5, 5), "classifier.4": (3, 5)}
  state = {f"{k}.weight": rng.standard_normal((*shape, 3, 3)) for k, shape in convs.items()}
  state |= {f"{k}.weight": rng.standard_normal(shape) for k, shape in linear.items()}
  return state | {k.replace("weight", "bias"): rng.standard_normal(len(w)) for k, w in state.items()}


@nnx.jit
def pooled(model, mel):
  return adaptive_mean(model.features(model.scaling(mel))[-1], model.config.pool)


@pytest.mark.golden
@pytest.mark.slow
def test_features_and_logits_equal_the_published_classifier():
  model = nnx.eval_shape(lambda: VGGishish(PUBLISHED, rngs=Keys(0)))
  tree.restore(model, params_from_torch(golden.state_dict("vggishish17"), PUBLISHED))
  vectors = golden.load("vggishish.npz")
  mel, longer = standardised("vggish_x", (2, 80, 160)), standardised("vggish_x173", (1, 80, 173))
  np.testing.assert_allclose(pooled(model, mel)[0], vectors["pooled_item0"].transpose(1, 2, 0), rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(run(model, mel), vectors["logits"], rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(run(model, longer), vectors["logits173"], rtol=1e-4, atol=1e-4)


@pytest.mark.golden
def test_statistics_are_the_published_ones():
  vectors = golden.load("vggishish.npz")
  np.testing.assert_array_equal(statistics.MEANS, vectors["means"])
  np.testing.assert_array_equal(statistics.DEVIATIONS, vectors["stds"])


@pytest.mark.golden
def test_sizes_come_from_the_published_tensors():
  assert config_from_torch(shapes("vggishish17")) == PUBLISHED


def test_published_size_has_the_published_number_of_parameters():
  model = nnx.eval_shape(lambda: VGGishish(PUBLISHED, rngs=Keys(0)))
  assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 136_426_193


def test_first_linear_layer_reads_features_in_the_published_order():
  state = tiny_state()
  params = params_from_torch(state, TINY)
  pooled = np.random.default_rng(1).standard_normal((4, 2, 3))
  expected = state["classifier.0.weight"] @ pooled.reshape(-1)
  np.testing.assert_allclose(pooled.transpose(1, 2, 0).reshape(-1) @ params["layers/0/kernel"], expected)


def test_published_tensors_fit_the_model_that_they_tell():
  state = tiny_state()
  assert config_from_torch(state).widths == TINY.widths
  params = params_from_torch(state, TINY)
  model = nnx.eval_shape(lambda: VGGishish(VGGishishConfig(3, 80, TINY.widths, TINY.pool, 5), rngs=Keys(0)))
  tree.restore(model, params)
  assert "features.0.weight" in state, "the caller's tensors stay"


def test_only_the_classifier_of_vggsound_standardises_for_mels_in_0_to_1():
  state = tiny_state()
  state |= {"classifier.4.weight": np.zeros((309, 5)), "classifier.4.bias": np.zeros(309)}
  theirs = params_from_torch(state, VGGishishConfig(309, 80, TINY.widths, TINY.pool, 5))
  ours = params_from_torch(tiny_state(), TINY)
  np.testing.assert_array_equal(ours["scaling/mean"], statistics.MEANS)
  mel01 = np.linspace(0, 1, 80)
  expected = (mel01 - statistics.MEANS) / statistics.DEVIATIONS
  standard = (2 * mel01 - 1 - theirs["scaling/mean"]) / theirs["scaling/deviation"]
  np.testing.assert_allclose(standard, expected, atol=1e-5)


@pytest.mark.parametrize(
  ("change", "error", "name"),
  [
    ({"features.5.bias": None}, ValueError, r"missing .*: features\.5\.bias"),
    ({"extra": np.zeros(1)}, ValueError, "extra"),
  ],
)
def test_tensors_that_do_not_fit_are_errors(change, error, name):
  state = {k: v for k, v in (tiny_state() | change).items() if v is not None}
  with pytest.raises(error, match=name):
    params_from_torch(state, TINY)


@pytest.mark.parametrize("columns", [3, 10, 53, 128])
def test_pooling_takes_the_mean_of_cells_that_may_overlap(columns):
  x = np.random.default_rng(0).standard_normal((2, 7, columns, 3)).astype(np.float32)
  pooled = adaptive_mean(x, (5, 10))
  assert pooled.shape == (2, 5, 10, 3)
  for i, j in ((0, 0), (1, 4), (4, 9)):
    rows = slice(7 * i // 5, int(np.ceil(7 * (i + 1) / 5)))
    cell = x[:, rows, columns * j // 10 : int(np.ceil(columns * (j + 1) / 10))]
    np.testing.assert_allclose(pooled[:, i, j], cell.mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize("frames", [2, 9, 40])
def test_any_length_gives_one_logit_per_class(frames):
  model = filled(lambda: VGGishish(TINY, rngs=Keys(0)))
  logits = run(model, np.random.default_rng(0).uniform(-1, 1, (2, 8, frames)).astype(np.float32))
  assert logits.shape == (2, 3) and logits.dtype == np.float32


def test_a_mel_too_short_for_the_poolings_is_an_error():
  model = nnx.eval_shape(lambda: VGGishish(PUBLISHED, rngs=Keys(0)))
  with pytest.raises(ValueError, match="80 x 15"):
    nnx.eval_shape(lambda model, mel: model(mel), model, jax.ShapeDtypeStruct((1, 80, 15), np.float32))


def test_statistics_are_saved_but_not_trained():
  model = nnx.eval_shape(lambda: VGGishish(TINY, rngs=Keys(0)))
  frozen = jax.tree.leaves(nnx.state(model, Frozen))
  assert [x.shape for x in frozen] == [(8,), (8,)]
  assert {"scaling/mean", "scaling/deviation"} <= set(tree.flatten(filled(lambda: VGGishish(TINY, rngs=Keys(0)))))
