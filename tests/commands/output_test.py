"""Where results of `condfoley generate` go: nothing of the user's is lost, and a result is whole or not there."""

import contextlib
import dataclasses
import json
import os
import re
import resource
import shlex
import shutil
import signal
import types
import urllib.parse
import weakref
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from condfoley_jax import arguments, cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import generate, generation, output, page
from condfoley_jax.commands.settings import Example
from condfoley_jax.evaluation import embed
from data_pipelines import interrupt
from tests.commands import corpus
from tests.data_pipelines.media import making

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def content(folder) -> dict[str, bytes]:
  """Every file below a folder, hidden ones too."""
  return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def one_line(capsys) -> str:
  (line,) = capsys.readouterr().err.splitlines()
  return line


@pytest.fixture
def earlier(write, tmp_path):
  """A folder with a result, and a file of the user's beside it."""
  out = tmp_path / "earlier"
  assert write(out) == 0
  (out / "mine.txt").write_text("mine")
  return out


@pytest.fixture
def nothing_is_made(monkeypatch):
  """Refusals come before anything slow."""
  monkeypatch.setattr(generate, "make", lambda *_, **__: pytest.fail("made"))


@pytest.mark.parametrize(
  "name", ["takes/song.wav", "soundtrack.mp4", "report.html", "generation.json", "report.html/x"]
)
def test_what_the_user_has_under_a_results_name_is_kept(name, write, nothing_is_made, tmp_path, capsys):
  own = tmp_path / "out" / name
  own.parent.mkdir(parents=True)
  own.write_text('{"takes": []}')
  assert write(tmp_path / "out") == 2
  assert str(tmp_path / "out" / Path(name).parts[0]) in one_line(capsys)
  assert content(tmp_path) == {f"out/{name}": b'{"takes": []}'}


@pytest.mark.parametrize("name", ["takes/song.wav", "report.html/x"])
def test_so_it_is_inside_an_earlier_result(name, write, earlier, nothing_is_made, capsys):
  own = earlier / name
  if not own.parent.is_dir():
    own.parent.unlink()
    own.parent.mkdir()
  own.write_text("own")
  before = content(earlier)
  assert write(earlier) == 2
  assert name.removesuffix("/x") in one_line(capsys)
  assert content(earlier) == before


