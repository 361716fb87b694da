import pathlib
import pickle

import pytest

from data_pipelines.builders import source
from data_pipelines.builders.events import Event
from data_pipelines.errors import InputError
from tests.data_pipelines.builders import trees


def test_source_pickles():
  one = source.Source("a", pathlib.Path("a.mp4"), events=(Event(1.0, "wood", "hit"),), span_s=(0.0, 1.0))
  assert pickle.loads(pickle.dumps(one)) == one


def test_videos_are_found_in_order_and_hidden_ones_are_not(tmp_path):
  trees.touch(tmp_path, "b.MP4", "a/z.webm", "a/.z.mp4", ".cache/y.mp4", "notes.txt", "c.mkv")
  (tmp_path / "folder.mp4").mkdir()
  assert [p.relative_to(tmp_path).as_posix() for p in source.find_videos(tmp_path)] == ["a/z.webm", "b.MP4", "c.mkv"]


def test_hidden_folder_above_is_no_reason_to_skip(tmp_path):
  trees.touch(tmp_path / ".data", "a.mp4")
  assert len(source.find_videos(tmp_path / ".data")) == 1


def test_folder_that_is_none(tmp_path):
  trees.touch(tmp_path, "a")
  with pytest.raises(InputError, match=r"a: a file; give the folder of clips"):
    source.require_folder(tmp_path / "a", "clips")
  with pytest.raises(InputError, match="no such folder"):
    source.require_folder(tmp_path / "b", "clips")


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"\xff\xfe", b"[" * 100000])
def test_wrong_json_names_file_and_remedy(tmp_path, content):
  (tmp_path / "a.json").write_bytes(content)
  with pytest.raises(InputError, match=r"a\.json: is not JSON; fetch it") as caught:
    source.read_json(tmp_path / "a.json", "fetch it")
  assert trees.one_line(caught)


@pytest.mark.parametrize(
  "content", ['{"a": 1, "b": 2, "a": 1}', '[{"c": {"a": 1, "a": 2}}]', '{"a": {}, "\\u0061": {}}']
)
def test_a_key_that_comes_twice_names_file_key_and_remedy(tmp_path, content):
  (tmp_path / "a.json").write_text(content)
  with pytest.raises(InputError, match=r"a\.json: has the key a twice; fetch it$"):
    source.read_json(tmp_path / "a.json", "fetch it")


def test_missing_json_and_wrong_kinds(tmp_path):
  with pytest.raises(InputError, match=r"a\.json: no such file; fetch it"):
    source.read_strings(tmp_path / "a.json", "fetch it")
  path = trees.write_json(tmp_path / "a.json", {"a": 1})
  with pytest.raises(InputError, match="not a JSON list of names; fetch it"):
    source.read_strings(path, "fetch it")
  with pytest.raises(InputError, match="not a JSON list of names; fetch it"):
    source.read_strings(trees.write_json(path, ["a", 1]), "fetch it")
  with pytest.raises(InputError, match="lists b twice"):
    source.read_strings(trees.write_json(path, ["a", "b", "b"]), "fetch it")
  with pytest.raises(InputError, match="not a JSON object by video"):
    source.read_table(path, "fetch it")


def test_fraction_is_the_same_everywhere_and_spread_evenly():
  assert source.fraction("a") == pytest.approx(0xCA978112 / 2**32, abs=1e-9)
  at = [source.fraction(f"video-{k}") for k in range(2000)]
  assert min(at) >= 0 and max(at) < 1
  assert sum(f < 0.25 for f in at) / 2000 == pytest.approx(0.25, abs=0.03)
  source.fraction("not utf-8 \udcff")
