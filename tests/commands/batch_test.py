"""`condfoley generate --batch`: rows as each alone, resumed, failing alone."""

import contextlib
import csv
import errno
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from condfoley_jax import cli
from condfoley_jax.commands import batch, batch_summary, maker, output
from condfoley_jax.commands.jobs import Row
from condfoley_jax.commands.settings import Settings
from condfoley_jax.sampling import program
from data_pipelines import lock
from data_pipelines.errors import InputError


def write_table(path, rows, columns=("query", "example", "example_start", "seed", "name")):
  with path.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerows([columns, *rows])


@pytest.fixture(scope="module")
def generate(small_weights):
  """Runs a batch with small weights and gives its exit code."""
  return lambda table, out, *words: cli.main(
    ["generate", "--batch", str(table), "--out", str(out), f"--weights={small_weights}", *words]
  )


def summary(out):
  with (out / batch_summary.FILE).open(newline="") as file:
    return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(videos, generate, tmp_path_factory):
  """A table of three rows, one of which cannot be read, and what was made of it."""
  folder = tmp_path_factory.mktemp("batch")
  for i, video in enumerate(videos[:3]):
    shutil.copy(video, folder / f"{i}.mp4")
  (folder / "bad.mp4").write_bytes(b"no video")
  rows = [["0.mp4", "1.mp4", "0.5", "7", "first"], ["bad.mp4", "1.mp4", "", "", ""], ["2.mp4", "0.mp4", "", "", ""]]
  write_table(folder / "jobs.csv", rows)
  code = generate(folder / "jobs.csv", folder / "out", "--candidates", "2")
  return folder, code


def test_a_row_that_cannot_be_read_fails_alone(made, capsys):
  folder, code = made
  assert code == 2
  rows = summary(folder / "out")
  assert [(r["name"], r["status"]) for r in rows] == [("first", "made"), ("00002-bad", "failed"), ("00003-2", "made")]
  assert "bad.mp4" in rows[1]["message"] and not (folder / "out" / "00002-bad").exists()
  assert (folder / "out" / "00003-2" / "soundtrack.mp4").exists()


@pytest.mark.slow
def test_a_row_is_what_it_is_alone(made, small_weights, tmp_path):
  folder, _ = made
  words = ["--example", str(folder / "1.mp4"), "--example-start", "0.5", "--seed", "7", "--candidates", "2"]
  words += [f"--weights={small_weights}", "--out", str(tmp_path / "o")]
  assert cli.main(["generate", str(folder / "0.mp4"), *words]) == 0
  alone, together = (
    json.loads((f / "generation.json").read_text()) for f in (tmp_path / "o", folder / "out" / "first")
  )
  assert alone["settings"] == together["settings"]
  for one, other in zip(*(sorted(x["takes"], key=lambda take: take["seed"]) for x in (alone, together)), strict=True):
    assert (one["seed"], one["onsets_s"]) == (other["seed"], other["onsets_s"])
    for ours, theirs in zip(one["segments"], other["segments"], strict=True):
      assert ours == pytest.approx(theirs, abs=1e-4)
  for name in ("01.wav", "02.wav"):
    ours, other = (soundfile.read(f / "takes" / name)[0] for f in (tmp_path / "o", folder / "out" / "first"))
    np.testing.assert_allclose(ours, other, atol=1e-4)


def test_shares_of_a_batch_make_each_row_once_and_one_summary(made, generate, tmp_path, capsys):
  folder = made[0]
  with lock.locked(tmp_path, shared=True):  # As another share does that is at work.
    parts = [generate(folder / "jobs.csv", tmp_path, "--candidates", "2", f"--shard={i}/2") for i in (2, 1)]
  assert parts == [2, 0]
  assert f"1 of 1 rows could not be made; {tmp_path / 'summary.csv'} says why" in capsys.readouterr().err
  whole = (folder / "out" / "summary.csv").read_text()
  assert (tmp_path / "summary.csv").read_text() == whole
  assert sorted(p.name for p in tmp_path.iterdir()) == ["00003-2", "first", "shards", "summary.csv"]
  for name in ("first", "00003-2"):
    one, other = ((out / name / "takes" / "01.wav").read_bytes() for out in (tmp_path, folder / "out"))
    assert one == other


