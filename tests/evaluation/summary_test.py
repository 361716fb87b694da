import numpy as np
import pytest

from condfoley_jax.evaluation import summary

MATERIALS = {"wood": 16, "metal": 9, "cloth": 2}


def truths():
  """Three examples for each of two targets of two videos, of three materials."""
  return [
    {
      # Videos may be named so.
      "item": f"v__{video}_{start}.0000__e__{i}_0.0000",
      "target": f"v__{video}_{start}.0000",
      "video": f"v__{video}",
      "example_video": f"e__{i}",
      "match": i == 0,
      "material": name,
      "action": "hit",
      "heard_material": number,
      "heard_action": 0,
      "target_material": 16,
      "sync_in_time": 1.0,
      "sync_error_s": 0.0,
      "contacts_s": [0.5, 1.0],
      "onsets_s": [0.5, 1.0],
      "embedding": [float(i), float(video)],
    }
    for video in range(2)
    for start in range(2)
    for i, (name, number) in enumerate(MATERIALS.items())
  ]


def many(videos, *, each=6):
  """Items of as many target videos, with examples of as many others; all that is heard is one material."""
  draw = np.random.default_rng(0)
  examples = np.concatenate([draw.permutation(videos) for _ in range(each)])
  return [
    truths()[0] | {"video": f"v{i // each}", "target": f"v{i // each}_0", "example_video": f"e{example}"}
    for i, example in enumerate(examples)
  ]


def by(truth, key, *, share=0.5):
  """Records of a system that is right in whole videos, of the targets or of the examples."""
  names = sorted({t[key] for t in truth})
  right = set(names[: round(share * len(names))])
  return [record(t) | {"material": 16 if t[key] in right else 2} for t in truth]


def width(told):
  return told["ci95"][1] - told["ci95"][0]


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


def test_only_examples_of_one_target_are_swapped():
  swapped = {16: 9, 9: 16, 2: 2}
  told = metrics(lambda t: record(t, material=swapped[t["heard_material"]] if "_1.0000" in t["target"] else None))
  # Half of the targets are right everywhere, the others with cloth; none is asked about another's examples.
  assert told["system 0"]["reference_consistency"]["value"] == pytest.approx(4 / 6, abs=1e-5)


def test_latency_is_signed_and_its_p95_is_of_its_size():
  told = metrics(lambda t: record(t, latencies=(-0.04, -0.02, -0.02)))["system 0"]
  assert told["onset_latency_s"]["value"] == -0.02 and told["onset_latency_p95_s"]["value"] == 0.04


def test_skill_is_over_the_best_baseline_and_says_which_that_is():
  told = metrics(record, lambda t: record(t, f1=0.1), lambda t: record(t, f1=0.25), baselines=("system 1", "system 2"))
  assert told["system 0"]["onset_skill"]["value"] == 0.75
  assert told["system 2"]["onset_skill"]["value"] == 0
  assert {row["onset_skill"]["over"] for row in told.values()} == {"system 2"}


def test_there_is_no_skill_unless_every_baseline_is_there():
  for baselines in ((), ("nosuch",), ("system 1", "nosuch")):
    assert all("onset_skill" not in row for row in metrics(record, record, baselines=baselines).values())


def test_what_no_item_has_is_left_out():
  assert "decay_similarity" not in metrics(record)["system 0"]
  assert "onset_latency_s" not in metrics(lambda t: record(t, latencies=()))["system 0"]


def test_systems_are_compared_item_by_item():
  truth = truths()
  scores = {"base": [record(t, f1=0.5) for t in truth], "rerank": [record(t) for t in truth]}
  told = summary.compare(truth, scores)["rerank - base"]
  assert told["onset_f1_50ms"]["difference"] == 0.5 and told["material_accuracy"]["difference"] == 0


def test_models_are_compared_with_base_and_with_baselines_and_nothing_else_is():
  scores = dict.fromkeys(("oracle", "random_onsets", "base", "rerank", "onset_transfer", "base_half"))
  told = summary.compare(truths(), {name: [record(t) for t in truths()] for name in scores})
  assert set(told) == {
    "rerank - base", "base_half - base", "base - random_onsets", "rerank - random_onsets",
    "base_half - random_onsets", "base - onset_transfer", "rerank - onset_transfer", "base_half - onset_transfer",
  }  # fmt: skip
  assert summary.compare(truths(), {"oracle": [], "base": []}) == {}


