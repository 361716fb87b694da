"""Every file of the corpus ends in a right result or in one line that names it and what to do; nothing is left over."""

import csv
import json
import re

import av
import pytest

from condfoley_jax import cli
from data_pipelines import media
from tests.commands import corpus


@pytest.fixture(scope="module")
def outcomes(small_weights, plain_pictures_in_module, tmp_path_factory):
  """The whole corpus as one batch: (paths of the cases, rows of the summary, folder of results)."""
  folder = tmp_path_factory.mktemp("corpus")
  query = corpus.video("query.mp4")(folder)
  example = corpus.with_sound("example.mp4", "aac", 44100, "mono")(folder)
  paths, lines = {}, []
  for number, (name, case) in enumerate(corpus.CASES.items()):
    home = folder / str(number)
    home.mkdir()
    paths[name] = case.make(home)
    row = {"query": str(query), "example": str(example), "name": f"r{number}"} | {case.role: str(paths[name])}
    lines.append(json.dumps(row))
  (folder / "jobs.jsonl").write_text("\n".join(lines))
  words = ["generate", "--batch", str(folder / "jobs.jsonl"), f"--weights={small_weights}", f"--out={folder / 'out'}"]
  assert cli.main(words) == 2
  with (folder / "out" / "summary.csv").open(newline="") as file:
    return paths, dict(zip(corpus.CASES, csv.DictReader(file), strict=True)), folder / "out"


def _packets(path):
  with av.open(f"file:{path}") as container:
    return [bytes(p) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("name", corpus.CASES)
def test_a_right_result_or_one_line(name, outcomes):
  _, rows, out = outcomes
  case, row, made = corpus.CASES[name], rows[name], out / f"r{list(corpus.CASES).index(name)}"
  if case.told is not None:
    assert row["status"] == "failed" and re.search(case.told, row["message"])
    assert "\n" not in row["message"] and "; " in row["message"]
    assert not made.exists()
    return
  assert row["status"] == "made", row["message"]
  assert ("damaged packets were concealed" in row["message"]) == ("damaged" in name and "its own" not in name)
  query = json.loads((made / "generation.json").read_text())["inputs"]["query"]["path"]
  assert _packets(made / "soundtrack.mp4") == _packets(query)
  samples = round(media.probe(query).duration_s * 22050)
  sound = media.decode_audio(made / "takes" / "01.wav", 22050, duration_s=samples / 22050)
  with av.open(str(made / "soundtrack.mp4")) as container:
    assert sum(frame.samples for frame in container.decode(audio=0)) == samples
  assert abs(sound).max() > 0


def test_there_are_enough_and_nothing_is_left_over(outcomes):
  _, rows, out = outcomes
  assert len(corpus.CASES) >= 60 and sum(case.told is not None for case in corpus.CASES.values()) >= 25
  made = {row["name"] for row in rows.values() if row["status"] == "made"}
  assert {path.name for path in out.iterdir()} == made | {"summary.csv"}


@pytest.mark.parametrize("name", ["text", "damaged pictures in the middle", "leading dash", "example: silent"])
def test_one_at_a_time_says_the_same(name, outcomes, small_weights, tmp_path, capsys):
  paths, _, out = outcomes
  case = corpus.CASES[name]
  files = {"query": out.parent / "query.mp4", "example": out.parent / "example.mp4"} | {case.role: paths[name]}
  words = [f"--example={files['example']}", f"--weights={small_weights}", f"--out={tmp_path / 'o'}"]
  code = cli.main(["generate", *words, "--", str(files["query"])])
  lines = capsys.readouterr().err.splitlines()
  assert code == (2 if case.told else 0)
  if case.told or "damaged" in name:
    assert len(lines) == 1 and str(paths[name]) in lines[0]
