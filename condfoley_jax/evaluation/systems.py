"""Whose sound is evaluated: systems by name, in groups that are made together.

`references` need no training, `ceilings` put the truth in place of a part of the chain, to show which part loses what
(true sound through mel and vocoder; through codes too; the example's own sound at the true onsets), `model` is what the
weights generate, its first take and, of all takes, the one ranked best, and the example's sounds where they see onsets;
`without_detail` is the first take as its codes alone sound, `style` the truth in the example's texture.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from condfoley_jax.evaluation import reference_systems as references
from condfoley_jax.evaluation.style_transfer import restyled
from condfoley_jax.evaluation.test_set import Item, TestSet
from condfoley_jax.models.classifier import VGGishish
from condfoley_jax.sampling import generate
from condfoley_jax.sampling.rerank import over_segments, rank
from condfoley_jax.weights.folder import Weights
from data_pipelines.errors import InputError

REFERENCES = ("oracle", "silence", "noise", "chance", "random_onsets", "metronome", "wrong_material")
CEILINGS = ("vocoder", "codes_vocoder", "true_onsets")
MODEL = ("base", "rerank", "onset_transfer")
WITHOUT_DETAIL = "without_detail"
STYLE = ("style_transfer",)
# Systems of weights folders of these names, of which one take is made: the paper's ablations, and all of the model,
# trained for as long.
VARIANTS = (
  "base_half",
  "no_condition",
  "no_condition_video",
  "no_augmentation",
  "random_condition",
  "specvqgan",
  "specvqgan_finetuned",
)
# What skill is measured against.
BASELINES = ("random_onsets", "metronome", "onset_transfer")

Sounds = Mapping[str, np.ndarray]
Make = Callable[[int, Item], Sounds]


class Group(NamedTuple):
  """Systems made together: `make` takes an item with its number and gives float32 audio [N] by name, of `systems` and
  maybe of more.

  `identity` names for each of them all that its sound depends on besides the item.
  """

  systems: tuple[str, ...]
  make: Make
  identity: Mapping[str, str]


def reference_group(tests: TestSet, seed: int, systems: Sequence[str] = REFERENCES) -> Group:
  """Those of `systems` that need no training.

  Raises:
    InputError: one of them needs a trial of another kind, and the test set has one kind only.
  """
  wanted, rng = tuple(s for s in REFERENCES if s in systems), np.random.default_rng(seed)
  kinds = {"chance": [t.target.video for t in tests.trials], "wrong_material": tests.example_kinds()}
  # What one draws does not depend on whether the other is wanted.
  others = {s: references.draw_others(np.array(k), rng) for s, k in kinds.items() if len(set(k)) > 1}
  for system in kinds:
    if system in wanted and system not in others:
      what = "targets are of one video" if system == "chance" else "examples are of one material"
      raise InputError(f"{tests.directory}: all {what}; choose --systems without {system}")
  onsets_hz = tests.onsets_hz()

  def make(index: int, item: Item) -> Sounds:
    draws = np.random.default_rng((seed, index))
    trial = item.sounds
    found = {
      "oracle": references.oracle(trial, draws),
      "silence": references.silence(trial, draws),
      "noise": references.noise(trial, draws),
      "random_onsets": references.random_onsets(trial, draws, onsets_hz),
      "metronome": references.metronome(trial, draws),
    }
    pasted = {"chance": references.shuffled, "wrong_material": references.wrong_material}
    return found | {s: pasted[s](trial, tests[drawn[index]].sounds, draws) for s, drawn in others.items()}

  return Group(wanted, make, dict.fromkeys(wanted, f"seed {seed}"))


def ceiling_group(weights: Weights, seed: int) -> Group:
  """The truth in place of parts of the model."""
  generator = generate.Generator(weights)

  def make(index: int, item: Item) -> Sounds:
    return {
      "vocoder": generator.through_mel(item.sounds.target.audio_N),
      "codes_vocoder": generator.through_codes(item.sounds.target.audio_N),
      "true_onsets": references.true_onsets(item.sounds, np.random.default_rng((seed, index))),
    }

  return Group(CEILINGS, make, dict.fromkeys(CEILINGS, f"seed {seed}, weights {weights.id}"))


def style_group(weights: Weights, network: VGGishish, network_id: str) -> Group:
  """The target's sound in the example's style, by the features of `network`."""
  make = lambda index, item: {
    "style_transfer": restyled(weights, network, item.sounds.target.audio_N, item.example.audio)
  }
  return Group(STYLE, make, dict.fromkeys(STYLE, f"weights {weights.id}, features {network_id}"))


def variant_group(name: str, weights: Weights, seed: int) -> Group:
  """One take of other weights, as the system `name`."""
  generator = generate.Generator(weights)
  sampling = generate.sampling_of(weights.conventions)
  make = lambda index, item: {name: generator(item.query, item.example, sampling, [seed]).audio[0]}
  return Group((name,), make, {name: f"seed {seed}, weights {weights.id}"})


def without_detail_group(weights: Weights, seed: int) -> Group:
  """The first take as codes alone sound."""
  plain = dataclasses.replace(weights.conventions, detail_frames=0)
  return variant_group(WITHOUT_DETAIL, dataclasses.replace(weights, conventions=plain), seed)


def model_group(
  weights: Weights, *, candidates: int, seed: int, tau_s: float | None = None, systems: Sequence[str] = MODEL
) -> Group:
  """What the weights generate: those of `systems`, from `candidates` takes of each item where there is to be a choice.

  Take k has the seed `seed` + k, modulo 2^32.
  """
  generator, spec = generate.Generator(weights), weights.clip
  tau_s = generator.tau_s if tau_s is None else tau_s
  wanted = tuple(s for s in MODEL if s in systems)
  seeds = [(seed + k) % 2**32 for k in range(candidates if "rerank" in wanted else 1)]
  sampling = generate.sampling_of(weights.conventions)

  def make(index: int, item: Item) -> Sounds:
    takes = generator(item.query, item.example, sampling, seeds)
    transfer = references.onset_transfer(
      item.sounds, references.seen_onsets(takes.seen, spec.fps), np.random.default_rng((seed, index))
    )
    return {
      "base": takes.audio[0],
      "rerank": takes.audio[rank(*over_segments(takes.syncs), tau_s)[0]],
      "onset_transfer": transfer,
    }

  identity = dict.fromkeys(wanted, f"seed {seed}, weights {weights.id}")
  if "rerank" in wanted:
    identity["rerank"] += f", {candidates} candidates, tau {tau_s} s"
  return Group(wanted, make, identity)
