"""`condfoley study`: what it says and leaves for good and bad input."""

import json
import os
import shutil

import pytest

from condfoley_jax import cli
from data_pipelines import media
from tests.evaluation.study_folder import RATE, media_of, plan_of, tone, write_picture, write_results


@pytest.fixture(scope="module")
def results_made(tmp_path_factory):
  return write_results(tmp_path_factory.mktemp("made"), ["base", "rerank", "other"], 21)


@pytest.fixture
def results(results_made, tmp_path):
  return shutil.copytree(results_made, tmp_path / "results")


@pytest.fixture
def make(results, tmp_path, capsys):
  """Runs `condfoley study make` and returns its exit code and the lines that it wrote to standard error."""

  def run(*options: str, results=results, out=tmp_path / "out"):
    code = cli.main(["study", "make", str(results), "--out", str(out), *options])
    return code, capsys.readouterr().err.splitlines()

  return run


@pytest.fixture
def answers(tmp_path):
  """Writes the answers of a participant who likes `rerank`, changed by what is given, and returns the path."""

  def write(name: str, *, attentive: bool = True, **changes) -> os.PathLike:
    plan = plan_of((tmp_path / "out" / "study.html").read_text())
    liked = ("rerank", "oracle") if attentive else ("rerank", "silence")
    trials = []
    for number, trial in enumerate(plan["lists"][int(name) - 1], 1):
      side = "left" if trial["left"] in liked else "right"
      shown = {key: trial[key] for key in ("kind", "clip", "left", "right")}
      choices, seconds = {"sync": side, "material": side}, {"sync": 3.5, "material": 5.0}
      trials.append({"number": number, **shown, "choices": choices, "seconds": seconds})
    content = {key: plan[key] for key in ("format", "study", "seed", "reference")}
    content["trials_sha256"] = plan["trials_sha256"][int(name) - 1]
    path = tmp_path / f"answers-{name}.json"
    path.write_text(json.dumps(content | {"participant": name, "trials": trials} | changes))
    return path

  return write


@pytest.fixture
def analyse(tmp_path, capsys):
  def run(*paths, out=tmp_path / "analysis"):
    code = cli.main(["study", "analyse", *map(str, paths), "--out", str(out)])
    captured = capsys.readouterr()
    return code, captured.err.splitlines(), captured.out

  return run


def test_make_writes_one_page_and_says_who_balances_it(make, tmp_path):
  code, lines = make("--seed", "3")
  page = tmp_path / "out" / "study.html"
  assert code == 0 and lines == [f"{page}: 4 lists of trials; participants 1 to 4 balance them"]
  assert os.listdir(tmp_path / "out") == ["study.html"]
  plan = plan_of(page.read_text())
  assert plan["seed"] == 3 and plan["reference"] == "base"
  kinds = {kind: {t["clip"] for x in plan["lists"] for t in x if t["kind"] == kind} for kind in ("practice", "check")}
  counted = {t["clip"] for x in plan["lists"] for t in x if t["kind"] == "counted"}
  assert len(kinds["practice"]) == 5 and len(kinds["check"]) == 2 and len(counted) == 14
  assert not counted & (kinds["practice"] | kinds["check"]) and not kinds["practice"] & kinds["check"]
  assert make("--seed", "3", out=tmp_path / "again") == (0, [lines[0].replace("/out/", "/again/")])
  assert (tmp_path / "again" / "study.html").read_bytes() == page.read_bytes()


def test_a_check_sets_the_true_sound_against_its_silent_twin(make, results, tmp_path):
  make()
  page = (tmp_path / "out" / "study.html").read_text()
  check = next(t for t in plan_of(page)["lists"][0] if t["kind"] == "check")
  example, left, right = (media_of(page)[index] for index in check["media"])
  true, silent = (left, right) if check["left"] == "oracle" else (right, left)
  assert example == true == (results / "oracle" / f"{check['clip']}.mp4").read_bytes() != silent


