"""The codebook: nearest entry, straight-through gradient, both losses, restarts of what nothing uses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condfoley_jax.models.keys import Keys
from condfoley_jax.models.quantizer import (
  CodeAverages,
  CodeRestarts,
  Quantizer,
  QuantizerConfig,
  perplexity,
  usage,
)
from tests.fill import filled

VOCAB, WIDTH = 7, 3
CONFIG = QuantizerConfig(vocab=VOCAB, width=WIDTH)
RNG = np.random.default_rng(0)
Z = RNG.standard_normal((2, 4, 5, WIDTH)).astype(np.float32)


def quantizer(loss="correct"):
  config = QuantizerConfig(vocab=VOCAB, width=WIDTH, beta=0.25, loss=loss)
  return filled(lambda: Quantizer(config, rngs=Keys(0)), scale=1.0)


def merged(state, loss="correct"):
  return nnx.merge(nnx.graphdef(quantizer(loss)), state)


def nearest_of(z, book):
  return ((z[..., None, :] - book) ** 2).sum(-1).argmin(-1)


def test_nearest_entry_is_the_one_at_the_least_distance():
  model = quantizer()
  codes = model.nearest(Z)
  assert codes.dtype == jnp.int32 and codes.shape == Z.shape[:-1]
  np.testing.assert_array_equal(codes, nearest_of(Z, np.asarray(model.codebook[...])))
  np.testing.assert_array_equal(model.lookup(codes), np.asarray(model.codebook[...])[codes])


def test_of_equal_entries_the_first_is_taken():
  model = quantizer()
  model.codebook[...] = model.codebook[...].at[5].set(model.codebook[2])
  assert model.nearest(model.codebook[5]) == 2


def test_codebook_starts_within_one_over_its_size():
  book = np.asarray(Quantizer(CONFIG, rngs=Keys(0)).codebook[...])
  assert book.shape == (VOCAB, WIDTH) and 0.5 / VOCAB < np.abs(book).max() <= 1 / VOCAB


def test_gradient_passes_straight_through_to_the_latent_only():
  weight = jnp.asarray(RNG.standard_normal(Z.shape), jnp.float32)
  gradients = jax.jit(jax.grad(lambda z, state: jnp.sum(weight * merged(state)(z).z), argnums=(0, 1)))
  on_z, on_model = gradients(Z, nnx.state(quantizer()))
  np.testing.assert_allclose(on_z, weight, rtol=1e-6)
  assert not np.any(on_model["codebook"][...])


@pytest.mark.parametrize(
  ("loss", "on_latent", "on_codebook"), [("published", 1.0, 0.25), ("correct", 0.25, 1.0), ("averages", 0.25, 0.0)]
)
def test_loss_and_its_gradients_equal_the_formula(loss, on_latent, on_codebook):
  """The first two have the same value; they differ in which side beta slows down."""
  state = nnx.state(quantizer(loss))
  value, (grad_z, grad_state) = jax.jit(
    jax.value_and_grad(lambda z, state: merged(state, loss)(z).loss, argnums=(0, 1))
  )(Z, state)
  book = np.asarray(state["codebook"][...])
  codes = nearest_of(Z, book)
  away = Z - book[codes]
  np.testing.assert_allclose(value, (on_latent + on_codebook) * (away**2).mean(), rtol=1e-5)
  np.testing.assert_allclose(grad_z, on_latent * 2 * away / away.size, rtol=1e-4, atol=1e-7)
  expected = np.zeros_like(book)
  np.add.at(expected, codes, on_codebook * -2 * away / away.size)
  np.testing.assert_allclose(grad_state["codebook"][...], expected, rtol=1e-4, atol=1e-7)


def test_unknown_loss_is_refused():
  with pytest.raises(ValueError, match="legacy"):
    Quantizer(QuantizerConfig(vocab=VOCAB, width=WIDTH, loss="legacy"), rngs=Keys(0))


def test_latents_keep_their_dtype_and_losses_are_float32():
  quantized = jax.jit(lambda z, state: merged(state)(z))(Z.astype(jnp.bfloat16), nnx.state(quantizer()))
  assert quantized.z.dtype == jnp.bfloat16
  assert quantized.loss.dtype == quantized.perplexity.dtype == jnp.float32


def test_perplexity_counts_the_codes_in_use():
  assert perplexity(jnp.asarray([[3, 3], [3, 3]]), VOCAB) == pytest.approx(1)
  assert perplexity(jnp.arange(VOCAB), VOCAB) == pytest.approx(VOCAB, rel=1e-5)
  assert perplexity(jnp.asarray([0, 0, 4, 4]), VOCAB) == pytest.approx(2, rel=1e-5)


def test_usage_counts_each_code():
  np.testing.assert_array_equal(usage(jnp.asarray([[0, 2], [2, 6]]), VOCAB), [1, 0, 2, 0, 0, 0, 1])


def test_dead_entries_move_onto_latents_and_used_ones_stay():
  model, restarts = quantizer(), CodeRestarts(CONFIG, restart_below=0.5)
  before = np.asarray(model.codebook[...])
  uses = np.array([9, 0, 9, 0.3, 9, 9, 0], np.float32)
  restarts.usage[...] = jnp.asarray(uses)
  restarts.observe(Z, jnp.full(Z.shape[:-1], 2), jax.random.key(0))
  uses = restarts.DECAY * uses
  uses[2] += (1 - restarts.DECAY) * 40
  np.testing.assert_allclose(restarts.usage[...], uses, rtol=1e-5)
  restarts.apply(model)
  after, dead = np.asarray(model.codebook[...]), [1, 3, 6]
  np.testing.assert_array_equal(np.delete(after, dead, axis=0), np.delete(before, dead, axis=0))
  latents = Z.reshape(-1, WIDTH)
  assert all((latents == entry).all(-1).any() for entry in after[dead])
  assert len(np.unique(after[dead], axis=0)) > 1
  np.testing.assert_allclose(restarts.usage[...], np.where(uses < 0.5, 1, uses), rtol=1e-5)


def test_at_the_first_step_every_entry_without_use_moves():
  model, restarts = quantizer(), CodeRestarts(CONFIG, restart_below=0.01)
  before = np.asarray(model.codebook[...])
  restarts.observe(Z, jnp.full(Z.shape[:-1], 2), jax.random.key(0))
  restarts.apply(model)
  moved = (np.asarray(model.codebook[...]) != before).any(-1)
  assert moved.tolist() == [True, True, False, True, True, True, True]


def test_averaged_entries_equal_the_formula_and_unused_ones_stay():
  model = quantizer("averages")
  averages, before = CodeAverages(model), np.asarray(model.codebook[...])
  counts, sums, decay = np.ones(VOCAB), before.copy(), CodeAverages.DECAY
  codes = RNG.integers(0, VOCAB - 1, (3, *Z.shape[:-1]))
  for step in codes:
    averages.observe(Z, jnp.asarray(step))
    averages.apply(model)
    counts = decay * counts + (1 - decay) * np.bincount(step.ravel(), minlength=VOCAB)
    added = np.zeros_like(sums)
    np.add.at(added, step.ravel(), Z.reshape(-1, WIDTH))
    sums = decay * sums + (1 - decay) * added
  np.testing.assert_allclose(model.codebook[...], sums / counts[:, None], rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(model.codebook[-1], before[-1], rtol=1e-5)


def test_what_is_read_in_parts_counts_as_what_is_read_at_once():
  """Halves that are alike, so that their order plays no part."""
  codes, model = jnp.asarray(RNG.integers(0, VOCAB, Z.shape[:-1])), quantizer("averages")
  twice, both = np.concatenate([Z, Z]), jnp.concatenate([codes, codes])
  one, two = CodeRestarts(CONFIG, 0.1), CodeRestarts(CONFIG, 0.1, parts=2)
  mean, mean_of_two = CodeAverages(model), CodeAverages(model, parts=2)
  one.observe(twice, both, jax.random.key(0))
  mean.observe(twice, both)
  for _ in range(2):
    two.observe(Z, codes, jax.random.key(0))
    mean_of_two.observe(Z, codes)
  np.testing.assert_allclose(two.usage[...], one.usage[...], rtol=1e-5)
  np.testing.assert_allclose(mean_of_two.counts[...], mean.counts[...], rtol=1e-5)
  np.testing.assert_allclose(mean_of_two.sums[...], mean.sums[...], rtol=1e-5, atol=1e-6)


def test_averages_of_an_entry_that_is_long_unused_leave_it():
  model = quantizer("averages")
  averages, before = CodeAverages(model), np.asarray(model.codebook[...])
  averages.counts[...], averages.sums[...] = jnp.full(VOCAB, 1e-9), jnp.zeros((VOCAB, WIDTH))
  averages.apply(model)
  np.testing.assert_array_equal(model.codebook[...], before)


def test_averages_go_on_from_where_a_restart_put_an_entry():
  model = quantizer("averages")
  averages, restarts = CodeAverages(model), CodeRestarts(CONFIG, restart_below=0.01)
  codes = jnp.full(Z.shape[:-1], 2)
  restarts.observe(Z, codes, jax.random.key(0))
  averages.observe(Z, codes)
  averages.apply(model)
  averages.restart(restarts.apply(model), model)
  placed = np.asarray(model.codebook[...])
  averages.apply(model)
  np.testing.assert_allclose(model.codebook[...], placed, rtol=1e-5)
