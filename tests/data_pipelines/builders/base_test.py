import pickle
import subprocess
import sys

import numpy as np
import pytest

from condfoley_jax.clip import MINI, PAPER
from data_pipelines import records
from data_pipelines.builders import base, countix_av, folder, greatest_hits
from data_pipelines.builders.drumstick.builder import Drumstick
from data_pipelines.builders.segments import segments_of
from tests.data_pipelines.builders import trees

TRAIN = ["2015-02-16-16-49-06", "2015-02-16-16-56-35"]
TEST = "2015-09-12-04-38-02-78"
VAL = next(v for v in (f"2015-03-01-00-00-{k:02d}" for k in range(60)) if greatest_hits.split_of(v, ()) == "val")


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory):
  """A tiny Greatest Hits; one training video has no sound."""
  directory = tmp_path_factory.mktemp("greatest_hits")
  for name in (*TRAIN, VAL, TEST):
    trees.video(directory / f"{name}_denoised.mp4", silent=name == TRAIN[1])
    trees.touch(directory, f"{name}_times.txt")
  trees.greatest_hits_lists(directory, train=TRAIN, val=TRAIN[:1], test=[TEST])
  return directory


@pytest.fixture(scope="module")
def prepared(source_dir, tmp_path_factory):
  made = greatest_hits.GreatestHits(source_dir, spec=MINI, data_dir=tmp_path_factory.mktemp("tfds"))
  made.download_and_prepare(file_format="array_record")
  return made


def test_every_second_is_read_back(prepared):
  (source,) = prepared.sources("test")
  expected = list(segments_of(source, MINI))
  read = sorted(prepared.as_data_source("test"), key=lambda example: example["segment"])
  assert len(read) == len(expected) == 3
  for example, segment in zip(read, expected, strict=True):
    for name in ("segment", "fps", "sample_rate", "video_frames", "valid_frames"):
      assert example[name] == getattr(segment, name)
    for name in ("video", "source", "source_sha256"):
      assert example[name].decode() == getattr(segment, name)
    np.testing.assert_array_equal(example["audio"], segment.audio)
    np.testing.assert_array_equal(example["frames"], records.decode_frames(segment.frames))
    assert np.frombuffer(example["event_time"], "<f8").tolist() == [e.time_s for e in segment.events]
    for name in ("material", "action", "reaction"):
      assert [word.decode() for word in example[f"event_{name}"]] == [getattr(e, name) for e in segment.events]
    assert example["label"] == b"" and np.isnan(example["span"]).all()


def test_splits_and_videos_left_out(prepared):
  assert {s: i.num_examples for s, i in prepared.info.splits.items()} == {"train": 3, "val": 3, "test": 3}
  assert {example["video"] for example in prepared.as_data_source("train")} == {TRAIN[0].encode()}


def test_video_that_cannot_be_used_is_warned_of(source_dir, caplog):
  bad = next(s for s in greatest_hits.sources(source_dir, "train") if s.id == TRAIN[1])
  assert list(base.examples_of(bad, MINI)) == []
  assert f"{TRAIN[1]}_denoised.mp4: has no audio" in caplog.text


def test_description_is_complete(prepared):
  info = prepared.info
  assert "owens2016visually" in info.citation and info.homepage == "https://andrewowens.com/vis/"
  assert "CC BY 4.0" in info.as_proto.redistribution_info.license
  again = greatest_hits.GreatestHits("elsewhere", spec=MINI, data_dir=prepared.data_path.parents[2])
  assert again.info.splits["test"].num_examples == 3


def test_data_source_pickles(prepared):
  source = prepared.as_data_source("val")
  assert pickle.loads(pickle.dumps(source))[0]["video"] == source[0]["video"] == VAL.encode()


def test_specs_and_splits_have_folders_of_their_own(tmp_path):
  kinds = [{"spec": MINI}, {"spec": PAPER}, {"spec": MINI, "published": True}]
  paths = [greatest_hits.GreatestHits(tmp_path, data_dir=tmp_path, **kind).data_path for kind in kinds]
  assert len(set(map(str, paths))) == 3


def test_what_the_data_depend_on_has_folders_of_its_own(tmp_path):
  def folder_at(source_dir="a", shares=None, **options):
    shares = shares or {"train": 0.5, "test": 0.5}
    return folder.Folder(tmp_path / source_dir, spec=MINI, shares=shares, data_dir=tmp_path, **options).data_path

  shared = [
    folder_at(),
    folder_at("b"),
    folder_at(shares={"train": 1.0}),
    folder_at(shares={"test": 0.5, "train": 0.5}),
  ]
  assert len({*map(str, shared), str(folder_at(labels=tmp_path / "l.csv"))}) == 5
  assert folder_at() == folder_at(f"../{tmp_path.name}/a")
  counts = ({"train": 2}, {"train": 20}, {"train": 2, "test": 9})
  worlds = [Drumstick(tmp_path, spec=MINI, seed=0, counts=c, data_dir=tmp_path).data_path for c in counts]
  assert len(set(map(str, worlds))) == 3


def test_countix_examples_hold_class_and_interval(tmp_path):
  name = "-aaaaaaaa_B_0000_0010"
  trees.countix_lists(tmp_path, train=[name], val=[], test=[])
  trees.video(tmp_path / f"{name}.mp4")
  made = countix_av.CountixAV(tmp_path, spec=MINI, data_dir=tmp_path / "tfds")
  (source,) = made.sources("train")
  _, example = next(base.examples_of(source, MINI))
  assert example["label"] == "sawing wood" and example["span"].tolist() == [1.5, 4.0]


@pytest.mark.parametrize("kind", ["folder", "drumstick"])
def test_other_builders_prepare_too(tmp_path, kind):
  if kind == "folder":
    trees.video(tmp_path / "videos" / "a" / "b.mov")
    made = folder.Folder(tmp_path / "videos", spec=MINI, shares={"test": 1}, data_dir=tmp_path / "tfds")
  else:
    made = Drumstick(tmp_path / "videos", spec=MINI, seed=0, counts={"test": 1}, data_dir=tmp_path / "tfds")
  made.download_and_prepare()
  assert len(made.as_data_source("test")) >= 3


def test_beam_is_used_where_it_is_installed(source_dir):
  beam = pytest.importorskip("apache_beam")
  sources = greatest_hits.sources(source_dir, "test")
  made = greatest_hits.GreatestHits(source_dir, spec=MINI, data_dir=source_dir / "tfds")
  assert isinstance(made._generate_examples(sources), beam.PTransform)


def test_split_without_videos_is_left_out(tmp_path):
  trees.video(tmp_path / "videos" / "a.mp4")
  made = folder.Folder(tmp_path / "videos", spec=MINI, shares={"train": 0.5, "val": 0.5}, data_dir=tmp_path / "tfds")
  made.download_and_prepare()
  assert list(made.info.splits) == ["val"] == [s for s in ("train", "val") if made.sources(s)]


def test_nothing_here_loads_tensorflow():
  code = (
    "import sys; from data_pipelines.builders import greatest_hits, countix_av, folder, segments, protocol;"
    " from data_pipelines.builders.drumstick import builder; print(*sys.modules)"
  )
  loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
  assert not {"tensorflow", "jax", "apache_beam"} & set(loaded)
