"""Answers files of a study's page: read, and refused where they are of no use together."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from condfoley_jax.evaluation.study import CHECKS, COUNTED, PRACTICE, QUESTIONS, TRUE, Trial, digest
from condfoley_jax.evaluation.study_page import ANSWERS_FORMAT
from data_pipelines.errors import InputError

_KINDS = {"practice": PRACTICE, "check": CHECKS, "counted": COUNTED}


@dataclasses.dataclass(frozen=True)
class Answer:
  """One trial of one participant; `chosen` is the system chosen for each question."""

  kind: str
  clip: str
  left: str
  right: str
  chosen: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Participant:
  """What one file holds."""

  path: Path
  study: str
  seed: int
  reference: str | None
  name: str
  answers: Sequence[Answer]

  @property
  def attentive(self) -> bool:
    """Whether every question of every attention check was answered with the true sound."""
    return all(set(a.chosen.values()) == {TRUE} for a in self.answers if a.kind == "check")


def read(paths: Sequence[Path]) -> list[Participant]:
  """The participants of one study, in the order of their files.

  Raises:
    InputError: a file is missing, is no answers file, is of another study than the first or says otherwise of it, or
      is the second of a participant.
  """
  participants: dict[str, Participant] = {}
  for path in paths:
    one = _read(path)
    first = next(iter(participants.values()), one)
    if one.study != first.study:
      of = f"of study {one.study}, but {first.path} is of study {first.study}"
      raise InputError(f"{path}: {of}; analyse each study by itself")
    if (one.seed, one.reference) != (first.seed, first.reference):
      raise InputError(
        f"{path}: says another seed or reference of the study than {first.path}; leave the changed one out"
      )
    if earlier := participants.get(one.name):
      raise InputError(f"{path}: participant {one.name} answers in {earlier.path} too; keep one of the two files")
    participants[one.name] = one
  return list(participants.values())


def _read(path: Path) -> Participant:
  try:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
  except FileNotFoundError as error:
    raise InputError(f"{path}: no such file; check the path") from error
  except OSError as error:
    raise InputError(f"{path}: cannot be read ({error.strerror}); name an answers file") from error
  except (ValueError, RecursionError) as error:
    raise _no_answers(path, "not JSON") from error
  try:
    return _parse(path, content)
  except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
    raise _no_answers(path, "not what the page of a study saves") from error


def _parse(path: Path, content: dict) -> Participant:
  """Raises one of the errors that `_read` expects where something is not as the page writes it."""
  _require(content["format"] == ANSWERS_FORMAT)
  answers = [_answer(trial) for trial in content["trials"]]
  kinds = [answer.kind for answer in answers]
  _require({kind: kinds.count(kind) for kind in {*kinds, *_KINDS}} == _KINDS)
  _require(content["trials_sha256"] == digest(Trial(a.kind, a.clip, a.left, a.right) for a in answers))
  reference, name = content["reference"], content["participant"]
  _require(_is_text(content["study"]) and _is_text(name) and isinstance(content["seed"], int))
  _require(reference is None or all(reference in (a.left, a.right) for a in answers if a.kind != "check"))
  return Participant(path, content["study"], content["seed"], reference, name, answers)


def _answer(trial: dict) -> Answer:
  sides = {"left": trial["left"], "right": trial["right"]}
  _require(all(map(_is_text, (*sides.values(), trial["clip"]))) and sides["left"] != sides["right"])
  _require(trial["kind"] != "check" or TRUE in sides.values())
  return Answer(
    trial["kind"],
    trial["clip"],
    **sides,
    chosen={question: sides[trial["choices"][question]] for question in QUESTIONS},
  )


def _is_text(value: object) -> bool:
  """Whether `value` can be a name in a file that is written."""
  return isinstance(value, str) and value != "" and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _require(holds: bool) -> None:
  if not holds:
    raise ValueError


def _no_answers(path: Path, why: str) -> InputError:
  return InputError(f"{path}: {why}; save the answers from the page again, or leave the file out")
