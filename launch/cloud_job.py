"""What the launchers of a cloud have in common: whose a job is, how it is run and given back, how results come here."""

import abc
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_pipelines.errors import InputError
from launch import supervise
from launch.job import Job
from launch.shell import CommandFailed, Shell
from launch.supervise import Phase, State

TRIES = 5
_FETCH_S, _DELETE_S = 1800.0, 900.0


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

  @abc.abstractmethod
  def note(self) -> None:
    """Writes down here what runs."""

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
      InputError: it is still there, or nobody knows, and costs money; or it is not ours.
    """
    by_hand = f"delete it, it costs money: {shlex.join(self._delete_words)}"
    try:
      found = self.found()
    except CommandFailed as error:
      raise InputError(f"{self.job.name}: not known whether it is still there ({error}); {by_hand}") from error
    if not found:
      return
    self.require_ours(found)
    self.say(f"deleting {self.job.name}, which takes minutes and is not to be interrupted")
    try:
      self.shell(self._delete_words, seconds=_DELETE_S, tries=TRIES, final="NOT_FOUND")
    except CommandFailed as error:
      self.say(str(error))
    if self.found():
      raise InputError(f"{self.job.name}: still there; {by_hand}")

  def fetch(self) -> None:
    """Brings the results here.

    Raises:
      InputError: that fails; they stay in the bucket.
    """
    Path(self.job.result).mkdir(parents=True, exist_ok=True)
    try:
      self.shell(self._fetch_words, seconds=_FETCH_S, tries=TRIES)
    except CommandFailed as error:
      raise InputError(f"{error}; the results are in the bucket: {shlex.join(self._fetch_words)}") from error


def run_all(jobs: Sequence[CloudJob], *, delete: bool, restarts: int, look_s: float) -> int:
  """Runs jobs at the same time, looking at each every so many seconds; the highest exit code.

  Args:
    jobs: which are `supervise.Backend`s.
    delete: only what is left of them is deleted.
    restarts: as for `supervise.run`.

  Raises:
    InputError: one was lost too often, cannot be deleted, or a command failed.
  """

  def run_one(one: CloudJob) -> int:
    if delete:
      one.end()
      return 0
    one.note()
    pause = lambda: supervise.pause(look_s)
    return supervise.run(one, restarts=restarts, pause=pause, say=one.say, in_parts=one.job.in_parts)

  with ThreadPoolExecutor(len(jobs)) as pool:
    return max(pool.map(run_one, jobs))
