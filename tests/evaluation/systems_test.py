"""Which sound is called what, with a generator whose takes say whose they are."""

import dataclasses
import types

import numpy as np
import pytest

from condfoley_jax.clip import MINI
from condfoley_jax.conventions import OURS
from condfoley_jax.evaluation import reference_systems, systems
from condfoley_jax.evaluation.reference_systems import Sound, Trial
from condfoley_jax.sampling import generate
from condfoley_jax.sampling.generate import Takes
from condfoley_jax.sampling.rerank import Sync
from condfoley_jax.weights.folder import Weights
from data_pipelines.errors import InputError

SEED = 5
# Of each take, by its number: how many frames late its click is, and how wide, which blurs what is heard.
LATE = (6, 2, 0)
# The later, the surer.
SURE = {6: 0.9, 2: 0.8, 0: 0.7}
WEIGHTS = Weights(MINI, OURS, {}, "0123")
AT = (5, 16)  # frames in which an onset is seen


def sound(level, onsets_s=(0.5,)):
  return Sound(np.full(MINI.samples, level, np.float32), np.array(onsets_s))


def item(number):
  """One whose sounds have levels of their own."""
  trial = Trial(sound(0.1 * number + 0.01), sound(0.1 * number + 0.02), MINI.sample_rate)
  return types.SimpleNamespace(sounds=trial, query=f"query {number}", example=f"example {number}")


class FourTrials:
  """A test set: targets of two videos, examples of two materials, crosswise."""

  directory = "the test set"

  def __init__(self, videos="aabb", kinds="xyxy"):
    self.trials = [types.SimpleNamespace(target=types.SimpleNamespace(video=v)) for v in videos]
    self._kinds = list(kinds)

  def __getitem__(self, index):
    return item(index)

  def example_kinds(self):
    return self._kinds

  def onsets_hz(self):
    return 2.0


def clicks(late, seed):
  """Clicks so many frames after those that are seen; their level tells the seed."""
  audio = np.zeros(MINI.samples, np.float32)
  for frame in AT:
    at = (frame + late) * MINI.samples_per_frame
    audio[at : at + 200] = 0.5 + seed / 100
  return audio


class Generator:
  """In place of `generate.Generator`; the later a take, the smaller its offset."""

  def __init__(self, weights):
    assert weights is WEIGHTS

  def __call__(self, frames, example, sampling, seeds):
    assert (frames, example) == ("query 0", "example 0")
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (1.0, OURS.top_k, 1.0)
    seen = np.zeros(MINI.frames, np.float32)
    seen[list(AT)] = 1
    late = np.array([[LATE[seed - SEED]] for seed in seeds])
    syncs = Sync(late / MINI.fps, np.array([[SURE[frames[0]]] for frames in late]))
    audio = np.stack([clicks(frames[0], seed) for frames, seed in zip(late, seeds, strict=True)])
    return Takes(audio, np.zeros((len(seeds), 4, 0)), seen, syncs, [(0, MINI.frames)])

  def through_mel(self, audio):
    return audio + 0.25

  def through_codes(self, audio):
    return audio + 0.5


@pytest.fixture(autouse=True)
def generator(monkeypatch):
  monkeypatch.setattr(generate, "Generator", Generator)


def made(candidates, tau_s):
  return systems.model_group(WEIGHTS, candidates=[candidates], seed=SEED, taus_s=[tau_s]).make(0, item(0))


def seed_of(audio):
  return round(100 * (float(audio.max()) - 0.5))


def test_base_is_the_first_take_whatever_is_ranked_first():
  for candidates, tau_s in ((1, 0.05), (3, 0.05), (3, 1.0)):
    assert seed_of(made(candidates, tau_s)["base"]) == SEED


def test_seeds_go_on_from_0_after_the_largest():
  group = systems.model_group(WEIGHTS, candidates=[2], seed=2**32 - 1, taus_s=[0.1])
  asked = []
  group_seeds = lambda frames, example, sampling, seeds: asked.extend(seeds) or 1 / 0
  with pytest.MonkeyPatch.context() as patch, pytest.raises(ZeroDivisionError):
    patch.setattr(Generator, "__call__", lambda self, *given: group_seeds(*given))
    group.make(0, item(0))
  assert asked == [2**32 - 1, 0]


def test_rerank_is_the_take_most_in_time_of_all():
  assert [seed_of(made(n, 0.05)["rerank"]) - SEED for n in (1, 2, 3)] == [0, 1, 2]


def test_within_tau_rerank_is_the_surest():
  takes = [seed_of(made(3, tau_s)["rerank"]) - SEED for tau_s in (0.0, 2.5 / MINI.fps, 6.5 / MINI.fps)]
  assert takes == [2, 1, 0]


def test_of_several_numbers_and_taus_each_is_a_system_as_it_is_alone():
  several = systems.model_group(WEIGHTS, candidates=[1, 3, 2], seed=SEED, taus_s=[0.05, 2.5 / MINI.fps])
  found = several.make(0, item(0))
  expected = {
    "rerank": (3, 0.05),
    "rerank_1": (1, 0.05),
    "rerank_2": (2, 0.05),
    "rerank_tau_0.166667": (3, 2.5 / MINI.fps),
  }
  assert several.systems == ("base", *expected, "onset_transfer") and set(found) == set(several.systems)
  for system, (candidates, tau_s) in expected.items():
    alone = systems.model_group(WEIGHTS, candidates=[candidates], seed=SEED, taus_s=[tau_s])
    np.testing.assert_array_equal(found[system], alone.make(0, item(0))["rerank"])
    assert several.identity[system] == alone.identity["rerank"]


