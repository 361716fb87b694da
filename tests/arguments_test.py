"""Help: on one screen, with examples that are right, and what README and docs show.

`python -m tests.arguments_test` writes docs/commands.md anew.
"""

import argparse
import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from condfoley_jax import arguments, cli

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs" / "commands.md"
# Lines and columns of a screen.
HEIGHT, WIDTH = 40, 80
_HEAD = """# Commands

What `condfoley COMMAND --help` shows. What is written, and what each option means in full: [README](../README.md);
what can go wrong, and what is said then: [failures.md](failures.md).
"""


def parsers() -> dict[str, arguments.Parser]:
  """Every command by its words, the whole first."""
  found = {"condfoley": arguments.parser(cli._RUN)}

  def add(name: str, parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
      if isinstance(action, argparse._SubParsersAction):
        for word, one in action.choices.items():
          found[f"{name} {word}"] = one
          add(f"{name} {word}", one)

  add("condfoley", found["condfoley"])
  return found


PARSERS = parsers()


def document() -> str:
  screens = (f"\n## {name}\n```\n{parser.format_help()}```\n" for name, parser in PARSERS.items())
  return _HEAD + "".join(screens)


def commands_in(text: str) -> list[str]:
  """`condfoley ...` lines of a document's indented blocks and fences, continued lines joined."""
  lines = re.sub(r"\\\n\s*", " ", text).splitlines()
  plain = [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.startswith(("    ", "\t"))]
  return [line.removeprefix(".venv/bin/") for line in plain if re.match(r"(\.venv/bin/)?condfoley ", line)]


def parses(line: str) -> argparse.Namespace:
  words = arguments.joined(shlex.split(line.partition(" > ")[0])[1:])
  args, rest = PARSERS["condfoley"].parse_known_args(words)
  assert all(word.startswith("--config.") for word in rest), rest
  return args


@pytest.mark.parametrize("name", PARSERS)
def test_help_fits_a_screen_and_has_examples(name, capsys):
  with pytest.raises(SystemExit, match="0"):
    cli.main([*name.split()[1:], "--help"])
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) <= HEIGHT and max(map(len, lines)) <= WIDTH
  assert "examples:" in lines or name == "condfoley study"


@pytest.mark.parametrize("line", [line for parser in PARSERS.values() for line in parser.examples])
def test_examples_are_right(line):
  if not line.endswith("--help"):
    parses(line)


def test_the_document_is_what_help_shows():
  assert DOC.read_text() == document(), "run `python -m tests.arguments_test`"


@pytest.mark.parametrize(
  "path", sorted({ROOT / "README.md", *(ROOT / "docs").glob("*.md")} - {DOC}), ids=lambda p: p.name
)
def test_commands_in_documents_are_right(path):
  found = commands_in(path.read_text())
  assert found or path.name != "README.md"
  for line in found:
    with contextlib.redirect_stderr(io.StringIO()) as told:
      try:
        parses(line)
      except SystemExit:
        pytest.fail(f"{path.name}: {line}: {told.getvalue()}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command_and_option(shell, capsys):
  assert cli.main(["completion", shell]) == 0
  script = capsys.readouterr().out
  for word in ("generate", "retake", "inspect", "completion", "keep-original-audio", "example-start"):
    assert word in script


def test_a_value_that_begins_with_a_dash_is_a_value():
  words = ["generate", "q.mp4", "--example", "e.mp4", "--keep-original-audio", "-18dB", "--out", "o"]
  args = PARSERS["condfoley"].parse_args(arguments.joined(words))
  assert args.keep_original_audio == -18
  assert arguments.joined(["--", "--keep-original-audio", "-18dB"]) == ["--", "--keep-original-audio", "-18dB"]


@pytest.mark.parametrize(
  "words", [("prepare", "--verify"), ("prepare", "folder", "--out"), ("evaluate", "--out", "o", "--data")]
)
def test_data_may_lie_in_a_bucket(words):
  args = PARSERS["condfoley"].parse_args([*words, "gs://bucket/data"])
  assert str(getattr(args, words[-1].removeprefix("--"))) == "gs://bucket/data"


if __name__ == "__main__":
  DOC.write_text(document())
  sys.exit(0)
