import json

import pytest
from etils import epath

from condfoley_jax import cli
from condfoley_jax.commands import prepare as command
from configs import models as configs_models
from data_pipelines import lock
from data_pipelines.builders import folder
from data_pipelines.builders.drumstick import builder, render
from data_pipelines.builders.events import read_events, times_path
from data_pipelines.builders.source import Source
from data_pipelines.dataset import open_dataset
from data_pipelines.errors import InputError


def prepare(capsys, *words):
  """Exit code and the lines on stderr."""
  code = cli.main(["prepare", *map(str, words), "--workers", "1"])
  return code, capsys.readouterr().err.splitlines()


def test_events_after_the_end_are_left_out_and_told(videos, tmp_path, capsys):
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "a.mp4").symlink_to(videos[0])
  (tmp_path / "l.csv").write_text("file,time_s,material,action,reaction\na.mp4,1,wood,hit,\na.mp4,1000,wood,hit,\n")
  code, lines = prepare(
    capsys, "folder", "--source", tmp_path / "in", "--labels", tmp_path / "l.csv", "--out", tmp_path / "out"
  )
  assert (code, lines) == (0, ["left out 1 event of a.mp4: after its end; correct the times"])
  (video,) = json.loads((tmp_path / "out" / "dataset.json").read_text())["videos"]
  assert [event["time_s"] for event in video["events"]] == [1.0]


@pytest.mark.parametrize("model", command.MODELS)
def test_data_of_every_size_of_model(videos, tmp_path, capsys, model):
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "a.mp4").symlink_to(videos[0])
  assert prepare(capsys, "folder", "--source", tmp_path / "in", "--model", model, "--out", tmp_path / "out") == (0, [])
  spec = configs_models.spec({"paper": "paper_gh"}.get(model, model))
  assert len(open_dataset(tmp_path / "out", spec).videos) == 1


def test_shares_split_a_folder(videos, tmp_path, capsys):
  shares = {"train": 0.5, "val": 0.5}
  for name in "abcd":
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / f"{name}.mp4").symlink_to(videos[0])
  found = {}
  for split in shares:
    words = ["folder", "--source", tmp_path / "in", "--shares", "train=0.5,val=0.5", "--split", split]
    assert prepare(capsys, *words, "--out", tmp_path / split) == (0, [])
    described = json.loads((tmp_path / split / "dataset.json").read_text())
    found[split] = [video["id"] for video in described["videos"]]
  assert found == {split: [n for n in "abcd" if folder.split_of(n, shares) == split] for split in shares}
  assert all(found.values())
  code, (line,) = prepare(capsys, *words[:-1], "test", "--out", tmp_path / "test")
  assert code == 2 and "no split `test`; choose one of train, val" in line


@pytest.mark.parametrize("text", ["train", "=1", "train=x", "train=2", "train=0.5,train=0.5", ""])
def test_shares_that_are_none(tmp_path, capsys, text):
  with pytest.raises(SystemExit) as caught:
    cli.main(["prepare", "folder", "--shares", text, "--out", str(tmp_path / "out")])
  assert caught.value.code == 2 and "argument --shares: " in capsys.readouterr().err


def test_a_link_to_nothing_is_refused(videos, tmp_path, capsys):
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "a.mp4").symlink_to(videos[0])
  (tmp_path / "in" / "b.mp4").symlink_to(tmp_path / "gone.mp4")
  code, (line,) = prepare(capsys, "folder", "--source", tmp_path / "in", "--out", tmp_path / "out")
  assert code == 2 and "in/b.mp4: a link to nothing; remove it" in line
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  ("dataset", "flag", "fitting"),
  [
    ("drumstick", "--source", "folder, greatest_hits, countix_av"),
    ("folder", "--annotations", "greatest_hits, countix_av"),
    ("greatest_hits", "--labels", "folder"),
    ("greatest_hits", "--shares", "folder"),
  ],
)
def test_a_flag_that_would_change_nothing_is_refused(tmp_path, capsys, dataset, flag, fitting):
  value = "train=1" if flag == "--shares" else tmp_path
  code, (line,) = prepare(capsys, dataset, flag, value, "--out", tmp_path / "out")
  assert code == 2 and f"{flag}: goes with {fitting}, not with {dataset}; leave it out" in line
  assert not (tmp_path / "out").exists()


def contents(folder):
  return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_shards_may_go_to_a_bucket(videos, tmp_path, bucket, capsys):
  (tmp_path / "in").mkdir()
  (tmp_path / "in" / "a.mp4").symlink_to(videos[0])
  out = f"{bucket}/{tmp_path.name}/data"
  assert prepare(capsys, "folder", "--source", tmp_path / "in", "--out", out) == (0, [])
  (video,) = json.loads(epath.Path(out, "dataset.json").read_text())["videos"]
  assert video["id"] == "a" and not (tmp_path / "gs:").exists()
  assert cli.main(["prepare", "--verify", out]) == 0 and f"{out}: whole" in capsys.readouterr().out
  code, (line,) = prepare(capsys, "drumstick", "--videos", "1", "--out", out)
  assert code == 2 and f"{out}: the world's videos are rendered beside its shards; give a folder here" in line
  dataflow = "--beam=--runner=DataflowRunner --temp_location=gs://b/tmp"
  code, (line,) = prepare(capsys, "folder", "--source", tmp_path / "in", "--out", tmp_path / "out", dataflow)
  assert (
    code == 2 and f"{tmp_path / 'out'}: Beam's workers elsewhere do not see it; give --out gs://BUCKET/FOLDER" in line
  )


