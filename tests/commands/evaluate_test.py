import functools
import itertools
import json
import re
import shutil

import pytest

import condfoley_jax
from condfoley_jax import cli
from condfoley_jax.clip import MINI
from condfoley_jax.commands import evaluate as command
from condfoley_jax.evaluation import judges, metrics_page, scoring, systems
from condfoley_jax.models.classifier import VGGishish, VGGishishConfig
from condfoley_jax.models.keys import Keys
from condfoley_jax.models.sync_net import SyncNet, SyncNetConfig
from condfoley_jax.models.video_encoder import VideoEncoderConfig
from condfoley_jax.weights import folder
from data_pipelines.errors import InputError
from tests.evaluation import trials

ENCODER = VideoEncoderConfig(stem_kernel=3, stem_stride=4, stem_mid=2, widths=(2, 4), blocks=(1, 1))
SYNC = SyncNetConfig(ENCODER, n_mels=8, audio_width=4, audio_layers=1, width=3)


@pytest.fixture(scope="module")
def data(world, tmp_path_factory):
  directory = trials.made(world, tmp_path_factory.mktemp("evaluate") / "test")
  path = directory / "AMT_test_set.json"
  table = json.loads(path.read_text())
  path.write_text(json.dumps({target: table[target][:2] for target in (min(table), max(table))}))
  return directory


@pytest.fixture(scope="module")
def judging(tmp_path_factory):
  """The folder of judges that know nothing yet."""
  sizes = {"n_mels": MINI.n_mels, "widths": ((4,), (4,)), "pool": (2, 2), "hidden": 8}
  counts = dict(zip(judges.PARTS["classifier"], (17, 2), strict=True))
  parts = {p: VGGishish(VGGishishConfig(classes=n, **sizes), rngs=Keys(0)) for p, n in counts.items()}
  directory = tmp_path_factory.mktemp("judges")
  folder.save(directory / "classifier", MINI, parts)
  folder.save(directory / "sync", MINI, {"sync_net": SyncNet(SYNC, rngs=Keys(0))})
  return directory


@pytest.fixture(scope="module", autouse=True)
def small(small_weights, judging):
  """Small weights and judges, in place of the ones shipped."""
  with pytest.MonkeyPatch.context() as patch:
    chosen = functools.partial(command.Settings, weights=(small_weights,), judges=judging)
    patch.setattr(command, "Settings", chosen)
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
  assert told["classifier"]["sync_in_time"]["value"] == oracle["sync_in_time"]["value"]
  for name in ("onset_f1_25ms", "onset_ap", "onset_count_accuracy", "action_accuracy", "material_retained"):
    assert oracle[name]["value"] == 1
  assert oracle["mcd_db"]["value"] == oracle["stft_distance"]["value"] == 0
  for name in ("onset_f1_100ms", "onset_ap", "decay_similarity"):
    assert silence[name]["value"] == 0
  assert silence["legacy_ap"]["value"] == 1  # As published.
  assert told["ceilings"]["true_onsets"]["onset_f1_100ms"]["value"] > 0.5
  assert set(told) == {
    "systems", "ceilings", "comparisons", "preferences", "classifier", "data", "weights", "judges", "command",
    "version", "made_with",
  }  # fmt: skip
  assert set(told["systems"]["base"]["onset_f1_50ms"]) == {"value", "ci95", "n"}
  # It is one of those that skill is measured against, so that it has none over the best of them.
  assert told["systems"]["onset_transfer"]["onset_skill"]["value"] <= 0


def contents(out):
  """All files of a result, less where it lies."""
  files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
  return {name: content.replace(bytes(out), b"OUT") for name, content in files.items()}


class Killed(BaseException):
  """What nothing catches."""


@pytest.mark.slow
def test_killed_and_started_again_it_gives_the_same(data, results, tmp_path, monkeypatch):
  calls, score = itertools.count(), scoring.score

  def killed(*given):
    # In the second of two items, between two systems of a group.
    if next(calls) == len(systems.REFERENCES + systems.CEILINGS) + 9:
      raise Killed
    return score(*given)

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(scoring, "score", killed)
    evaluate(data, tmp_path)
  for path in (tmp_path / "records").iterdir():
    path.write_text(path.read_text()[:-9])
  assert evaluate(data, tmp_path) == 0
  assert contents(tmp_path) == contents(results)


@pytest.mark.slow
def test_what_is_chosen_is_shown_and_the_rest_can_follow(data, results, tmp_path):
  assert evaluate(data, tmp_path, "--systems", "silence,rerank,vocoder") == 0
  told = json.loads((tmp_path / "metrics.json").read_text())
  assert set(told["systems"]) == {"silence", "rerank"} and set(told["ceilings"]) == {"vocoder"}
  assert evaluate(data, tmp_path) == 0
  assert contents(tmp_path) == contents(results)
  assert evaluate(data, tmp_path, "--systems", "silence,base") == 0
  assert shown(tmp_path) == {"true sound", "example", "base"}
  assert {row[0].strip() for row in table(tmp_path)[2:]} == {"silence", "base"}


def shown(out):
  """What the page has players of."""
  return set(re.findall("<b>(.*?)</b><audio", (out / "report.html").read_text()))


@pytest.mark.slow
def test_sounds_of_other_settings_are_not_shown(data, results, tmp_path):
  chosen = ("--systems", "true_onsets", "--seed", "1")
  assert evaluate(data, tmp_path, *chosen) == 0
  assert shown(tmp_path) == {"true sound", "example", "true_onsets"}
  before = (tmp_path / "report.html").read_bytes()
  shutil.rmtree(tmp_path / "sounds")
  shutil.copytree(results / "sounds", tmp_path / "sounds")
  assert evaluate(data, tmp_path, *chosen) == 0
  assert (tmp_path / "report.html").read_bytes() == before


