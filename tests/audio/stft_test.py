import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condfoley_jax.audio import stft
from condfoley_jax.audio.compiled import librosa
from tests import golden

forward = jax.jit(stft.stft, static_argnames=("n_fft", "hop", "padding"))
inverse = jax.jit(stft.istft, static_argnames=("hop", "padding"))


def noise(samples, batch=2):
  return np.random.default_rng(0).standard_normal((batch, samples)).astype(np.float32)


@pytest.mark.parametrize(("hop", "padding"), [(245, "same"), (256, "center"), (256, "same"), (100, "center")])
def test_istft_inverts_stft(hop, padding):
  audio = noise(20 * hop)
  spectrum = forward(audio, n_fft=1024, hop=hop, padding=padding)
  assert spectrum.shape == (2, 20 + (padding == "center"), 513)
  np.testing.assert_allclose(inverse(spectrum, hop=hop, padding=padding), audio, atol=2e-5)


def test_center_equals_librosa():
  audio = noise(5000)
  ours = forward(audio, n_fft=512, hop=128, padding="center")
  theirs = librosa().stft(audio, n_fft=512, hop_length=128, pad_mode="reflect").swapaxes(1, 2)
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_same_places_frame_m_on_its_hop():
  audio = noise(245 * 8, batch=1)
  padded = np.pad(audio[0], (389, 390))
  expected = np.stack([np.fft.rfft(padded[245 * m :][:1024] * stft.hann(1024)) for m in range(8)])
  np.testing.assert_allclose(forward(audio, n_fft=1024, hop=245, padding="same")[0], expected, atol=1e-4)


def test_overlap_add_is_the_transpose_of_frame():
  audio, frames = noise(1470, batch=1), noise(7 * 700, batch=1).reshape(1, 4, -1)[:, :, :700]
  cut = jax.jit(stft.frame, static_argnums=(1, 2))(audio, 700, 245)
  assert cut.shape == (1, 4, 700)
  added = np.asarray(jax.jit(stft.overlap_add, static_argnums=1)(frames, 245))[:, :1470]
  np.testing.assert_allclose(np.vdot(cut, frames), np.vdot(audio[:, : added.shape[1]], added), rtol=1e-4)


def test_gradients_through_both_directions():
  def rebuilt(audio):
    return stft.istft(stft.stft(audio, n_fft=1024, hop=245, padding="same"), hop=245, padding="same")

  audio = noise(245 * 8, batch=1)
  grad = jax.jit(jax.grad(lambda a: (rebuilt(a) ** 2).sum() / 2))(audio)
  np.testing.assert_allclose(grad, audio, atol=1e-4)


def test_magnitude_has_a_gradient_of_zero_at_zero():
  assert not jax.jit(jax.grad(lambda x: stft.magnitude(x + 0j).sum()))(jnp.zeros(3)).any()


@pytest.mark.golden
def test_magnitudes_equal_the_published_ones():
  vectors = golden.load("mel.npz")
  ours = stft.magnitude(forward(vectors["wav"][None], n_fft=1024, hop=256, padding="center"))
  np.testing.assert_allclose(ours[0, :8].T, vectors["stft_mag_first8"], atol=1e-4)
