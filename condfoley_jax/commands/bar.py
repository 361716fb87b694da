"""A progress bar for commands."""

from rich.console import Console
from rich.progress import Progress

# The one of all that is shown: what is shown at the same time on two would erase each other.
CONSOLE = Console(stderr=True)


class Bar(Progress):
  """A progress bar on stderr, where that is a terminal, that is told (done, total)."""

  def __init__(self, title: str):
    super().__init__(console=CONSOLE, disable=not CONSOLE.is_terminal)
    self._task = self.add_task(title, total=None)

  def show(self, done: int, total: int) -> None:
    self.update(self._task, completed=done, total=total)
