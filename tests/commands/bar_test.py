"""What is shown on a terminal while a command works."""

import io
import re

from rich.console import Console

from condfoley_jax.commands import bar
from condfoley_jax.commands.generation import timed


def test_a_bar_is_shown_below_the_stage_it_belongs_to(monkeypatch):
  shown = io.StringIO()
  monkeypatch.setattr(bar, "CONSOLE", Console(file=shown, force_terminal=True, color_system=None, width=80))
  with timed("sample", {}), bar.Bar("stretches") as stretches:
    stretches.show(3, 4)
    stretches.refresh()
  assert re.search(r"sample \.\.\.[^\n]*\n[^\n]*stretches[^\n]*75%", shown.getvalue())
