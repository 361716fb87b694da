import numpy as np
import pytest

from condfoley_jax.evaluation import summary

MATERIALS = {"wood": 16, "metal": 9, "cloth": 2}


def truths():
  """Three examples for each of two targets of two videos, of three materials."""
  return [
    {
      "item": f"v{video}_{start}.0000__e{i}_0.0000",
      "video": f"v{video}",
      "match": i == 0,
      "material": name,
      "action": "hit",
      "heard_material": number,
      "heard_action": 0,
      "target_material": 16,
      "sync_in_time": 1.0,
      "contacts_s": [0.5, 1.0],
      "onsets_s": [0.5, 1.0],
      "embedding": [float(i), float(video)],
    }
    for video in range(2)
    for start in range(2)
    for i, (name, number) in enumerate(MATERIALS.items())
  ]


def record(truth, *, material=None, f1=1.0, latencies=(0.01, 0.03)):
  return dict.fromkeys(summary.MEANS, f1) | {
    "material": truth["heard_material"] if material is None else material,
    "action": truth["heard_action"],
    "latencies_s": list(latencies),
    "embedding": truth["embedding"],
    "decay_similarity": None,
  }


def metrics(*records_of, baselines=()):
  truth = truths()
  scores = {f"system {i}": [make(t) for t in truth] for i, make in enumerate(records_of)}
  return summary.summarise(truth, scores, baselines)


def test_who_sounds_like_each_example_is_right_and_moves_with_it():
  told = metrics(record)["system 0"]
  for name in ("material_accuracy", "material_accuracy_match", "action_accuracy", "reference_consistency"):
    assert told[name]["value"] == 1 and told[name]["ci95"] == [1, 1]
  assert told["material_accuracy"]["n"] == 12 and told["material_accuracy_match"]["n"] == 4
  assert told["material_retained"]["value"] == pytest.approx(1 / 3, abs=1e-5)
  assert told["frechet_distance"]["value"] == pytest.approx(0, abs=1e-6)


def test_who_always_sounds_the_same_never_moves():
  told = metrics(lambda t: record(t, material=MATERIALS["wood"]))["system 0"]
  assert told["material_accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-5)
  # With its own example wood is heard, but so it is with any other.
  assert told["reference_consistency"]["value"] == 0


def test_latency_is_signed_and_its_p95_is_of_its_size():
  told = metrics(lambda t: record(t, latencies=(-0.04, -0.02, -0.02)))["system 0"]
  assert told["onset_latency_s"]["value"] == -0.02 and told["onset_latency_p95_s"]["value"] == 0.04


def test_skill_is_over_the_best_baseline_that_is_there():
  told = metrics(record, lambda t: record(t, f1=0.25), baselines=("system 1", "nosuch"))
  assert told["system 0"]["onset_skill"]["value"] == 0.75
  assert told["system 1"]["onset_skill"]["value"] == 0
  assert "onset_skill" not in metrics(record)["system 0"]


def test_what_no_item_has_is_left_out():
  assert "decay_similarity" not in metrics(record)["system 0"]
  assert "onset_latency_s" not in metrics(lambda t: record(t, latencies=()))["system 0"]


def test_systems_are_compared_item_by_item():
  truth = truths()
  scores = {"a": [record(t) for t in truth], "b": [record(t, f1=0.5) for t in truth]}
  told = summary.compare(truth, scores)["a - b"]
  assert told["onset_f1_50ms"]["difference"] == 0.5 and told["material_accuracy"]["difference"] == 0


def test_judges_are_judged_where_one_label_holds():
  truth = truths()
  truth[0]["material"], truth[1]["heard_material"] = "", 0
  told = summary.judged(truth)
  assert told["material_accuracy"]["n"] == 11 and told["material_accuracy"]["value"] == pytest.approx(10 / 11, abs=1e-5)
  assert told["onset_detector_f1_50ms"]["value"] == told["sync_in_time"]["value"] == 1
  assert np.isfinite(told["action_accuracy"]["ci95"]).all()
