"""What the launchers of a cloud have in common: whose a job is, how it is run and given back, how results come here."""

import abc
import contextlib
import dataclasses
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_pipelines import claim, interrupt
from data_pipelines.errors import InputError
from launch import supervise
from launch.command import Say, TryAgain
from launch.job import LOCAL, NOTE, Job
from launch.shell import CommandFailed, Shell
from launch.supervise import Phase, State

TRIES = 5
_FETCH_S, _DELETE_S = 1800.0, 900.0
# How long another launcher of the same name is waited for: what ends it may have come just now.
_CLAIM_TRIES, _CLAIM_S = 60, 15.0


@contextlib.contextmanager
def claimed(name: str, say: Say) -> Iterator[None]:
  """Has the folder of a launch to itself during the block; waits for one that is still giving machines back.

  Raises:
    InputError: another one has it for long.
  """
  with contextlib.ExitStack() as stack:
    for left in range(_CLAIM_TRIES, -1, -1):
      try:
        stack.enter_context(claim.claimed(LOCAL / name))
        break
      except InputError:
        if not left:
          raise
      if left == _CLAIM_TRIES:
        minutes = _CLAIM_TRIES * _CLAIM_S / 60
        say(f"another launcher of {name} is at work; waits {minutes:g} minutes at most for its end")
      supervise.pause(_CLAIM_S)
    yield


class CloudJob(abc.ABC):
  """A job in a cloud, known again by its name and a label; part of a `supervise.Backend`.

  Args:
    job: what is run.
    fetch_words: the command that brings its results here.
    delete_words: the command that deletes what was made for it.
    kind: what is made for it, in words.
    shell: runs commands.
    say: is told what happens.
    any_commit: whether what another commit or command of this name has left counts as this job's.
  """

  def __init__(
    self,
    job: Job,
    fetch_words: Sequence[str],
    delete_words: Sequence[str],
    kind: str,
    shell: Shell,
    say: Callable[[str], None],
    *,
    any_commit: bool,
  ):
    self.job, self.shell, self.say = job, shell, say
    self._fetch_words, self._delete_words, self._kind, self._any_commit = fetch_words, delete_words, kind, any_commit

  def note(self) -> None:
    """Writes down here what runs: of the shares of a table `job.left` knows by it which there were."""
    described = json.dumps(dataclasses.asdict(self.job), indent=1) + "\n"
    interrupt.write_together(self.job.local, {NOTE: described})

  @abc.abstractmethod
  def found(self) -> Mapping | None:
    """What the cloud says of it; None if it is not there. Raises CommandFailed where the cloud does not answer."""

  @abc.abstractmethod
  def look(self, found: Mapping) -> State:
    """How the job is, of which the cloud says this."""

  @abc.abstractmethod
  def labels(self, found: Mapping) -> set[str | None]:
    """The label of each of its parts; None of one that has none."""

  def state(self) -> State:
    """How the job is.

    Raises:
      InputError: by `look`.
    """
    try:
      found = self.found()
    except CommandFailed as error:
      # The job does not need us: there is no hurry.
      return State(Phase.WAITING, told=str(error))
    return self.look(found) if found else State(Phase.LOST, told=f"{self.job.name} is gone")

  def require_ours(self, found: Mapping) -> None:
    """Raises InputError where something of this name is not this job's."""
    labels = self.labels(found) or {None}
    if None in labels:
      raise InputError(f"{self.job.name}: a {self._kind} that no launch made has this name; choose another --name")
    if labels != {self.job.id} and not self._any_commit:
      raise InputError(f"{self.job.name}: another command or commit of this name is there; --delete it, or rename this")

  def end(self) -> None:
    """Deletes what was made for the job.

    Raises:
      TryAgain: it is still there, or nobody knows, and costs money.
      InputError: it is not ours.
    """
    by_hand = f"delete it, it costs money: {shlex.join(self._delete_words)}"
    try:
      found = self.found()
      if not found:
        self.say(f"nothing of {self.job.name} is there")
        return
      self.require_ours(found)
      self._delete()
      left = self.found()
    except CommandFailed as error:
      raise TryAgain(f"{self.job.name}: not known whether it is still there ({error}); {by_hand}") from error
    if left:
      raise TryAgain(f"{self.job.name}: still there; {by_hand}")
    self.say(f"{self.job.name} is deleted")

  def _delete(self) -> None:
    self.say(f"deleting {self.job.name}, which takes minutes and is not to be interrupted")
    try:
      self.shell(self._delete_words, seconds=_DELETE_S, tries=TRIES, final="NOT_FOUND")
    except CommandFailed as error:
      self.say(str(error))

  def fetch(self) -> None:
    """Brings the results here.

    Raises:
      TryAgain: that fails; they stay in the bucket.
    """
    Path(self.job.result).mkdir(parents=True, exist_ok=True)
    try:
      self.shell(self._fetch_words, seconds=_FETCH_S, tries=TRIES)
    except CommandFailed as error:
      raise TryAgain(f"{error}; the results are in the bucket: {shlex.join(self._fetch_words)}") from error


