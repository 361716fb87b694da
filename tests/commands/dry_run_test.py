"""`condfoley generate --dry-run`: says what cannot be used, and makes nothing."""

import json

import pytest

from condfoley_jax import cli
from condfoley_jax.sampling.generate import Generator
from tests.commands import corpus


@pytest.fixture
def dry_run(small_weights, tmp_path):
  words = ["generate", "--dry-run", f"--weights={small_weights}", f"--out={tmp_path / 'out'}", "--candidates", "3"]
  return lambda *more: cli.main([*words, *map(str, more)])


def test_one_that_can_be_made_and_one_that_cannot(dry_run, videos, tmp_path, capsys):
  assert dry_run(videos[0], "--example", videos[1]) == 0
  assert f"{videos[0]}: can be made: 3 takes" in capsys.readouterr().out
  bad = corpus.CASES["text"].make(tmp_path)
  assert dry_run(videos[0], "--example", bad) == 2
  assert str(bad) in capsys.readouterr().err
  assert dry_run(videos[0], f"--example={videos[1]}@0-1") == 2
  assert "there is no example" in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


def test_all_rows_are_looked_at_first(dry_run, videos, tmp_path, capsys):
  names = ("text", "damaged pictures in the middle", "no bytes")
  paths = []
  for name in names:
    (tmp_path / name).mkdir()
    paths.append(corpus.CASES[name].make(tmp_path / name))
  rows = [{"query": str(path), "example": str(videos[1])} for path in [videos[0], *paths]]
  (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))
  assert dry_run("--batch", tmp_path / "jobs.jsonl") == 2
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 4
  assert f"{paths[1]}: 5 damaged packets" in lines[0]
  assert str(paths[0]) in lines[1] and str(paths[2]) in lines[2]
  assert lines[3].endswith("jobs.jsonl: 2 of 4 rows cannot be made; mend or remove them")
  assert not (tmp_path / "out").exists()


def test_all_of_a_long_query_is_read(dry_run, videos, tmp_path, capsys, monkeypatch):
  """Which else is read while it is made."""
  monkeypatch.setattr(Generator, "is_long", lambda self, frames: True)
  query = corpus.CASES["damaged pictures in the middle"].make(tmp_path)
  assert dry_run(query, "--example", videos[1]) == 0
  assert f"{query}: 5 damaged packets" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_that_are_made_are_neither_refused_nor_counted(dry_run, videos, small_weights, tmp_path, capsys):
  rows = [{"query": str(videos[i]), "example": str(videos[2]), "name": f"row {i}"} for i in range(2)]
  table = tmp_path / "jobs.jsonl"
  table.write_text(json.dumps(rows[0]))
  words = ["generate", "--batch", str(table), f"--weights={small_weights}", "--candidates", "3"]
  assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
  table.write_text("\n".join(map(json.dumps, rows)))
  capsys.readouterr()
  assert dry_run("--batch", table) == 0
  out = capsys.readouterr().out
  assert f"{table}: can be made: 3 takes, " in out and out.endswith("; 1 rows are made already\n")
