"""How far a run is: a bar where somebody looks on, and a line for each log and evaluation."""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Teller:
  """Tells of steps up to `steps`. Nothing but lines where stderr is no terminal."""

  def __init__(self, steps: int, bar: Progress | None):
    self._steps, self._bar = steps, bar
    self._task = bar.add_task("train", total=steps, rate="") if bar else None

  def step(self, step: int) -> None:
    """So many are done."""
    if self._bar:
      speed = self._bar.tasks[0].speed
      self._bar.update(self._task, completed=step, rate=f"{speed:.3g} steps/s" if speed else "")

  def numbers(self, kind: str, step: int, values: dict[str, float]) -> None:
    """A line of numbers of one step."""
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
    left = (self._steps - step) * values.get("seconds_per_step", 0) / 60
    self.line(f"{kind} {step}/{self._steps}  {numbers}" + (f"  {left:.0f} min left" if left else ""))

  def line(self, text: str) -> None:
    """A line of text."""
    if self._bar:
      self._bar.console.print(text, markup=False, highlight=False)
    else:
      print(text, file=sys.stderr, flush=True)


class Silent(Teller):
  """Tells nothing: for all processes but the first."""

  def __init__(self):
    super().__init__(0, None)

  def line(self, text: str) -> None:
    del text


@contextlib.contextmanager
def teller(steps: int, *, lead: bool) -> Iterator[Teller]:
  """The lead process's teller, with a bar where stderr is a terminal; silent in the others."""
  console = Console(stderr=True)
  if not lead:
    yield Silent()
  elif not console.is_terminal:
    yield Teller(steps, None)
  else:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
      yield Teller(steps, bar)


class Clock:
  """Seconds per step since it was last asked."""

  def __init__(self, step: int):
    self._step, self._time = step, time.monotonic()

  def per_step(self, step: int) -> float:
    """Seconds per step from the step of the last call to `step`."""
    now = time.monotonic()
    seconds, self._step, self._time = (now - self._time) / (step - self._step), step, now
    return seconds