def test_a_summary_has_what_another_share_wrote_meanwhile(tmp_path, monkeypatch):
  rows = [Row(name, tmp_path / "q.mp4", Settings()) for name in "abcd"]
  one, two = (batch_summary.Summary(tmp_path, rows, batch.Shard(i, 2)) for i in range(2))
  made = lambda names: {name: {"status": "made", "seed": 0} for name in names}
  replace, others = os.replace, [lambda: two.write(made("bd"))]

  def meanwhile(source, target):
    # Just before the first share's summary of all is replaced, the other share ends.
    if target == tmp_path / "summary.csv" and others:
      others.pop()()
    replace(source, target)

  monkeypatch.setattr(os, "replace", meanwhile)
  one.write(made("ac"))
  assert [(row["name"], row["status"]) for row in summary(tmp_path)] == [(name, "made") for name in "abcd"]
  assert sorted(path.name for path in tmp_path.iterdir()) == ["shards", "summary.csv"]


def test_two_runs_of_one_share_are_one_too_many(made, generate, tmp_path, capsys):
  place = batch.Shard(0, 2).place(tmp_path)
  place.mkdir(parents=True)
  with lock.locked(place):
    assert generate(made[0] / "jobs.csv", tmp_path, "--shard=1/2") == 2
  assert "another run is at work here" in capsys.readouterr().err


def test_shares_are_not_made_beside_those_of_another_number_of_shares(made, generate, tmp_path, capsys):
  place = batch.Shard(2, 3).place(tmp_path)
  place.mkdir(parents=True)
  with lock.locked(place):
    assert generate(made[0] / "jobs.csv", tmp_path, "--shard=1/2") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{place}: another run is at work here" in line and [p.name for p in place.parent.iterdir()] == [place.name]


def test_shares_are_not_made_beside_the_whole(made, generate, tmp_path, capsys):
  with lock.locked(tmp_path):
    assert generate(made[0] / "jobs.csv", tmp_path, "--shard=1/2") == 2
  with lock.locked(tmp_path, shared=True):
    assert generate(made[0] / "jobs.csv", tmp_path) == 2
  told = f"{tmp_path}: another run is at work here"
  assert [told in line for line in capsys.readouterr().err.splitlines()] == [True, True]
  assert list(tmp_path.iterdir()) == []


def test_a_row_in_whose_folder_another_command_is_at_work_fails_alone(made, generate, plain_pictures, tmp_path):
  folder, out = made[0], tmp_path / "out"
  write_table(folder / "two.csv", [["0.mp4", "1.mp4", "", "", "taken"], ["2.mp4", "0.mp4", "", "", "free"]])
  (out / "taken").mkdir(parents=True)
  with lock.locked(out / "taken"):
    assert generate(folder / "two.csv", out, "--candidates", "2") == 2
  taken, free = summary(out)
  assert taken["status"] == "failed" and f"{out / 'taken'}: another run is at work here" in taken["message"]
  assert free["status"] == "made" and list((out / "taken").iterdir()) == []


def test_what_is_made_is_not_made_again_and_what_has_changed_is(made, generate, monkeypatch, capsys):
  folder, _ = made
  before = {p: p.stat().st_mtime_ns for p in (folder / "out").glob("*/generation.json")}
  assert generate(folder / "jobs.csv", folder / "out", "--candidates", "2") == 2
  assert {p: p.stat().st_mtime_ns for p in before} == before
  assert (
    capsys.readouterr()
    .err.splitlines()[-1]
    .endswith(f"1 of 3 rows could not be made; {folder / 'out' / batch_summary.FILE} says why")
  )
  assert [r["status"] for r in summary(folder / "out")] == ["made", "failed", "made"]
  calls = []
  monkeypatch.setattr(program, "make_takes", lambda *_, **__: calls.append(1) or pytest.skip("sampled again"))
  with pytest.raises(pytest.skip.Exception):
    generate(folder / "jobs.csv", folder / "out", "--candidates", "2", "--seed", "1", "--force")
  assert calls


