import json
import shutil

import pytest
from flax import nnx

from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.evaluation import judges
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.weights import folder
from tests.evaluation import trials


@pytest.fixture(scope="module")
def data(world, tmp_path_factory):
  directory = trials.made(world, tmp_path_factory.mktemp("evaluate") / "test")
  for name in ("AMT_test_set.json", "AMT_test_set_match_dict.json"):
    table = json.loads((directory / name).read_text())
    first, second = sorted(table)[0], sorted(table)[-1]
    cut = {first: table[first], second: table[second]}
    (directory / name).write_text(json.dumps(cut))
  return directory


@pytest.fixture(scope="module", autouse=True)
def judge(tmp_path_factory):
  """Judges that know nothing yet."""
  sizes = {"n_mels": MINI.n_mels, "widths": ((4,), (4,)), "pool": (2, 2), "hidden": 8}
  counts = dict(zip(judges.PARTS, (17, 2), strict=True))
  parts = {p: VGGishish(VGGishishConfig(classes=n, **sizes), rngs=nnx.Rngs(0)) for p, n in counts.items()}
  directory = tmp_path_factory.mktemp("judges")
  folder.save(directory, MINI, parts)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(judges.Judges.__init__, "__defaults__", (directory,))
    yield


def evaluate(data, out, *more):
  return cli.main(["evaluate", "--data", str(data), "--candidates", "2", "--out", str(out), *more])


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
  out = tmp_path_factory.mktemp("results")
  assert evaluate(data, out) == 0
  return out


def test_the_oracle_is_at_the_top_and_silence_at_the_floor(results):
  told = json.loads((results / "metrics.json").read_text())
  oracle, silence = told["systems"]["oracle"], told["systems"]["silence"]
  for name in ("onset_f1_25ms", "onset_ap", "onset_count_accuracy", "action_accuracy", "material_retained"):
    assert oracle[name]["value"] == 1
  assert oracle["mcd_db"]["value"] == oracle["stft_distance"]["value"] == 0
  for name in ("onset_f1_100ms", "onset_ap", "decay_similarity"):
    assert silence[name]["value"] == 0
  assert silence["legacy_ap"]["value"] == 1  # As published.
  assert told["ceilings"]["true_onsets"]["onset_f1_100ms"]["value"] > 0.5
  assert set(told) == {
    "systems", "ceilings", "comparisons", "classifier", "data", "weights", "judges", "command",
  }  # fmt: skip
  assert set(told["systems"]["base"]["onset_f1_50ms"]) == {"value", "ci95", "n"}


def test_stopped_and_started_again_it_gives_the_same(data, results, tmp_path, monkeypatch):
  whole = json.loads((results / "metrics.json").read_text())
  out = tmp_path / "again"
  shutil.copytree(results, out)
  (out / "metrics.json").unlink()
  for path in (out / "records").iterdir():
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:9])
  assert evaluate(data, out) == 0
  again = json.loads((out / "metrics.json").read_text())
  assert {k: v for k, v in again.items() if k != "command"} == {k: v for k, v in whole.items() if k != "command"}
  for path in (results / "records").iterdir():
    assert (out / "records" / path.name).read_text() == path.read_text()


def test_the_page_plays_and_shows(results):
  page = (results / "report.html").read_text()
  assert page.count("<audio") > 10 and page.count("data:image/webp") > 10
  assert "http" not in page.replace("http-equiv", "")
  for system in ("base", "rerank", "oracle", "codes_vocoder"):
    assert f"<th>{system}</th>" in page


def test_systems_can_be_chosen(data, tmp_path):
  assert evaluate(data, tmp_path, "--systems", "silence,vocoder") == 0
  told = json.loads((tmp_path / "metrics.json").read_text())
  assert set(told["systems"]) == {"silence"} and set(told["ceilings"]) == {"vocoder"}


@pytest.mark.parametrize(
  ("more", "words"),
  [
    (["--systems", "nosuch"], "--systems nosuch: not there; choose of oracle"),
    (["--weights", "nowhere"], "nowhere/config.json: not found"),
    (["--seed", "1"], "records/references.jsonl: of another evaluation (made with seed 0)"),
  ],
)
def test_wrong_use_is_one_line(data, results, more, words, capsys):
  before = (results / "metrics.json").read_bytes()
  assert evaluate(data, results, *more) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line and (results / "metrics.json").read_bytes() == before