def test_inputs_where_results_go_are_refused_and_kept(write, nothing_is_made, videos, tmp_path, capsys):
  for name in ("takes/07.mp4", "soundtrack.mp4", "report.html", "generation.json"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(videos[0], path)
    for role in ("query", "example"):
      assert write(tmp_path, **{role: path}) == 2
      assert f"{path}: would be replaced" in one_line(capsys)
    assert path.read_bytes() == videos[0].read_bytes()


def test_an_earlier_result_is_kept_without_force(write, earlier, nothing_is_made, capsys):
  before = content(earlier)
  assert write(earlier, force=False) == 2
  assert f"{earlier}: holds an earlier result; replace it with --force" in one_line(capsys)
  assert content(earlier) == before


def test_an_earlier_result_is_replaced_and_nothing_else(write, earlier, videos):
  (earlier / "takes" / ".DS_Store").touch()
  assert write(earlier, example=videos[2]) == 0
  takes = {f"takes/{number}.{kind}" for number in ("01", "02") for kind in output.KINDS}
  assert set(content(earlier)) == {"mine.txt", "generation.json", "report.html", "soundtrack.mp4", *takes}
  assert json.loads((earlier / "generation.json").read_text())["inputs"]["example"]["path"] == str(videos[2])


def test_out_that_cannot_be_is_refused_before_any_work(write, nothing_is_made, tmp_path, capsys):
  (tmp_path / "file").touch()
  (tmp_path / "dangling").symlink_to("nowhere")
  (tmp_path / "loop").symlink_to("loop")
  (tmp_path / os.fsdecode(b"bad\xff")).mkdir()
  for name in ("file", "file/below", "dangling", "dangling/below", "loop", "n" * 300):
    assert write(tmp_path / name) == 2
    assert str(tmp_path / name) in one_line(capsys)
  assert write(tmp_path / os.fsdecode(b"bad\xff")) == 2
  assert "rename" in one_line(capsys)


@pytest.mark.parametrize("role", ["query", "example"])
def test_inputs_of_odd_names_are_refused_in_one_line(role, videos, tmp_path, capsys):
  (tmp_path / "loop.mp4").symlink_to("loop.mp4")
  names = {
    "loop.mp4": "loop.mp4: no such file",
    os.fsdecode(b"bad\xff.mp4"): "rename",
    "a\nb.mp4": r"a\nb.mp4: no such",
  }
  for name, shown in names.items():
    inputs = {"query": videos[0], "example": videos[1]} | {role: tmp_path / name}
    arguments = [f"--example={inputs['example']}", f"--out={tmp_path / 'out'}", str(inputs["query"])]
    assert cli.main(["generate", *arguments]) == 2
    assert shown in one_line(capsys)
  assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def files_of_at_most(size: int):
  """Files grow no further than `size` bytes, which to a program looks like a full disk."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("full", ["takes/01.wav", "report.html"])
def test_a_full_disk_is_one_line_and_leaves_all_as_it_was(full, write, earlier, tmp_path, capsys):
  before = content(earlier)
  with files_of_at_most((earlier / full).stat().st_size - 2000):
    for out in (earlier, tmp_path / "a" / "b"):
      assert write(out) == 2
      assert f"{out}: File too large; free some room" in one_line(capsys)
  assert content(earlier) == before
  assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("failing", range(8))
def test_a_failed_move_brings_the_earlier_result_back(failing, write, earlier, videos, monkeypatch, capsys):
  before, replace, moves = content(earlier), os.replace, []

  def move(source, target):
    if earlier in (Path(source).parent, Path(target).parent):
      moves.append(target)
      if len(moves) == failing + 1:
        raise OSError(5, "Input/output error")
    replace(source, target)

  monkeypatch.setattr(os, "replace", move)
  # No wrong use: a disk that fails.
  assert write(earlier, example=videos[2]) == 1
  assert "Input/output error" in one_line(capsys)
  assert content(earlier) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_report_is_written_leaves_all_as_it_was(
  number, signals, write, earlier, videos, tmp_path, monkeypatch, capsys
):
  before = content(earlier)
  monkeypatch.setattr(page, "write", lambda *_, **__: signal.raise_signal(number))
  for out in (earlier, tmp_path / "new"):
    assert write(out, example=videos[2]) == 128 + number
    assert f"interrupted by {number.name}" in one_line(capsys)
  assert content(earlier) == before
  assert not (tmp_path / "new").exists()


def test_a_signal_between_the_moves_waits_for_the_rest(signals, write, earlier, videos, monkeypatch, capsys):
  replace = os.replace

  def interrupted(source, target):
    replace(source, target)
    if source == earlier / "generation.json":
      signal.raise_signal(signal.SIGINT)

  monkeypatch.setattr(os, "replace", interrupted)
  assert write(earlier, example=videos[2]) == 130
  assert "interrupted" in one_line(capsys)
  assert json.loads((earlier / "generation.json").read_text())["inputs"]["example"]["path"] == str(videos[2])
  assert not list(earlier.glob(".*"))


@pytest.mark.parametrize("name", ["notes.txt", ".notes.txt", "20241224.mp4", "03.wav", ".git/config", "77.wav/x"])
def test_in_takes_only_those_of_the_record_are_ours(name, write, earlier, nothing_is_made, capsys):
  path = earlier / "takes" / name
  path.parent.mkdir(exist_ok=True)
  path.write_text("mine")
  assert write(earlier) == 2 and path.read_text() == "mine"
  assert "condfoley did not make it" in one_line(capsys)


@pytest.mark.parametrize("name", ["takes/notes.txt", "soundtrack.mp4"])
def test_what_comes_while_a_run_is_at_work_is_kept(name, write, earlier, monkeypatch, tmp_path, capsys):
  out, write_page = earlier if "/" in name else tmp_path / "new", page.write

  def meanwhile(*args, **kwargs):
    (out / name).write_text("mine")
    return write_page(*args, **kwargs)

  monkeypatch.setattr(page, "write", meanwhile)
  assert write(out) == 2 and (out / name).read_text() == "mine"
  assert "condfoley did not make it" in one_line(capsys)


def test_a_result_that_comes_while_a_run_is_at_work_is_kept(write, earlier, monkeypatch, tmp_path, capsys):
  out, write_page = tmp_path / "new", page.write

  def meanwhile(*args, **kwargs):
    shutil.copytree(earlier, out, ignore=shutil.ignore_patterns("mine.txt"), dirs_exist_ok=True)
    return write_page(*args, **kwargs)

  monkeypatch.setattr(page, "write", meanwhile)
  assert write(out, force=False) == 2
  assert "holds an earlier result" in one_line(capsys)
  assert (out / "generation.json").read_bytes() == (earlier / "generation.json").read_bytes()


def test_a_file_that_comes_in_place_of_the_folder_is_kept(write, monkeypatch, tmp_path, capsys):
  out, make = tmp_path / "out", generate.make

  def then(*args, **kwargs):
    made = make(*args, **kwargs)
    out.rmdir()
    out.write_text("mine")
    return made

  monkeypatch.setattr(generate, "make", then)
  assert write(out) == 2 and out.read_text() == "mine"
  assert f"{out}: is or lies in a file; choose a folder for --out" in one_line(capsys)


@pytest.mark.parametrize(("replaced", "when"), [("query", "read"), ("example", "read"), ("query", "written")])
def test_an_input_that_changed_since_it_was_read_is_one_line(
  replaced, when, write, videos, tmp_path, monkeypatch, capsys
):
  inputs = {
    name: shutil.copy(video, tmp_path / f"{name}.mp4")
    for name, video in zip(("query", "example"), videos[:2], strict=True)
  }
  owner, name = {"read": (generate, "make"), "written": (page, "write")}[when]
  before = getattr(owner, name)

  def then(*args, **kwargs):
    made = before(*args, **kwargs)
    shutil.copy(videos[2], inputs[replaced])
    return made

  monkeypatch.setattr(owner, name, then)
  assert write(tmp_path / "out", **inputs) == 2
  assert f"{replaced}.mp4: is gone, or has changed since it was read" in one_line(capsys)
  assert not (tmp_path / "out").exists()


class _Killed(BaseException):
  """Ends a process where it stands, as kill -9 does."""


@pytest.mark.parametrize("moves", range(1, 8))
def test_a_move_that_a_kill_cut_off_is_finished_by_the_next_run(moves, write, earlier, videos, monkeypatch):
  count, replace = iter(range(1, 100)), os.replace

  def killed(source, target):
    replace(source, target)
    if Path(target).parent.name == earlier.name == "earlier" and next(count) == moves:
      raise _Killed

  with monkeypatch.context() as patched:
    patched.setattr(os, "replace", killed)
    patched.setattr(interrupt, "_remove", lambda *_: None)
    with pytest.raises(_Killed):
      write(earlier, example=videos[2])
  output.check(earlier, (), force=True)
  record = json.loads((earlier / "generation.json").read_text())
  assert record["inputs"]["example"]["path"] == str(videos[2])
  assert write(earlier) == 0
  assert not list(earlier.glob(".*")) and (earlier / "mine.txt").exists()


@pytest.mark.parametrize(
  ("moves", "name"),
  [(2, "report.html"), (3, "soundtrack.mp4"), (4, "report.html"), (6, "report.html")]
  + [(moves, "takes/notes.txt") for moves in (3, 4, 6)],
)
def test_what_comes_after_a_kill_in_the_midst_of_a_move_is_kept(
  moves, name, write, earlier, videos, monkeypatch, capsys
):
  count, replace = iter(range(1, 100)), os.replace

  def killed(source, target):
    replace(source, target)
    if Path(target).parent.name == earlier.name == "earlier" and next(count) == moves:
      raise _Killed

  with monkeypatch.context() as patched:
    patched.setattr(os, "replace", killed)
    patched.setattr(interrupt, "_remove", lambda *_: None)
    with pytest.raises(_Killed):
      write(earlier, example=videos[2])
  (earlier / name).parent.mkdir(exist_ok=True)
  (earlier / name).write_text("mine")
  capsys.readouterr()
  assert write(earlier) == 2
  assert (earlier / name).read_text() == "mine" and "condfoley did not make it" in one_line(capsys)
  (earlier / name).unlink()
  if (moves, name) == (4, "takes/notes.txt"):
    (earlier / "takes").rmdir()
  assert write(earlier) == 0


@pytest.mark.parametrize(
  "text",
  [
    "[" * 100_000,
    "{}",
    '{"settings": []}',
    '{"takes": []}',
    '{"takes": [{"seed": 1, "segments": [{}]}]}',
    *(
      json.dumps({"takes": [{"seed": 1, "segments": [{"sync_offset_s": offset, "sync_confidence": 0.5}]}] * 2})
      for offset in (10**400, float("nan"), "0.1")
    ),
  ],
)
def test_a_record_that_is_none_is_one_line(text, write, earlier, nothing_is_made, capsys):
  path = earlier / "generation.json"
  if text.startswith("{"):
    text = json.dumps(json.loads(path.read_text()) | json.loads(text) if text != "{}" else {})
  path.write_text(text)
  assert write(earlier) == 2
  assert f"{path}: condfoley did not make it, or it is damaged" in one_line(capsys)


class _Caught:
  """An object whose end calls what it is given, as libraries do: exceptions from there reach nobody."""


@pytest.mark.parametrize("then", ["end", "error"])
def test_a_signal_whose_exception_is_lost_counts_all_the_same(then, signals, write, earlier, monkeypatch, capsys):
  before, make = content(earlier), generate.make

  def making(*args, **kwargs):
    caught = _Caught()
    weakref.finalize(caught, signal.raise_signal, signal.SIGINT)
    del caught
    if then == "error":
      raise RuntimeError("INTERNAL: a callback failed")
    return make(*args, **kwargs)

  monkeypatch.setattr(generate, "make", making)
  assert write(earlier) == 130
  assert "interrupted" in one_line(capsys)
  assert content(earlier) == before


def test_media_too_large_for_the_page_are_linked_from_where_it_ends_up(write, videos, tmp_path, monkeypatch):
  monkeypatch.setattr(embed, "FILE_BYTES", 1000)
  out = tmp_path / "a" / "b"
  beside = tmp_path / "a" / "q.mp4"
  beside.parent.mkdir()
  shutil.copyfile(videos[0], beside)
  assert write(out, query=beside) == 0
  links = [urllib.parse.unquote(x) for x in re.findall(r'src="([^"]*\.mp4)', (out / "report.html").read_text())]
  assert {"./../q.mp4", "./takes/01.mp4"} <= set(links)
  assert all((out / link).exists() for link in links)


def test_the_command_that_repeats_a_result_means_the_same(generation_made):
  example, out, weights, query = (Path(f"-{name}") for name in ("it's.mp4", "out", "weights", "a b.mp4"))
  examples = (Example(example, None, 0.0, 4.0), Example(example, 0.5, 4.0))
  settings = dataclasses.replace(
    generation_made.settings, examples=examples, seed=7, top_k=5, tau_s=0.1, original_db=-18.0
  )
  made = dataclasses.replace(generation_made, query=query, settings=settings, starts_s=[0.1, 0.5])
  words = shlex.split(page.command_of(made, out, weights))
  args = arguments.parser(cli._RUN).parse_args(arguments.joined(words[1:]))
  assert words[0] == "condfoley"
  assert (args.query, args.out, args.weights) == (query, out, weights)
  assert args.example == [dataclasses.replace(x, start_s=None) for x in examples]
  assert (args.seed, args.top_k, args.tau, args.example_start) == (7, 5, 0.1, [0.1, 0.5])
  assert args.keep_original_audio == -18


_SECONDS = st.floats(0, 1e5, allow_subnormal=False)


@hypothesis.settings(deadline=None)
@hypothesis.given(_SECONDS, _SECONDS, st.floats(-60, 0))
def test_numbers_of_the_command_are_those_of_the_result(generation_made, from_s, to_s, level_db):
  examples = (Example(Path("a.mp4"), None, from_s, to_s), Example(Path("b.mp4"), None, to_s))
  settings = dataclasses.replace(generation_made.settings, examples=examples, original_db=level_db)
  made = dataclasses.replace(generation_made, settings=settings, starts_s=[from_s, to_s])
  args = arguments.parser(cli._RUN).parse_args(
    arguments.joined(shlex.split(page.command_of(made, Path("out"), None))[1:])
  )
  assert (args.example, args.example_start, args.keep_original_audio) == (list(examples), [from_s, to_s], level_db)


def test_of_a_query_whose_sound_cannot_be_read_the_page_has_the_picture(tmp_path):
  query = corpus.CASES["unknown codec of its sound"].make(tmp_path)
  clip = page._query_clip(query, MINI)
  assert (clip.video, clip.audio) == (query, None)


def test_a_long_query_with_a_damaged_end_is_drawn(tmp_path, monkeypatch):
  monkeypatch.setattr(page, "_FILM_FRAMES", 10)
  monkeypatch.setattr(page, "_LONG_FILM_FRAMES", 9)
  whole = making.write(tmp_path / "whole.mp4", making.constant(30, 180), options={"g": "15"})
  frames, times_s = page._film(making.scramble(whole, tmp_path / "q.mp4", range(120, 180)), MINI)
  assert len(frames) == len(times_s) == 9
  np.testing.assert_array_equal(frames[-1], frames[-3])


def test_seconds_of_writing_include_the_page(write, tmp_path, monkeypatch):
  clock, film = [0.0], page._film
  monkeypatch.setattr(generation, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

  def slow(*args):
    clock[0] += 100
    return film(*args)

  monkeypatch.setattr(page, "_film", slow)
  assert write(tmp_path) == 0
  assert json.loads((tmp_path / "generation.json").read_text())["seconds"]["write"] == 100
  assert "<td>100.00</td>" in (tmp_path / "report.html").read_text()


def test_a_nearly_silent_result_is_told(write, generation_made, tmp_path, monkeypatch, capsys):
  assert write(tmp_path) == 0
  assert not capsys.readouterr().err
  for take in generation_made.takes:
    monkeypatch.setitem(take.__dict__, "audio", take.audio * 1e-3)
  assert write(tmp_path) == 0
  assert "soundtrack.mp4: nearly silent" in one_line(capsys)
