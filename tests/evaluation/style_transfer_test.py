"""Style transfer keeps when things sound and takes over what they sound like."""

import functools

import numpy as np
import pytest

from condfoley_jax.audio.mel import log_mel
from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import judges
from condfoley_jax.evaluation.style_transfer import restyled, style_transfer
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.weights import folder
from tests.evaluation import strikes


@functools.cache
def network():
  return folder.load(judges.SHIPPED / "classifier", only=("material_classifier",)).components["material_classifier"]


@functools.cache
def mels():
  """Of two things, struck at other times."""
  trials = strikes.trials()[:2]
  return [log_mel(t.target.audio_N[None].astype(np.float32), MINI) for t in trials]


def grams(mel):
  found = [np.asarray(x) for x in network().features(network().scaling(mel))]
  return [np.einsum("bfmc,bfmd->cd", x, x) / x.size for x in found]


def apart(a, b):
  return sum(((x - y) ** 2).mean() for x, y in zip(grams(a), grams(b), strict=True))


@pytest.mark.slow
def test_texture_becomes_the_styles_and_places_stay_the_contents():
  content, style = mels()
  made = style_transfer(network(), content, style, 20)
  assert made.shape == content.shape and np.abs(made).max() <= 1
  assert apart(made, style) < 0.05 * apart(content, style)
  loudness = lambda mel: np.asarray(mel).mean(1)[0]
  alike = lambda other: np.corrcoef(loudness(made), loudness(other))[0, 1]
  assert alike(content) > 0.5 > alike(style)


@pytest.mark.slow
def test_a_sound_in_its_own_style_stays_as_it_is():
  content, _ = mels()
  np.testing.assert_allclose(style_transfer(network(), content, content, 5), content, atol=1e-3)


def test_its_sound_has_the_targets_length_and_the_examples_level():
  weights = folder.load(folder.SHIPPED, only=("vocoder",))
  small = VGGishish(VGGishishConfig(classes=2, n_mels=MINI.n_mels, widths=((4,), (4,)), pool=(2, 2)), rngs=Keys(0))
  target, example = (t.target.audio_N[: MINI.samples].astype(np.float32) for t in strikes.trials()[:2])
  loud, quiet = (restyled(weights, small, target, example * gain) for gain in (0.4, 0.1))
  assert loud.shape == target.shape and 0.01 < np.abs(loud).max() < 1
  np.testing.assert_allclose(quiet, loud / 4, atol=0.05 * np.abs(loud).max())
