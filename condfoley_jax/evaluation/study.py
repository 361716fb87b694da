"""Who hears what in a perceptual study: trials of two-alternative forced choice, counterbalanced and seeded.

As in section 4.4 of Du et al. (CVPR 2023): a participant sees an example and one video with the sound of two systems,
says which is better in time and which is more like the example, and does so 21 times, the first five for practice. Two
of the other trials check attention: the true sound against silence, with the true video as the example.

A study has two lists of trials per pair of systems; participant n gets list n. Over all lists each pair is equally
often at each place in the order, and of each pair either system is equally often left: lists 2i and 2i + 1 differ in
nothing but the side. In one list, sides of a pair, pairs and clips are as even as the number of trials lets them be.
"""

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence

TRIALS = 21
PRACTICE = 5
CHECKS = 2
COUNTED = TRIALS - PRACTICE - CHECKS
QUESTIONS = ("sync", "material")
# Folders of results that are no systems to compare unless asked for: the true sound, none, and the examples.
TRUE, SILENT, EXAMPLES = "oracle", "silence", "examples"
Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Trial:
  """What is shown together.

  Attributes:
    kind: "practice", "check" or "counted".
    clip: name of the query.
    left, right: systems.
  """

  kind: str
  clip: str
  left: str
  right: str

  @property
  def example(self) -> str:
    """The folder of its example; the true video of a check makes both of its answers obvious."""
    return TRUE if self.kind == "check" else EXAMPLES

  def mirrored(self) -> "Trial":
    """The same with the sides swapped."""
    return dataclasses.replace(self, left=self.right, right=self.left)


@dataclasses.dataclass(frozen=True)
class Clips:
  """Names of the queries of each kind of trial."""

  practice: Sequence[str]
  checks: Sequence[str]
  counted: Sequence[str]


def pairs_of(systems: Sequence[str], reference: str | None) -> list[Pair]:
  """The reference with each other system, or without one all pairs; the first of a pair is what the second is against.

  Raises:
    ValueError: there is no pair.
  """
  if reference is None:
    pairs = list(itertools.combinations(sorted(systems), 2))
  else:
    pairs = [(reference, other) for other in sorted(systems) if other != reference]
  if not pairs:
    raise ValueError("a study compares two systems or more")
  return pairs


def make_lists(pairs: Sequence[Pair], clips: Clips, seed: int) -> list[list[Trial]]:
  """2 x len(pairs) lists of `TRIALS` trials, the practice first; the same seed gives the same lists.

  Raises:
    ValueError: a kind of trial has no clips.
  """
  if not (pairs and clips.practice and clips.checks and clips.counted):
    raise ValueError("a study needs a pair of systems and clips for each kind of trial")
  rng = random.Random(seed)
  pairs = _shuffled(pairs, rng)
  # Place i has pair steps[i] + k in list k: over the lists each pair once, and not always after the same other.
  practice_steps = _shuffled(range(PRACTICE), rng)
  counted_steps = _shuffled(range(COUNTED), rng)
  # One check in either half, at the same places in every list, so that the others keep theirs.
  places = [rng.randrange(1, COUNTED // 2), rng.randrange(COUNTED // 2 + 1, COUNTED)]
  practice_deck, counted_deck = _deck(clips.practice, rng), _deck(clips.counted, rng)
  lists = []
  for k in range(len(pairs)):
    trials = _compare("counted", pairs, [step + k for step in counted_steps], next(counted_deck), rng)
    for place, check in reversed(list(zip(places, _checks(clips.checks, rng), strict=True))):
      trials.insert(place, check)
    trials = _compare("practice", pairs, [step + k for step in practice_steps], next(practice_deck), rng) + trials
    lists += [trials, [trial.mirrored() for trial in trials]]
  return lists


def digest(trials: Iterable[Trial]) -> str:
  """A hash of what a list asks, by which a file of answers is known to be of it."""
  return hashlib.sha256(json.dumps([dataclasses.astuple(t) for t in trials]).encode()).hexdigest()


def _compare(
  kind: str, pairs: Sequence[Pair], steps: Sequence[int], clips: Sequence[str], rng: random.Random
) -> list[Trial]:
  """One trial per step; of each pair, and of all, the first system is left in half of them, give or take one."""
  chosen = [step % len(pairs) for step in steps]
  # One side after the other, from pair to pair, in an order that a participant cannot see.
  order = sorted(range(len(steps)), key=lambda i: (chosen[i], rng.random()))
  start = rng.randrange(2)
  left = {place: (start + count) % 2 for count, place in enumerate(order)}
  trials = []
  for i, pair in enumerate(chosen):
    a, b = pairs[pair]
    trial = Trial(kind, clips[i], a, b)
    trials.append(trial if left[i] else trial.mirrored())
  return trials


def _checks(clips: Sequence[str], rng: random.Random) -> list[Trial]:
  """`CHECKS` trials with an obvious answer, which is left in one half of them and right in the other."""
  trials = [Trial("check", clips[i % len(clips)], TRUE, SILENT) for i in range(CHECKS)]
  return [trial if i % 2 else trial.mirrored() for i, trial in enumerate(trials, rng.randrange(2))]


def _deck(clips: Sequence[str], rng: random.Random) -> Iterator[list[str]]:
  """Hands of `COUNTED` clips, each clip as often as any other, and twice in a hand only if there are too few."""
  rest: list[str] = []
  while True:
    hand: list[str] = []
    while len(hand) < COUNTED:
      if not rest:
        fresh = _shuffled(clips, rng)
        rest = [c for c in fresh if c not in hand] + [c for c in fresh if c in hand]
      hand.append(rest.pop(0))
    yield hand


def _shuffled(items: Sequence, rng: random.Random) -> list:
  return rng.sample(list(items), len(items))