def test_other_rankings_are_compared_with_the_first_take_and_with_the_one():
  assert summary.pairs(("base", "rerank", "rerank_10", "silence")) == [
    ("rerank", "base"), ("rerank_10", "base"), ("rerank_10", "rerank"),
  ]  # fmt: skip


def test_pairs_whose_actions_are_not_labelled_are_no_match_and_no_mismatch():
  truth = truths()
  half = [t | {"match": None if i % 2 else t["match"]} for i, t in enumerate(truth)]
  told = summary.summarise(half, {"system": [record(t) for t in half]}, ())["system"]
  counted = sum(
    told[f"action_accuracy_{part}"]["n"] for part in ("match", "mismatch") if f"action_accuracy_{part}" in told
  )
  assert counted == sum(t["match"] is not None for t in half) < told["action_accuracy"]["n"] == len(truth)


def test_the_detector_is_judged_where_contacts_are_labelled():
  truth = [t | {"contacts_s": []} for t in truths()]
  assert "onset_detector_f1_50ms" in summary.judged(truths())
  assert "onset_detector_f1_50ms" not in summary.judged(truth)


def test_p_is_of_swaps_of_whole_videos_and_corrected_for_all_pairs():
  truth = many(4)
  made = {"base": 0.5, "rerank": 1.0, "metronome": 0.5}
  told = summary.compare(truth, {name: [record(t, f1=f1) for t in truth] for name, f1 in made.items()})
  # Of the 16 arrangements of four videos two are as large; items apart could show far more.
  assert told["rerank - base"]["onset_ap"]["p"] == pytest.approx(2 / 16, abs=0.02)
  assert told["rerank - base"]["onset_ap"]["p_holm"] == pytest.approx(
    3 * told["rerank - base"]["onset_ap"]["p"], abs=1e-5
  )
  assert told["base - metronome"]["onset_ap"]["p"] == told["base - metronome"]["onset_ap"]["p_holm"] == 1


def test_p_of_the_material_is_of_both_videos():
  truth = many(5, each=5)
  scores = {"base": by(truth, "video", share=0), "rerank": by(truth, "video", share=1)}
  found = summary.compare(truth, scores)["rerank - base"]["material_accuracy"]
  # Ten signs of equal weight, 10 or -10, of which half is what there is: 2 * (1 + 10 + 45) / 1,024, and 3 of 10 too.
  assert found["difference"] == 1 and found["p"] == pytest.approx(2 * (1 + 10 + 45) / 1024, abs=0.015)


def test_the_system_that_judges_would_choose_over_base():
  truth = truths()
  wrong = lambda t: record(t) | {"material": t["heard_material"] + 1, "sync_error_s": 0.2}
  scores = {"base": [record(t) | {"sync_error_s": 0.1} for t in truth], "oracle": [wrong(t) for t in truth]}
  told = summary.preferences(truth, scores | {"rerank": [record(t) | {"sync_error_s": 0.05} for t in truth]})
  assert {s: {k: x["value"] for k, x in row.items()} for s, row in told.items()} == {
    "oracle": {"material_chosen": 0.0, "sync_chosen": 0.0},
    "rerank": {"material_chosen": 0.5, "sync_chosen": 1.0},
  }
  assert summary.preferences(truth, {"oracle": scores["oracle"]}) == {}


def test_variants_are_compared_with_the_full_model_trained_as_long():
  truth = truths()
  off = lambda by: [record(t) | {"sync_error_s": by} for t in truth]
  scores = {"base": off(0.1), "base_half": off(0.3), "no_condition": off(0.2)}
  told = {name: row["sync_chosen"]["value"] for name, row in summary.preferences(truth, scores).items()}
  assert told == {"base_half": 0.0, "no_condition": 1.0}
  assert {"base_half - base", "no_condition - base_half"} == set(summary.compare(truth, scores))
  assert "no_condition" not in summary.preferences(truth, {name: scores[name] for name in ("base", "no_condition")})


def test_what_no_pair_of_items_has_is_not_compared():
  truth = [t | {"heard_action": None} for t in truths()]
  found = summary.compare(truth, {name: [record(t) for t in truth] for name in ("base", "rerank")})["rerank - base"]
  assert "action_accuracy" not in found and np.isfinite([x[k] for x in found.values() for k in ("p", "p_holm")]).all()


