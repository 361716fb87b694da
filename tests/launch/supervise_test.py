"""How often a job is begun again, and after what pause."""

import pytest

from data_pipelines.errors import InputError
from launch import supervise
from launch.command import TryAgain
from launch.supervise import Phase, Refused, State

RUNNING, LOST = State(Phase.RUNNING), State(Phase.LOST, told="gone")


class Scripted:
  """A job of which each start goes as a list says: its states, or that it is refused."""

  def __init__(self, *starts):
    self.starts, self.ended, self.pauses = list(starts), 0, [0]

  def begin(self):
    self.states = self.starts.pop(0)
    if self.states is None:
      raise Refused("none left")

  def state(self):
    return self.states.pop(0)

  def end(self):
    self.ended += 1
    self.pauses.append(0)

  def pause(self):
    self.pauses[-1] += 1


def run(job, **settings):
  return supervise.run(job, pause=job.pause, say=lambda _: None, **settings)


def test_it_is_begun_again_after_pauses_that_grow_until_it_ran():
  job = Scripted(None, [LOST], None, None, None, None, [RUNNING, LOST], None, [State(Phase.ENDED, 0)])
  assert run(job, restarts=20) == 0
  # One of those of the start that ran is between two looks.
  assert job.pauses == [0, 1, 3, 7, 15, 20, 20 + 1, 0, 1, 0] and job.ended == 9


def test_machines_that_are_never_to_be_had_are_given_up():
  job = Scripted(*[None] * 9)
  with pytest.raises(TryAgain, match="none left; it was begun 3 times"):
    run(job, restarts=2)


def test_what_a_backend_cannot_do_is_no_loss():
  job = Scripted([])
  job.begin = lambda: (_ for _ in ()).throw(InputError("not yours"))
  with pytest.raises(InputError, match="not yours"):
    run(job, restarts=2)
  assert job.ended == 1