@pytest.mark.parametrize(
  ("options", "pairs", "reference"),
  [
    (["--systems", "rerank,other"], {("other", "rerank")}, None),
    (["--reference", "other"], {("base", "other"), ("other", "rerank")}, "other"),
    (["--systems", "rerank,oracle", "--reference", "oracle"], {("oracle", "rerank")}, "oracle"),
  ],
)
def test_systems_and_reference_can_be_chosen(make, tmp_path, options, pairs, reference):
  assert make(*options)[0] == 0
  plan = plan_of((tmp_path / "out" / "study.html").read_text())
  counted = [t for trials in plan["lists"] for t in trials if t["kind"] == "counted"]
  assert {tuple(sorted((t["left"], t["right"]))) for t in counted} == pairs
  assert plan["reference"] == reference


def test_fewer_clips_can_be_chosen_and_too_few_are_told(make, results, tmp_path):
  code, lines = make("--clips", "3")
  assert code == 0 and "only 3 clips are counted, so a participant sees some more than once" in lines[0]
  plan = plan_of((tmp_path / "out" / "study.html").read_text())
  assert len({t["clip"] for trials in plan["lists"] for t in trials if t["kind"] == "counted"}) == 3
  for path in (results / "base").glob("c[12]*"):
    path.unlink()
  code, lines = make(out=tmp_path / "few")
  assert code == 0 and "only 10 clips are in every folder, so a participant sees some more than once" in lines[0]


def test_a_clip_for_each_counted_trial_is_enough(make):
  code, lines = make("--clips", "14")
  assert code == 0 and len(lines) == 1


def remove(*names):
  return lambda results: [shutil.rmtree(results / name) for name in names]


def rename(results):
  for i, path in enumerate((results / "rerank").iterdir()):
    path.rename(path.with_name(f"other{i}.mp4"))


def empty(results):
  for path in (results / "rerank").iterdir():
    path.unlink()


def damage(results):
  for path in (results / "rerank").iterdir():
    path.write_bytes(path.read_bytes()[:700])


def mute(results):
  for path in (results / "rerank").iterdir():
    write_picture(path, seed=0)


def silence(results):
  for path in (results / "oracle").iterdir():
    media.mux(results / "base" / path.name, 0 * tone(1), RATE, path)


@pytest.mark.parametrize(
  ("spoil", "options", "names", "says"),
  [
    (remove(""), [], "", "no such folder"),
    (remove("oracle"), [], "oracle", "true sound"),
    (remove("examples"), [], "examples", "put the example clips there"),
    (remove("base", "rerank"), [], "", "1 system to compare, of two or more"),
    (rename, [], "rerank", "no clip in common"),
    (empty, [], "rerank", "holds no mp4 files"),
    (damage, [], "rerank/c", "truncated"),
    (mute, [], "rerank/c", "has no sound"),
    (silence, [], "oracle", "silent"),
    (None, ["--systems", "base,none"], "", "no system `none`"),
    (None, ["--reference", "examples"], "", "no system `examples`"),
  ],
)
def test_bad_results_are_one_line_and_nothing_is_written(make, results, tmp_path, spoil, options, names, says):
  if spoil:
    spoil(results)
  code, (line,) = make(*options)
  assert code == 2 and str(results / names) in line and says in line
  assert not (tmp_path / "out").exists()


def test_a_page_is_not_replaced_and_results_stay_clean(make, results, tmp_path):
  make()
  before = (tmp_path / "out" / "study.html").read_bytes()
  code, (line,) = make("--seed", "1")
  assert code == 2 and "is there already" in line
  assert (tmp_path / "out" / "study.html").read_bytes() == before
  code, (line,) = make(out=results / "study")
  assert code == 2 and "lies in the results" in line and not (results / "study").exists()
  (tmp_path / "file").touch()
  code, (line,) = make(out=tmp_path / "file")
  assert code == 2 and str(tmp_path / "file") in line


