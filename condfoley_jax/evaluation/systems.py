"""Whose sound is evaluated: systems by name, in groups that are made together.

`references` need no training, `ceilings` put the truth in place of a part of the chain, to show which part loses what
(true sound through mel and vocoder; through codes too; the example's own sound at the true onsets), `model` is what the
weights generate, its first take and, of several, the one ranked best, and the example's sounds where they see onsets;
`without_detail` is the first take as its codes alone sound, as is that of other weights, `guidance_G` with other
guidance, `style` the truth in the example's texture.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from condfoley_jax.evaluation import reference_systems as references
from condfoley_jax.evaluation.style_transfer import restyled
from condfoley_jax.evaluation.test_set import Item, TestSet
from condfoley_jax.models.classifier import VGGishish
from condfoley_jax.sampling import generate, program
from condfoley_jax.sampling.rerank import over_segments, rank
from condfoley_jax.weights.folder import Weights
from data_pipelines.errors import InputError

REFERENCES = ("oracle", "silence", "noise", "chance", "random_onsets", "metronome", "wrong_material")
CEILINGS = ("vocoder", "codes_vocoder", "true_onsets")
WITHOUT_DETAIL = "without_detail"
STYLE = ("style_transfer",)
# The paper's systems that are trained by themselves, and all of the model, trained for as long as most of them.
VARIANTS = (
  "base_half",
  "no_condition",
  "no_condition_video",
  "no_augmentation",
  "random_condition",
  "specvqgan",
  "specvqgan_finetuned",
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# What skill is measured against.
BASELINES = ("random_onsets", "metronome", "onset_transfer")
# "truth" is what a file beside theirs is called.
_TAKEN = {*REFERENCES, *CEILINGS, *STYLE, *BASELINES, WITHOUT_DETAIL, "base", "rerank", "truth"}

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


def plain_group(name: str, weights: Weights, seed: int) -> Group:
  """The first take as its codes alone sound, as the system `name`.

  What the example gives beside its codes (`sampling/detail.py`) is not learned: with it, weights that know nothing of
  the example would have some of its sound.
  """
  plain = dataclasses.replace(weights.conventions, detail_frames=0)
  return _first_take(name, dataclasses.replace(weights, conventions=plain), seed)


def guided(guidance: float) -> str:
  """Name of the system that is the first take with such guidance."""
  return f"guidance_{guidance:g}"


def guided_group(weights: Weights, guidance: float, seed: int) -> Group:
  """The first take with another guidance."""
  other = dataclasses.replace(weights.conventions, guidance=guidance)
  name = guided(guidance)
  found = _first_take(name, dataclasses.replace(weights, conventions=other), seed)
  return found._replace(identity={name: f"{found.identity[name]}, guidance {guidance:g}"})


def _first_take(name: str, weights: Weights, seed: int) -> Group:
  generator = generate.Generator(weights)
  sampling = generate.sampling_of(weights.conventions)
  make = lambda index, item: {name: _limited(generator(item.query, item.example, sampling, [seed]))[0]}
  return Group((name,), make, {name: f"seed {seed}, weights {weights.id}"})


def choices(candidates: Sequence[int], taus_s: Sequence[float]) -> dict[str, tuple[int, float]]:
  """By the names of systems, of how many first takes the best is chosen, and by which tau.

  `rerank` has the most takes and the first tau; `rerank_N` and `rerank_tau_S` have others in place of one of them.
  """
  most, tau_s = max(candidates), taus_s[0]
  found = {"rerank": (most, tau_s)}
  found |= {f"rerank_{count}": (count, tau_s) for count in candidates if count != most}
  return found | {f"rerank_tau_{other:g}": (most, other) for other in taus_s[1:]}


def may_be_named(name: str) -> bool:
  """Whether weights may give a system of this name: a file's, and that of no other."""
  name = name.casefold()
  return bool(_NAME.fullmatch(name)) and name not in _TAKEN and not name.startswith(("rerank_", "guidance_"))


def model_systems(ranked: Iterable[str]) -> tuple[str, ...]:
  """Names of all systems of a model whose ranked ones are these."""
  return ("base", *ranked, "onset_transfer")


def model_group(
  weights: Weights,
  *,
  candidates: Sequence[int],
  seed: int,
  taus_s: Sequence[float] = (),
  systems: Sequence[str] | None = None,
) -> Group:
  """What the weights generate: those of `systems`, by default all, each item's takes made once for all of them.

  Take k has the seed `seed` + k, modulo 2^32.

  Args:
    candidates: takes that are ranked; of several numbers each gives a system (`choices`).
    taus_s: likewise; by default what goes with the weights.
  """
  generator, spec = generate.Generator(weights), weights.clip
  ranked = choices(candidates, taus_s or (generator.tau_s,))
  known = model_systems(ranked)
  wanted = tuple(s for s in known if systems is None or s in systems)
  seeds = [(seed + k) % 2**32 for k in range(max([1, *(ranked[s][0] for s in wanted if s in ranked)]))]
  sampling = generate.sampling_of(weights.conventions)

  def make(index: int, item: Item) -> Sounds:
    takes = generator(item.query, item.example, sampling, seeds)
    audio = _limited(takes)
    transfer = references.onset_transfer(
      item.sounds, references.seen_onsets(takes.seen, spec.fps), np.random.default_rng((seed, index))
    )
    best = {s: _best(takes, *ranked[s]) for s in wanted if s in ranked}
    return {"base": audio[0], "onset_transfer": transfer} | {s: audio[i] for s, i in best.items()}

  identity = dict.fromkeys(wanted, f"seed {seed}, weights {weights.id}")
  for system in (s for s in wanted if s in ranked):
    count, tau_s = ranked[system]
    identity[system] += f", {count} candidates, tau {tau_s} s"
  return Group(wanted, make, identity)


def _limited(takes: generate.Takes) -> np.ndarray:
  """Their sound, in [-1, 1]."""
  return np.asarray(program.limit(takes.audio))


def _best(takes: generate.Takes, count: int, tau_s: float) -> int:
  """Number of the take that is ranked first of the first `count`."""
  offsets_s, confidences = over_segments(takes.syncs)
  return int(rank(offsets_s[:count], confidences[:count], tau_s)[0])
