import json
import pickle

import numpy as np
import pytest

from data_pipelines import dataset, records, seal, tfrecord
from data_pipelines.errors import InputError
from tests.data_pipelines import ruler


@pytest.fixture
def data_dir(tmp_path):
  return ruler.make_dataset(tmp_path, [40, 68], [[], [1.5, 4.5]])


@pytest.fixture
def opened(data_dir):
  return dataset.open_dataset(data_dir, ruler.SPEC)


@pytest.mark.parametrize("video", [0, 1])
def test_every_window_is_aligned(opened, video):
  v = opened.videos[video]
  for start in range(v.frames - 29):
    window = opened.read_window(v, start, 30)
    assert window.frames.shape == (30, 16, 16, 3)
    assert ruler.start_of(window.frames) == start
    np.testing.assert_array_equal(window.audio, ruler.sound(start * 1470, 44100))


def test_window_reads_only_its_records(opened, monkeypatch):
  read = []
  decode = records.decode
  monkeypatch.setattr(records, "decode", lambda r: read.append(decode(r).segment) or decode(r))
  opened.read_window(opened.videos[1], 15, 30)
  opened.read_window(opened.videos[1], 29, 30)
  assert read == [1, 2, 1, 2, 3]


@pytest.mark.parametrize("start", [-1, 39])
def test_window_outside_the_video(opened, start):
  with pytest.raises(IndexError, match="video-1"):
    opened.read_window(opened.videos[1], start, 30)


def test_pickles(opened):
  again = pickle.loads(pickle.dumps(opened))
  np.testing.assert_array_equal(again.read_window(again.videos[1], 5, 2).audio, ruler.sound(5 * 1470, 2940))


def edit(data_dir, **changes):
  """Another description, whole in itself."""
  path = data_dir / "dataset.json"
  content = json.loads(path.read_text()) | changes
  del content["sha256"]
  path.write_text(seal.sealed(content))


def check_refused(data_dir, match):
  with pytest.raises(InputError, match=match) as caught:
    dataset.open_dataset(data_dir, ruler.SPEC)
  assert "\n" not in str(caught.value)


def test_absent_folder(tmp_path):
  check_refused(tmp_path / "nowhere", "nowhere.*condfoley prepare")


def test_other_schema(data_dir):
  edit(data_dir, schema_version=99)
  check_refused(data_dir, "schema version 99")


def test_other_rate(data_dir):
  edit(data_dir, fps=30)
  check_refused(data_dir, "fps 30.*needs 15")
  edit(data_dir, fps="15")
  check_refused(data_dir, "fps '15', but the model needs 15")


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 1}', '{"schema_version": 1, "sample_rate'])
def test_broken_description(data_dir, text):
  (data_dir / "dataset.json").write_text(text)
  check_refused(data_dir, "dataset.json")


def test_a_byte_that_is_no_text_is_a_short_line(data_dir):
  path = data_dir / "dataset.json"
  path.write_bytes(path.read_bytes().replace(b"video-0", b"video-\xff", 1) + b" " * 20_000)
  with pytest.raises(InputError, match="no valid description") as caught:
    dataset.open_dataset(data_dir, ruler.SPEC)
  assert len(str(caught.value)) < 300 + len(str(path))


def test_absent_shard(data_dir):
  next(data_dir.glob("*.tfrecord")).unlink()
  check_refused(data_dir, "ruler-val-00000-of-00001.tfrecord")


def test_shard_of_other_data(data_dir):
  tfrecord.write(next(data_dir.glob("*.tfrecord")), [b"other"])
  check_refused(data_dir, "1 records, but dataset.json says 8")