def test_analyse_prints_and_writes_the_table(make, answers, analyse, tmp_path):
  make()
  code, lines, table = analyse(answers("1"), answers("2"), answers("3", attentive=False))
  assert code == 0 and not lines
  assert "| rerank | base | 100.0 [78.5, 100.0] | 100.0 [78.5, 100.0] | 14 |" in table
  assert "2 participants counted; 1 left out" in table
  assert (tmp_path / "analysis" / "table.md").read_text() == table
  numbers = json.loads((tmp_path / "analysis" / "results.json").read_text())
  assert [(p["system"], p["against"]) for p in numbers["pairs"]] == [("other", "base"), ("rerank", "base")]
  assert numbers["participants"] == {"included": ["1", "2"], "excluded": ["3"]}
  assert numbers["agreement"]["sync"]["units"] == 14
  # Answers come in one by one.
  assert analyse(answers("1"))[0] == 0
  assert sorted(os.listdir(tmp_path / "analysis")) == ["results.json", "table.md"]


def test_bad_answers_are_one_line_and_nothing_is_written(make, answers, analyse, tmp_path):
  make()
  good = answers("1")
  content = json.loads(good.read_text())
  for name, text, says in (
    ("text", "hello", "not JSON"),
    ("deep", "[" * 100_000, "not JSON"),
    ("bytes", b"\xff\xfe\x00", "not JSON"),
    ("list", "[]", "not what the page of a study saves"),
    ("format", content | {"format": "x"}, "not what"),
    ("short", content | {"trials": content["trials"][:-1]}, "not what"),
    (
      "choice",
      content | {"trials": [content["trials"][0] | {"choices": {"sync": "up"}}, *content["trials"][1:]]},
      "not",
    ),
    ("system", json.dumps(content).replace('"other"', '"another"'), "not what"),
    ("clip", content | {"trials": [content["trials"][0] | {"clip": "none"}, *content["trials"][1:]]}, "not what"),
    ("number", content | {"participant": 1}, "not what"),
    ("surrogate", content | {"participant": "\ud800"}, "not what"),
    ("reference", content | {"reference": "none"}, "not what"),
    ("study", content | {"participant": "2", "study": "abc"}, f"but {good} is of study {content['study']}"),
    (
      "seed",
      content | {"participant": "2", "seed": content["seed"] + 1},
      f"another seed or reference of the study than {good}",
    ),
    ("mark", "\ufeff" + json.dumps(content), f"participant 1 answers in {good} too; keep one"),
    ("twice", content, f"participant 1 answers in {good} too; keep one"),
  ):
    path = tmp_path / f"{name}.json"
    path.write_bytes(
      text if isinstance(text, bytes) else (text if isinstance(text, str) else json.dumps(text)).encode()
    )
    code, (line,), _ = analyse(good, path)
    assert code == 2 and line.startswith(f"condfoley study: {path}: ") and says in line
  for path in (tmp_path / "none.json", tmp_path):
    code, (line,), _ = analyse(path)
    assert code == 2 and str(path) in line
  code, (line,), _ = analyse(answers("2", attentive=False))
  assert code == 2 and "attention check" in line
  assert not (tmp_path / "analysis").exists()


def test_analyse_replaces_no_answers_and_no_folder(make, answers, analyse, tmp_path):
  make()
  (tmp_path / "a").mkdir()
  kept = answers("1").rename(tmp_path / "a" / "results.json")
  before = kept.read_bytes()
  code, (line,), _ = analyse(kept, out=tmp_path / "a")
  assert code == 2 and str(kept) in line and kept.read_bytes() == before
  (tmp_path / "b" / "table.md").mkdir(parents=True)
  code, (line,), _ = analyse(answers("1"), out=tmp_path / "b")
  assert code == 2 and "table.md" in line and os.listdir(tmp_path / "b") == ["table.md"]


@pytest.mark.parametrize("words", [[], ["make"], ["make", "r"], ["analyse", "--out", "o"], ["count"]])
def test_wrong_use_exits_with_2(words, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(["study", *words])
  assert stop.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("condfoley study")