def run_all(jobs: Sequence[CloudJob], *, restarts: int, look_s: float) -> int:
  """Runs the shares of a job at the same time, looking at each every so many seconds, and brings their results here.

  Args:
    jobs: which are `supervise.Backend`s.
    restarts: as for `supervise.run`.

  Returns:
    The highest exit code.

  Raises:
    InputError: of all that went wrong: some were lost too often, cannot be deleted, or a command failed. TryAgain where
      another start may mend it.
    Interrupted: a signal came, and what was made is deleted.
  """

  def run_one(one: CloudJob) -> int:
    return supervise.run(one, restarts=restarts, pause=lambda: supervise.pause(look_s), say=one.say)

  for one in jobs:
    one.note()
  codes, failure = _of_each(run_one, jobs)
  try:
    interrupt.check()
    _fetch(jobs[0], whole=not failure and not any(codes))
  finally:
    # What is still there costs money: a signal does not hide it.
    if failure:
      raise failure
  return max(codes)


def delete_all(jobs: Sequence[CloudJob]) -> None:
  """Deletes what earlier launches have left of jobs.

  Raises:
    InputError: as `CloudJob.end`, of all that cannot be deleted.
  """

  def end_one(one: CloudJob) -> int:
    with interrupt.patient():
      one.end()
    return 0

  _, failure = _of_each(end_one, jobs)
  if failure:
    raise failure


def _of_each(work: Callable[[CloudJob], int], jobs: Sequence[CloudJob]) -> tuple[list[int], InputError | None]:
  """(exit codes of those that came to an end, all errors as one); of several jobs each error is told at once too."""

  def work_on(one: CloudJob) -> int:
    try:
      return work(one)
    except InputError as error:
      if len(jobs) > 1:
        one.say(str(error))
      raise

  # However many signals come, and whatever a thread is at: what it has made is deleted.
  with interrupt.patient(), ThreadPoolExecutor(len(jobs)) as pool:
    runs = [pool.submit(work_on, one) for one in jobs]
  errors = [error for run in runs if (error := run.exception())]
  for error in errors:
    if not isinstance(error, InputError | interrupt.Interrupted):
      raise error
  failure = _joined([error for error in errors if isinstance(error, InputError)])
  return [run.result() for run in runs if not run.exception()], failure


def _joined(errors: Sequence[InputError]) -> InputError | None:
  if len(errors) < 2:
    return errors[0] if errors else None
  kind = TryAgain if all(isinstance(error, TryAgain) for error in errors) else InputError
  return kind("; ".join(map(str, errors)))


def _fetch(one: CloudJob, *, whole: bool) -> None:
  """Brings the results here, which all shares have in one folder: of a job that failed those that there may be."""
  if whole:
    one.fetch()
  elif one.job.in_parts:
    try:
      one.fetch()
    except TryAgain as error:
      one.say(str(error))