def test_items_of_one_target_video_are_not_taken_for_independent():
  truth = many(40)
  alike = by(truth, "video")
  for r in alike:
    r["onset_ap"] = float(r["material"] == 16)
    r["action"] = int(r["material"] == 2)
  for i, r in enumerate(alike):
    r["latencies_s"] = [0.001 * (i // 6)]
  told = summary.summarise(truth, {"all": alike}, ())["all"]
  one = slice(None, None, 6)
  fewer = summary.summarise(truth[one], {"all": alike[one]}, ())["all"]
  for name in ("onset_ap", "action_accuracy"):
    assert told[name]["value"] == fewer[name]["value"] == 0.5 and told[name]["ci95"] == fewer[name]["ci95"], name
    assert width(told[name]) == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.1)
  for name in ("onset_latency_s", "onset_latency_p95_s"):
    assert width(told[name]) > 0 and told[name]["ci95"] == fewer[name]["ci95"], name


def test_items_with_examples_of_one_video_are_not_taken_for_independent_in_what_is_about_the_example():
  truth = many(40)
  alike = by(truth, "example_video")
  for r in alike:
    r["decay_similarity"] = r["onset_ap"] = float(r["material"] == 16)
  told = summary.summarise(truth, {"all": alike}, ())["all"]
  by_example = 2 * 1.96 * 0.5 / np.sqrt(40)
  for name in ("material_accuracy", "material_accuracy_match", "decay_similarity"):
    assert by_example < width(told[name]) < 1.4 * by_example, name
  assert width(told["onset_ap"]) < 0.6 * by_example
  for t, r in zip(truth, alike, strict=True):
    t["material"] = "wood"
    t["heard_material"] = r["material"]
  assert by_example < width(summary.judged(truth)["material_accuracy"]) < 1.4 * by_example


def test_the_frechet_distance_lies_within_its_interval_which_videos_make():
  draw = np.random.default_rng(1)
  truth = [t | {"embedding": list(draw.standard_normal(3))} for t in many(30)]
  made = [record(t) | {"embedding": list(draw.standard_normal(3) + 0.5)} for t in truth]
  found = summary.summarise(truth, {"all": made}, ())["all"]["frechet_distance"]
  assert 0 <= found["ci95"][0] < found["value"] < found["ci95"][1]
  apart = [t | {"video": f"v{i}", "example_video": f"e{i}"} for i, t in enumerate(truth)]
  alike = [r | {"embedding": list(np.array(made[i // 6 * 6]["embedding"]))} for i, r in enumerate(made)]
  widths = [width(summary.summarise(t, {"all": alike}, ())["all"]["frechet_distance"]) for t in (truth, apart)]
  assert widths[0] > 1.3 * widths[1]
  one = [t | {"video": "v"} for t in truth]
  assert "frechet_distance" not in summary.summarise(one, {"all": made}, ())["all"]


def silent(truth):
  """A record of a sound in which nothing is heard."""
  return record(truth) | {"material": None, "action": None, "sync_in_time": 0.0, "sync_error_s": 0.5}


HEARD = ("material_accuracy", "action_accuracy", "material_retained", "reference_consistency", "sync_in_time")


def test_nothing_heard_is_wrong_of_whatever_a_judge_is_asked():
  told = metrics(silent)["system 0"]
  assert {name: (told[name]["value"], told[name]["n"]) for name in HEARD} == dict.fromkeys(HEARD, (0, 12))
  assert told["sync_error_s"]["value"] == 0.5


def test_where_nothing_is_heard_in_the_true_sound_a_pair_is_left_out():
  truth = truths()
  mute = {"heard_action": None, "target_material": None, "sync_in_time": None, "sync_error_s": None}
  truth[0] |= mute
  truth[4]["heard_material"] = None
  told = summary.summarise(truth, {"a": [record(t) | {"material": 9, "action": 0} for t in truth]}, ())["a"]
  assert {name: told[name]["n"] for name in HEARD} == dict.fromkeys(HEARD, 11)
  assert told["sync_error_s"]["n"] == 11
  judges = summary.judged(truth)
  assert {name: judges[name]["n"] for name in judges} == {
    "material_accuracy": 11, "action_accuracy": 11, "sync_in_time": 11, "onset_detector_f1_50ms": 12,
  }  # fmt: skip


def test_judges_are_judged_where_one_label_holds():
  truth = truths()
  truth[0]["material"], truth[1]["heard_material"] = "", 0
  told = summary.judged(truth)
  assert told["material_accuracy"]["n"] == 11 and told["material_accuracy"]["value"] == pytest.approx(10 / 11, abs=1e-5)
  assert told["onset_detector_f1_50ms"]["value"] == told["sync_in_time"]["value"] == 1
  assert np.isfinite(told["action_accuracy"]["ci95"]).all()
