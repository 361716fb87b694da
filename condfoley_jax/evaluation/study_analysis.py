"""What the answers of a study say: how often each system is preferred, and how well participants agree."""

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from condfoley_jax.evaluation.study import QUESTIONS, Pair
from condfoley_jax.evaluation.study_answers import Answer, Participant
from data_pipelines.errors import InputError

_Z = 1.959963984540054  # of a normal distribution, 95 % lie within this many standard deviations


@dataclasses.dataclass(frozen=True)
class Share:
  """How often a system was preferred: `chosen` in [0, 1] of `answers` by `participants`; 95 % interval low, high."""

  chosen: float
  low: float
  high: float
  answers: int
  participants: int


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Krippendorff's alpha over `units` that two or more judged, or None where nothing can disagree."""

  alpha: float | None
  units: int


@dataclasses.dataclass(frozen=True)
class Analysis:
  """The result of a study.

  Attributes:
    study, seed, reference: of the page.
    included, excluded: names of participants who did and did not pass the attention checks.
    shares: per (system that it is against, system) and question, how often the system was preferred.
    agreement: per question.
  """

  study: str
  seed: int
  reference: str | None
  included: Sequence[str]
  excluded: Sequence[str]
  shares: Mapping[Pair, Mapping[str, Share]]
  agreement: Mapping[str, Agreement]


def analyse(participants: Sequence[Participant]) -> Analysis:
  """Counts the answers of attentive participants, less practice and checks.

  Raises:
    InputError: nobody was attentive.
  """
  attentive = [one for one in participants if one.attentive]
  if not attentive:
    remedy = "every participant misses an attention check; add answers of others"
    raise InputError(f"{participants[0].path}: {remedy}")
  first = participants[0]
  counted = [[a for a in one.answers if a.kind == "counted"] for one in attentive]
  pairs = sorted({_pair(a, first.reference) for answers in counted for a in answers})
  return Analysis(
    first.study,
    first.seed,
    first.reference,
    included=[one.name for one in attentive],
    excluded=[one.name for one in participants if not one.attentive],
    shares={pair: {q: _share_of(counted, pair, q, first.reference) for q in QUESTIONS} for pair in pairs},
    agreement={q: _agreement(counted, q, first.reference) for q in QUESTIONS},
  )


def _pair(answer: Answer, reference: str | None) -> Pair:
  """The two systems of an answer, first the one that the other is against."""
  first, second = sorted((answer.left, answer.right), key=lambda system: (system != reference, system))
  return first, second


def _share_of(counted: Iterable[Sequence[Answer]], pair: Pair, question: str, reference: str | None) -> Share:
  own = [[a.chosen[question] == pair[1] for a in answers if _pair(a, reference) == pair] for answers in counted]
  own = [answers for answers in own if answers]
  chosen, total = sum(map(sum, own)), sum(map(len, own))
  low, high = wilson(chosen / total, total / design_effect(own))
  return Share(chosen / total, low, high, total, len(own))


def wilson(share: float, n: float) -> tuple[float, float]:
  """95 % score interval of a share of `n` answers, which need not be a whole number (Wilson 1927).

  Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
  """
  middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
  half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
  return max(0.0, middle - half), min(1.0, middle + half)


def design_effect(answers: Sequence[Sequence[bool]]) -> float:
  """By how much the variance of a share grows because each participant gives several answers that are alike; >= 1.

  The variance of the share as a ratio of participants' sums (Kish, Survey Sampling, 1965) over that of independent
  answers. Wilson's interval on so many fewer answers keeps its level in clustered samples (Dean and Pagano, Evaluating
  confidence interval methods for binomial proportions in clustered surveys, J. Survey Statistics and Methodology 3,
  2015).

  Args:
    answers: per participant, whether the system was preferred; none empty. One participant, or unanimity, tells
      nothing about likeness: 1.
  """
  sums, sizes = np.array([sum(a) for a in answers], float), np.array([len(a) for a in answers], float)
  people, total = len(answers), sizes.sum()
  share = sums.sum() / total
  if people < 2 or share in (0, 1):
    return 1.0
  clustered = people / (people - 1) * np.sum((sums - share * sizes) ** 2) / total**2
  return max(1.0, float(clustered / (share * (1 - share) / total)))


def _agreement(counted: Iterable[Sequence[Answer]], question: str, reference: str | None) -> Agreement:
  units: dict[Hashable, list[bool]] = {}
  for answers in counted:
    first_of: dict[Hashable, bool] = {}
    for answer in answers:
      pair = _pair(answer, reference)
      # A study of few clips asks some things twice; one participant is one observer.
      first_of.setdefault((pair, answer.clip), answer.chosen[question] == pair[1])
    for unit, value in first_of.items():
      units.setdefault(unit, []).append(value)
  return Agreement(krippendorff_alpha(list(units.values())), sum(len(values) > 1 for values in units.values()))


def krippendorff_alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
  """Krippendorff's alpha of nominal values: 1 for agreement, 0 for chance, None where there is nothing to disagree on.

  Source: K. Krippendorff, Computing Krippendorff's alpha-reliability, 2011, for any number of observers and missing
  data.

  Args:
    units: per unit the values that observers gave it; units of fewer than two are left out.
  """
  pairable = [list(values) for values in units if len(values) > 1]
  names = sorted({value for values in pairable for value in values}, key=str)
  counts = np.array([values.count(name) for values in pairable for name in names], float)
  counts = counts.reshape(len(pairable), len(names))
  sizes, totals = counts.sum(1), counts.sum(0)
  n = totals.sum()
  expected = n**2 - np.sum(totals**2)
  if not expected:
    return None
  observed = np.sum((sizes**2 - np.sum(counts**2, 1)) / (sizes - 1))
  return float(1 - (n - 1) * observed / expected)