def test_an_earlier_result_of_other_settings_is_kept_without_force(made, generate, tmp_path):
  folder = shutil.copytree(made[0], tmp_path / "moved")
  before = (folder / "out" / "first" / "generation.json").read_bytes()
  assert generate(folder / "jobs.csv", folder / "out", "--candidates", "1") == 2
  assert (folder / "out" / "first" / "generation.json").read_bytes() == before
  told = summary(folder / "out")
  assert [row["status"] for row in told] == ["failed"] * 3 and "--force" in told[0]["message"]


@pytest.mark.parametrize(
  ("part", "change"),
  [
    (None, {}),
    ("settings", {"top_k": 5}),
    ("settings", {"tau_s": 0.2}),
    ("settings", {"guidance": 2.0}),
    ("example", {"chosen_start_s": 0.5}),
  ],
)
def test_what_was_made_with_a_setting_that_is_not_given_now_is_made_again(
  made, generate, tmp_path, monkeypatch, part, change
):
  """With a setting that is not given now, too. A folder that has moved with its inputs is not."""
  folder = shutil.copytree(made[0], tmp_path / "moved")
  path = folder / "out" / "00003-2" / "generation.json"
  record = json.loads(path.read_text())
  {None: {}, "settings": record["settings"], "example": record["inputs"]["example"]}[part].update(change)
  path.write_text(json.dumps(record))
  rows = []
  monkeypatch.setattr(program, "make_takes", lambda _, jobs, *__, **___: rows.append(len(jobs.seeds)) or 1 / 0)
  with contextlib.suppress(ZeroDivisionError):
    generate(folder / "jobs.csv", folder / "out", "--candidates", "2", "--force")
  assert rows == ([1] if part else [])


def test_a_result_that_cannot_be_written_fails_alone(made, generate, tmp_path):
  folder, _ = made
  (tmp_path / "out" / "first").mkdir(parents=True)
  (tmp_path / "out" / "first" / "soundtrack.mp4").write_text("mine")
  assert generate(folder / "jobs.csv", tmp_path / "out", "--candidates", "2") == 2
  assert [r["status"] for r in summary(tmp_path / "out")] == ["failed", "failed", "made"]
  assert (tmp_path / "out" / "first" / "soundtrack.mp4").read_text() == "mine"


@pytest.mark.parametrize(
  ("text", "told"),
  [
    ("query\nq.mp4\n", "no column `example`"),
    ("query,example,colour\nq,e,c\n", "column `colour` is none of"),
    ("query,example\n", "has no rows"),
    ("query,example\nq.mp4\n", "row 1 has more or fewer cells"),
    ("query,example\nq.mp4,\n", "row 1 lacks a query or an example"),
    ("query,example,seed\nq.mp4,e.mp4,x\n", "row 1: seed `x` is no number"),
    (f"query,example,seed\nq.mp4,e.mp4,{'9' * 5000}\n", f"seed `{'9' * 60}...` is no number"),
    ("query,example,seed\nq.mp4,e.mp4,-1\n", "row 1: seed must be in 0..2^32-1"),
    ("query,example,example_start\nq.mp4,e.mp4,nan\n", "row 1: example_start `nan` is no number"),
    ("query,example,example_start\nq.mp4,e.mp4,-1\n", "row 1: example_start must be 0 or more"),
    ("query,example,name\nq.mp4,e.mp4,../x\n", "`../x` cannot be the name of a result's folder"),
    ("query,example,name\nq.mp4,e.mp4,a\nq.mp4,e.mp4,a\n", "two rows are called `a`"),
    ("query,example,name\nq.mp4,e.mp4,a\nq.mp4,e.mp4,A\n", "two rows are called `a`"),
    ("query,example\n\0\n", "holds zero bytes"),
    ("query,example,seed,seed\nq,e,1,2\n", "names a column twice"),
    ("query,example,name\nq,e,.partial-1\n", "`.partial-1` cannot be the name"),
    ("query,example,name\nq,e,Summary.CSV\n", "`Summary.CSV` cannot be the name"),
    (f"query,example,name\nq,e,{'ä' * 128}\n", f"`{'ä' * 60}...` cannot be the name"),
    (f"query,example\n{'q' * 251}.mp4,e\n", "give the row another one as `name`"),
  ],
)
def test_a_table_that_is_none_is_one_line(generate, tmp_path, capsys, text, told):
  (tmp_path / "jobs.csv").write_text(text)
  assert generate(tmp_path / "jobs.csv", tmp_path / "out") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert told in line
  assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_row_that_fails_while_it_is_made_fails_alone(videos, generate, tmp_path, monkeypatch):
  """As one does that is long, whose pictures are read meanwhile."""
  long = {"query": str(videos[0]), "example": [f"{videos[1]}@0-1", f"{videos[2]}@1-"], "name": "long"}
  rows = [long, {"query": str(videos[2]), "example": str(videos[0]), "name": "short"}]
  (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))

  def unreadable(self, request):
    raise InputError(f"{request.query}: most of its pictures cannot be decoded")

  monkeypatch.setattr(maker.Maker, "_make_alone", unreadable)
  assert generate(tmp_path / "jobs.jsonl", tmp_path / "out") == 2
  told = {row["name"]: (row["status"], row["message"]) for row in summary(tmp_path / "out")}
  assert told == {
    "long": ("failed", f"{videos[0]}: most of its pictures cannot be decoded"),
    "short": ("made", ""),
  }
  assert not (tmp_path / "out" / "long").exists()