def test_a_run_beside_another_one_changes_nothing(tmp_path, capsys):
  for name in ("AMT_test_set.json", "drumstick-v1-test-0-0000.mp4"):
    (tmp_path / "out" / "videos").mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / "videos" / name).write_text("another run's")
  before = contents(tmp_path)
  with lock.locked(tmp_path / "out"):
    code, (line,) = prepare(capsys, "drumstick", "--split", "test", "--videos", 1, "--out", tmp_path / "out")
  assert code == 2 and f"{tmp_path / 'out'}: another run is at work here; wait for its end" in line
  assert contents(tmp_path) == before


def test_a_run_that_is_refused_makes_no_folder(tmp_path, capsys):
  (tmp_path / "out").mkdir()
  with lock.locked(tmp_path / "out"):
    code, _ = prepare(capsys, "drumstick", "--out", tmp_path / "out")
  assert code == 2 and not contents(tmp_path / "out")
  (tmp_path / "out" / "cache.json").write_text("{}")
  code, (line,) = prepare(capsys, "drumstick", "--out", tmp_path / "out")
  assert code == 2 and "holds a cache of a training run" in line and len(contents(tmp_path / "out")) == 1


def test_videos_are_rendered_and_prepared_under_one_lock(videos, tmp_path, monkeypatch, capsys):
  seen = []

  def look(what):
    with lock.locked(tmp_path / "out") as free:
      seen.append((what, free))

  def sources(*_, **__):
    look("rendered")
    return [Source(id="a", video=videos[0], events=())]

  def mapper(function, tasks):
    look("prepared")
    raise InputError("seen")

  monkeypatch.setattr(builder, "sources", sources)
  monkeypatch.setattr(command.prepare, "in_processes", lambda workers: mapper)
  # One lock, held all the way: were it given back in between, another run could take it there.
  taken, locked = [], lock.locked
  monkeypatch.setattr(lock, "locked", lambda path, **kinds: taken.append(path) or locked(path, **kinds))
  assert prepare(capsys, "drumstick", "--out", tmp_path / "out")[0] == 2
  assert seen == [("rendered", False), ("prepared", False)]
  assert len(taken) == 1 + len(seen)
  assert not (tmp_path / "out").exists()


def test_trials_change_with_the_dataset_that_they_are_of(videos, tmp_path, monkeypatch, capsys):
  """Not before: a run that ends early leaves both as they were."""
  found = [Source(id=v.stem, video=v, events=tuple(read_events(times_path(v)))) for v in videos]
  monkeypatch.setattr(builder, "sources", lambda *_, **given: found[: given["count"]])
  words = ["drumstick", "--split", "test", "--out", tmp_path / "out"]
  (tmp_path / "out" / "videos").mkdir(parents=True)
  assert prepare(capsys, *words, "--videos", 4) == (0, [])
  before = contents(tmp_path / "out")
  assert (tmp_path / "out" / "videos" / "AMT_test_set.json").exists()

  def killed(*_, **__):
    raise InputError("cut off")

  with monkeypatch.context() as patch:
    patch.setattr(command.prepare, "write_shard", killed)
    assert prepare(capsys, *words, "--videos", 3)[0] == 2
  assert contents(tmp_path / "out") == before
  assert prepare(capsys, *words, "--videos", 3) == (0, [])
  lists = [json.loads((tmp_path / "out" / "videos" / "AMT_test_set.json").read_text())]
  assert lists != [json.loads(before[tmp_path / "out" / "videos" / "AMT_test_set.json"])]


@pytest.mark.parametrize("name", ["AMT_test_set.json", "AMT_test_set_match_dict.json", "AMT_test_set_type_dict.json"])
@pytest.mark.parametrize("content", ['{"2015-02-21-17-09-17_3.0667": []}', "not JSON"])
def test_lists_of_other_videos_are_not_replaced(tmp_path, capsys, name, content):
  (tmp_path / "out" / "videos").mkdir(parents=True)
  (tmp_path / "out" / "videos" / name).write_text(content)
  before = contents(tmp_path)
  code, (line,) = prepare(capsys, "drumstick", "--split", "test", "--videos", 1, "--out", tmp_path / "out")
  assert code == 2 and f"videos/{name}: " in line and line.endswith("move it away or choose another folder")
  assert contents(tmp_path) == before


def test_a_folder_in_the_place_of_the_description_is_refused(tmp_path, capsys):
  (tmp_path / "out" / "dataset.json").mkdir(parents=True)
  code, (line,) = prepare(capsys, "drumstick", "--videos", 1, "--out", tmp_path / "out")
  assert code == 2 and line.endswith("out/dataset.json: a folder; remove it or choose another --out")
  assert list(contents(tmp_path)) == [tmp_path / "out", tmp_path / "out" / "dataset.json"]


def test_more_videos_than_sense_are_refused_before_any_is_planned(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(render, "draw_scene", lambda *_: pytest.fail("planned"))
  code, (line,) = prepare(capsys, "drumstick", "--videos", 10**8, "--out", tmp_path / "out")
  assert code == 2 and "100000000 videos of the procedural world: more than 100000; ask for fewer" in line
  assert not (tmp_path / "out").exists()
