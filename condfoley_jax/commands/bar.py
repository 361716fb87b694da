"""A progress bar for commands."""

from rich.console import Console
from rich.progress import Progress


class Bar(Progress):
  """A progress bar on stderr, where that is a terminal, that is told (done, total)."""

  def __init__(self, title: str):
    console = Console(stderr=True)
    super().__init__(console=console, disable=not console.is_terminal)
    self._task = self.add_task(title, total=None)

  def show(self, done: int, total: int) -> None:
    self.update(self._task, completed=done, total=total)