def test_onset_transfer_pastes_the_example_where_onsets_are_seen():
  seen_s = (np.array(AT) + 0.5) / MINI.fps
  expected = reference_systems.onset_transfer(item(0).sounds, seen_s, np.random.default_rng((SEED, 0)))
  np.testing.assert_array_equal(made(1, 0.2)["onset_transfer"], expected)


def test_other_weights_give_their_first_take_as_its_codes_alone_sound(monkeypatch):
  kept = []
  monkeypatch.setattr(Generator, "__init__", lambda self, weights: kept.append(weights))
  detailed = dataclasses.replace(WEIGHTS, conventions=dataclasses.replace(OURS, detail_frames=7))
  group = systems.plain_group("no_condition", detailed, SEED)
  found = group.make(0, item(0))
  assert kept == [WEIGHTS] and set(found) == {"no_condition"} == set(group.systems)
  assert seed_of(found["no_condition"]) == SEED


@pytest.mark.parametrize(
  "name", ["base", "Truth", "rerank_10", "guidance_2", "vocoder", "a b", "", ".x", "a/b", "metronome"]
)
def test_names_of_systems_and_no_names_are_not_for_weights(name):
  assert not systems.may_be_named(name)
  assert systems.may_be_named(f"x{name}") == (name not in ("a b", "a/b"))


def test_other_guidance_is_the_first_take_of_the_same_weights_that_say_so(monkeypatch):
  kept = []
  monkeypatch.setattr(Generator, "__init__", lambda self, weights: kept.append(weights))
  groups = [systems.guided_group(WEIGHTS, guidance, SEED) for guidance in (1.0, 2.5)]
  assert [weights.conventions.guidance for weights in kept] == [1.0, 2.5]
  assert [group.systems for group in groups] == [("guidance_1",), ("guidance_2.5",)]
  assert len({next(iter(group.identity.values())) for group in groups}) == 2
  assert seed_of(groups[1].make(0, item(0))["guidance_2.5"]) == SEED


def test_ceilings_are_the_true_sound_through_mel_through_codes_and_in_the_example_s_sound():
  found, trial = systems.ceiling_group(WEIGHTS, SEED).make(2, item(2)), item(2).sounds
  np.testing.assert_array_equal(found["vocoder"], trial.target.audio_N + 0.25)
  np.testing.assert_array_equal(found["codes_vocoder"], trial.target.audio_N + 0.5)
  pasted = reference_systems.true_onsets(trial, np.random.default_rng((SEED, 2)))
  np.testing.assert_array_equal(found["true_onsets"], pasted)


def test_chance_is_another_video_s_target_and_wrong_material_another_material_s_example():
  tests = FourTrials()
  level = lambda audio: float(audio.max())
  for seed in range(8):
    make = systems.reference_group(tests, seed).make
    for index in range(4):
      found = make(index, item(index))
      targets = [i for i in range(4) if level(found["chance"]) == level(item(i).sounds.target.audio_N)]
      examples = [i for i in range(4) if level(found["wrong_material"]) == level(item(i).sounds.example.audio_N)]
      assert len(targets) == len(examples) == 1
      assert targets[0] // 2 != index // 2 and examples[0] % 2 != index % 2


def test_each_reference_is_the_system_of_its_name():
  found, trial = systems.reference_group(FourTrials(), SEED).make(1, item(1)), item(1).sounds
  assert set(found) == set(systems.REFERENCES)
  np.testing.assert_array_equal(found["oracle"], trial.target.audio_N)
  assert not found["silence"].any()
  assert len(np.unique(found["noise"])) > 1000
  example = {0, trial.example.audio_N[0]}
  assert set(found["metronome"]) == example
  assert set(found["random_onsets"]) <= example and not np.array_equal(found["random_onsets"], found["metronome"])


@pytest.mark.parametrize(
  ("tests", "system", "words"),
  [
    (FourTrials(videos="aaaa"), "chance", "all targets are of one video"),
    (FourTrials(kinds="xxxx"), "wrong_material", "all examples are of one material"),
  ],
)
def test_a_test_set_of_one_kind_has_no_other_to_draw(tests, system, words):
  with pytest.raises(InputError, match=f"^the test set: {words}; choose --systems without {system}$"):
    systems.reference_group(tests, SEED)
  others = [s for s in systems.REFERENCES if s != system]
  found = systems.reference_group(tests, SEED, others).make(0, item(0))
  whole = systems.reference_group(FourTrials(), SEED).make(0, item(0))
  assert set(found) == set(others)
  for name in set(others) - {"chance", "wrong_material"}:
    np.testing.assert_array_equal(found[name], whole[name])


def test_groups_say_all_that_their_sounds_depend_on():
  model = lambda **changes: systems.model_group(WEIGHTS, **{"candidates": [2], "seed": 0, "taus_s": [0.2]} | changes)
  groups = [model(), model(candidates=[3]), model(seed=1), model(taus_s=[0.1])]
  assert len({group.identity["rerank"] for group in groups}) == len(groups)
  for system in ("base", "onset_transfer"):
    assert len({group.identity[system] for group in groups}) == 2, "nothing is chosen of takes"
  for seed in (0, 1):
    groups += [systems.reference_group(FourTrials(), seed), systems.ceiling_group(WEIGHTS, seed)]
  # Names of systems stand beside these: a first take and a ceiling need the same.
  assert len({next(iter(group.identity.values())) for group in groups}) == 2 + 2
  assert all(group.systems == tuple(group.identity) for group in groups)
