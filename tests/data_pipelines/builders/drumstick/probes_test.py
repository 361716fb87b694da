"""The world gives little away to what does not understand it: the bounds are those that step 4 asks for."""

import os

import numpy as np
import pytest

from benchmarks import probes
from data_pipelines.builders.events import MATERIALS

WORKERS = os.cpu_count() or 1


@pytest.mark.slow
@pytest.mark.parametrize(
  ("features", "most"), [(probes.mean_log_mel, 0.75), (probes.small_frame, 0.60)], ids=["sound", "picture"]
)
def test_a_linear_probe_names_few_materials(features, most):
  train, test = probes.scenes("train", 204), probes.scenes("test", 102)
  assert probes.material_accuracy(features, train, test, WORKERS) <= most


@pytest.mark.slow
def test_a_linear_probe_names_all_materials_that_are_written_on_the_wall():
  """The probe itself works: it finds what is linear in the features."""
  train, test = probes.scenes("train", 204), probes.scenes("test", 102)
  assert probes.material_accuracy(_told, train, test, 1) == 1


def _told(scene) -> np.ndarray:
  return np.array([scene.thing.material == name for name in MATERIALS], float)


def test_peaks_of_change_are_onsets_where_a_contact_alone_changes_the_picture():
  onsets = np.array([1.0, 2.0, 3.5])
  levels = np.random.default_rng(0).uniform(0, 0.1, 150)
  levels[np.round(onsets * 30).astype(int)] = 5
  seen = probes.Change(levels, 30.0, onsets)
  assert probes.threshold_f1([seen]) > 0.95
  shuffled = probes.Change(np.random.default_rng(1).permutation(levels), 30.0, onsets)
  assert probes.threshold_f1([shuffled]) < 0.5


@pytest.mark.parametrize("decay_s", [0.02, 0.1])
def test_contacts_are_measured(decay_s):
  rate, time = 44100, np.arange(44100 * 3) / 44100
  audio = sum(
    np.where(time >= at, np.exp(-(time - at).clip(0) / decay_s) * np.sin(2 * np.pi * 2000 * (time - at)), 0)
    for at in (1.0, 2.0)
  )
  audio = audio + 1e-4 * np.random.default_rng(0).standard_normal(len(time))
  levels = np.ones(90)
  levels[[30, 60]] = 4
  first, _ = probes.contacts(audio, rate, np.array([1.0, 2.0]), levels, 30.0)
  assert first.decay_ms == pytest.approx(1e3 * decay_s * np.log(10), abs=4)
  assert first.centroid_hz == pytest.approx(2000, rel=0.1) and first.rise_ms < 4 and first.motion == 4