@pytest.mark.slow
def test_a_row_that_cannot_be_looked_at_fails_alone(videos, generate, tmp_path, monkeypatch):
  write_table(tmp_path / "jobs.csv", [[videos[0], videos[1], "", "", name] for name in ("shut", "open")])
  record, shut = output._record, lambda out: out.name == "shut"

  def refused(out):
    if shut(out):
      raise PermissionError(13, "Permission denied", str(out / "takes"))
    return record(out)

  monkeypatch.setattr(output, "_record", refused)
  assert generate(tmp_path / "jobs.csv", tmp_path / "out") == 2
  assert [row["status"] for row in summary(tmp_path / "out")] == ["failed", "made"]


@pytest.mark.parametrize("told", [True, False])
def test_a_row_that_a_failing_disk_keeps_from_being_made_is_no_wrong_use(generate, tmp_path, monkeypatch, capsys, told):
  """A launcher tries again what ends with 1, and nothing that ends with 2."""

  def failing(self, query, settings):
    if query.name == "bad.mp4":
      raise InputError(f"{query}: empty file")
    error = OSError(errno.EIO, "Input/output error", str(query))
    if told:
      raise InputError(f"{query}: Input/output error; run this again") from error
    raise error

  monkeypatch.setattr(maker.Maker, "read", failing)
  write_table(tmp_path / "jobs.csv", [[name, "e.mp4", "", "", ""] for name in ("bad.mp4", "good.mp4", "bad.mp4")])
  for words in ([], ["--dry-run"]):
    assert generate(tmp_path / "jobs.csv", tmp_path / "out", *words) == 1
  assert "3 of 3 rows" in capsys.readouterr().err.splitlines()[-1]
  assert [row["message"].endswith("; run this again") for row in summary(tmp_path / "out")] == [False, True, False]


def test_it_is_shown_how_many_earlier_results_were_looked_at(generate, tmp_path, monkeypatch):
  shown = []
  monkeypatch.setattr(batch.Bar, "show", lambda self, done, total: shown.append((done, total)))
  write_table(tmp_path / "jobs.csv", [["q.mp4", "e.mp4", "", "", ""]] * 2)
  assert generate(tmp_path / "jobs.csv", tmp_path / "out") == 2
  assert shown == [(1, 2), (2, 2)]


def test_a_summary_that_comes_while_a_batch_is_at_work_is_kept(videos, generate, tmp_path, monkeypatch, capsys):
  write_table(tmp_path / "jobs.csv", [[videos[0], videos[1], "", "", "a"]])
  write, out = output.write, tmp_path / "out"

  def meanwhile(*args, **kwargs):
    (out / batch_summary.FILE).write_text("mine")
    return write(*args, **kwargs)

  monkeypatch.setattr(output, "write", meanwhile)
  assert generate(tmp_path / "jobs.csv", out) == 2
  assert "no batch wrote it" in capsys.readouterr().err and (out / batch_summary.FILE).read_text() == "mine"


