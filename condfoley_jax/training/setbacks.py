"""Steps in a row whose loss or gradient was not finite: when to go back, and when to give up."""

import jax

from data_pipelines.errors import InputError

_GO_BACK_AT_MOST = 3
REMEDY = "lower the learning rate or look at the data"


class Setbacks:
  """Watches a run.

  Attributes:
    limit: steps in a row that may change nothing.
  """

  def __init__(self, limit: int):
    self.limit = limit
    self._before: jax.Array | None = None
    self._gone_back = 0

  def too_many(self, skipped: jax.Array) -> bool:
    """Whether the run is to go back, by the step before: int32 `skipped` of this one need not be there yet."""
    before, self._before = self._before, skipped
    return before is not None and int(before) >= self.limit

  def go_back(self, checkpoint: int | None) -> int:
    """The step to go back to.

    Raises:
      InputError: there is none, or the run went back to it too often.
    """
    self._before = None
    self._gone_back += 1
    if checkpoint is None:
      raise InputError(f"{self.limit} steps in a row were not finite before the first checkpoint; {REMEDY}")
    if self._gone_back > _GO_BACK_AT_MOST:
      raise InputError(f"went back {_GO_BACK_AT_MOST} times to finite steps and the next were not; {REMEDY}")
    return checkpoint