@pytest.mark.slow
def test_sounds_that_are_gone_or_damaged_are_made_again(data, tmp_path):
  chosen = ("--systems", "silence,true_onsets")
  assert evaluate(data, tmp_path, *chosen) == 0
  before = contents(tmp_path)
  first, second, *_ = sorted((tmp_path / "sounds").glob("true_onsets-*/*.wav"))
  first.unlink()
  second.write_bytes(second.read_bytes()[:20])
  assert evaluate(data, tmp_path, *chosen) == 0
  assert contents(tmp_path) == before


def test_a_folder_in_the_place_of_a_result_is_told_before_anything_is_made(data, tmp_path, capsys):
  (tmp_path / "report.html").mkdir()
  assert evaluate(data, tmp_path, "--systems", "silence") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{tmp_path}/report.html: a folder, where the result goes" in line
  assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("weights", ["", f"{folder.SHIPPED},"])
def test_weights_without_a_name_are_wrong_use(data, tmp_path, capsys, weights):
  with pytest.raises(SystemExit) as raised:
    evaluate(data, tmp_path, "--weights", weights)
  assert raised.value.code == 2 and "empty; name a file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("owner", "name", "was"),
  [(scoring, "VERSION", f"scores {scoring.VERSION}"), (condfoley_jax, "__version__", "version")],
)
def test_records_of_another_version_are_not_mixed_in(data, results, monkeypatch, capsys, owner, name, was):
  monkeypatch.setattr(owner, name, 99)
  assert evaluate(data, results, "--systems", "silence") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"truth.jsonl: of another evaluation ({was}" in line


def test_a_test_set_with_one_target_has_no_chance(data, tmp_path, capsys):
  single = shutil.copytree(data, tmp_path / "single")
  path = single / "AMT_test_set.json"
  path.write_text(json.dumps(dict([next(iter(json.loads(path.read_text()).items()))])))
  assert evaluate(single, tmp_path / "out") == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{single}: all targets are of one video; choose --systems without chance" in line
  assert not (tmp_path / "out").exists()
  assert evaluate(single, tmp_path / "out", "--systems", "silence") == 0


def test_weights_of_clips_that_the_judges_do_not_know(data, tmp_path, capsys):
  weights = shutil.copytree(folder.SHIPPED, tmp_path / "weights")
  config = weights / "config.json"
  config.write_text(config.read_text().replace('"fmin": 40.0', '"fmin": 50.0'))
  assert evaluate(data, tmp_path / "out", "--weights", str(weights)) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{weights}: makes other clips than those that" in line and not (tmp_path / "out").exists()


def test_a_page_that_cannot_be_drawn_leaves_the_earlier_results(data, results, tmp_path, monkeypatch):
  out = shutil.copytree(results, tmp_path / "out")
  before = contents(out)

  def killed(*given):
    raise Killed

  monkeypatch.setattr(metrics_page, "page", killed)
  with pytest.raises(Killed):
    evaluate(data, out, "--systems", "silence")
  assert contents(out) == before


def test_the_page_plays_and_shows(results):
  page = (results / "report.html").read_text()
  assert page.count("<audio") > 10 and page.count("data:image/webp") > 10
  assert "http" not in page.replace("http-equiv", "")
  for system in ("base", "rerank", "oracle", "codes_vocoder"):
    assert f"<th>{system}</th>" in page


def table(out):
  """Cells of the first table of table.md."""
  lines = (out / "table.md").read_text().partition("The truth in place of parts")[0].splitlines()
  return [line.split("|")[1:-1] for line in lines if line.startswith("|")]


def test_the_table_has_a_row_for_each_system(results):
  told = json.loads((results / "metrics.json").read_text())
  head, _, *rows = table(results)
  names = [cell.strip(" `") for cell in head]
  assert [row[0].strip() for row in rows] == [*told["systems"], *told["ceilings"]]
  oracle = dict(zip(names, (cell.strip() for cell in rows[0]), strict=True))
  assert oracle["onset_f1_100ms"] == "1.00" and oracle["mcd_db"] == "0.00"
  assert float(oracle["legacy_ap"].split()[0]) == round(told["systems"]["oracle"]["legacy_ap"]["value"], 2)


@pytest.mark.parametrize("name", ["no_condition", "mine"])
@pytest.mark.parametrize("inner", ["", "weights"])
def test_other_folders_are_systems_of_their_names(name, inner, data, tmp_path, monkeypatch):
  weights = tmp_path / name / inner
  weights.parent.mkdir(exist_ok=True)
  weights.symlink_to(folder.SHIPPED)
  both = f"{folder.SHIPPED},{weights}"
  asked = []

  def run(tests, judges, groups, out, **_):
    asked.extend(groups)
    raise InputError("asked")

  monkeypatch.setattr(command.evaluate, "run", run)
  assert evaluate(data, tmp_path / "out", "--weights", both, "--systems", f"base,{name}") == 2
  assert [group.systems for group in asked] == [("base",), (name,)]


@pytest.mark.parametrize(
  ("more", "words"),
  [
    (["--systems", "nosuch"], "--systems nosuch: not there; choose of oracle"),
    (["--weights", "nowhere"], "nowhere/config.json: not found"),
    (["--weights", f"{folder.SHIPPED},x/vocoder"], "x/vocoder: vocoder is the name of another system, or cannot be"),
    (["--seed", "1"], "records/oracle.jsonl: of another evaluation (made with seed 0)"),
  ],
)
def test_wrong_use_is_one_line(data, results, more, words, capsys):
  before = (results / "metrics.json").read_bytes()
  assert evaluate(data, results, *more) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert words in line and (results / "metrics.json").read_bytes() == before