@pytest.mark.parametrize("text", ["mine\n", "name,query\n", None])
def test_a_summary_that_is_the_users_is_kept(text, generate, tmp_path, capsys):
  table = tmp_path / ("jobs.csv" if text else batch_summary.FILE)
  table.write_text("query,example\nq.mp4,e.mp4\n")
  if text:
    (tmp_path / batch_summary.FILE).write_text(text)
  before = (tmp_path / batch_summary.FILE).read_text()
  for words in ([], ["--dry-run"]):
    assert generate(table, tmp_path, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no batch wrote it" in line and (tmp_path / batch_summary.FILE).read_text() == before


def test_a_summary_that_is_no_file_is_kept(generate, tmp_path, capsys):
  (tmp_path / "jobs.csv").write_text("query,example\nq.mp4,e.mp4\n")
  summary_path = tmp_path / batch_summary.FILE
  for make in (lambda: summary_path.symlink_to("elsewhere"), lambda: os.mkfifo(summary_path), summary_path.mkdir):
    make()
    assert generate(tmp_path / "jobs.csv", tmp_path) == 2
    assert "no batch wrote it" in capsys.readouterr().err
    summary_path.rmdir() if summary_path.is_dir() else summary_path.unlink()


def test_rows_whose_names_no_system_takes_fail_alone(videos, generate, tmp_path, capsys):
  long = "x" * 300 + ".mp4"
  write_table(tmp_path / "jobs.csv", [[long, videos[0], "", "", "long"], [videos[0], long, "", "", "example"]])
  assert generate(tmp_path / "jobs.csv", tmp_path / "out") == 2
  assert [row["status"] for row in summary(tmp_path / "out")] == ["failed", "failed"]
  assert generate(tmp_path / "jobs.csv", tmp_path / "out", "--dry-run") == 2
  told = capsys.readouterr().err.splitlines()
  assert len(told) == 4 and "2 of 2 rows cannot be made" in told[-1]


@pytest.mark.slow
def test_a_row_whose_files_are_gone_or_empty_is_made_again(made, generate):
  folder, _ = made
  wav, report = (folder / "out" / "first" / name for name in ("takes/02.wav", "report.html"))
  for damage in (wav.unlink, lambda: report.write_text("")):
    damage()
    generate(folder / "jobs.csv", folder / "out", "--candidates", "2", "--force")
    assert wav.exists() and report.stat().st_size


@pytest.mark.slow
def test_a_made_row_whose_input_cannot_be_had_any_more_fails_alone(videos, generate, tmp_path):
  for i, video in enumerate(videos[:2]):
    shutil.copy(video, tmp_path / f"{i}.mp4")
  table, out = tmp_path / "jobs.csv", tmp_path / "out"
  write_table(table, [["0.mp4", "1.mp4", "", "", "a"]])
  assert generate(table, out) == 0
  (tmp_path / "0.mp4").rename(tmp_path / "2.mp4")
  write_table(table, [["x" * 300, "1.mp4", "", "", "a"], ["2.mp4", "1.mp4", "", "", "b"]])
  assert generate(table, out) == 2
  assert [row["status"] for row in summary(out)] == ["failed", "made"]


def test_groups_are_no_larger_than_a_call(generate, monkeypatch, videos, tmp_path, small_weights):
  made = batch._Batch([], tmp_path, Settings(candidates=3), small_weights, False, None)
  for fitting, rows in ((128, 32), (16, 4), (2, 1)):
    monkeypatch.setattr(type(made._maker.generator), "at_once", lambda self, frames, fitting=fitting: fitting)
    assert made._at_once(30) == rows


@pytest.mark.parametrize(
  ("words", "told"),
  [
    (["q.mp4", "--batch", "j.csv"], "--batch goes without QUERY"),
    (["--batch", "j.csv", "--example", "e.mp4"], "--batch goes without QUERY"),
    (["q.mp4"], "name a QUERY and its --example"),
    ([], "name a QUERY and its --example"),
    (["q.mp4", "--example", "e.mp4", "--shard", "1/2"], "--shard goes with --batch"),
    (["--batch", "j.csv", "--shard", "3/2"], "`3/2` is no share; give K/N, K from 1 to N"),
    (["--batch", "j.csv", "--shard", "2"], "`2` is no share"),
  ],
)
def test_a_batch_or_one(capsys, tmp_path, words, told):
  with pytest.raises(SystemExit) as raised:
    cli.main(["generate", *words, "--out", str(tmp_path / "o")])
  assert raised.value.code == 2 and told in capsys.readouterr().err
