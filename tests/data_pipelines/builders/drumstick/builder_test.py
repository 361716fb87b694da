import pytest

from condfoley_jax.clip import MINI
from data_pipelines.builders import protocol
from data_pipelines.builders.drumstick import builder
from data_pipelines.builders.drumstick.scene import draw_scene
from data_pipelines.builders.segments import segments_of
from data_pipelines.errors import InputError


def test_sources_are_rendered_with_their_events(tmp_path):
  made = builder.Drumstick(tmp_path / "videos", spec=MINI, seed=3, counts={"test": 1}, data_dir=tmp_path / "tfds")
  (source,) = made.sources("test")
  assert source.video == tmp_path / "videos" / "drumstick-v1-test-3-0000.mp4" and source.video.exists()
  assert source.id == source.video.stem and len(source.events) > 1 and source.audio is None
  content = source.video.read_bytes()
  assert builder.sources(tmp_path / "videos", "test", seed=3, count=1, workers=1) == [source]
  assert source.video.read_bytes() == content
  segments = list(segments_of(source, MINI))
  assert tuple(e for s in segments for e in s.events) == source.events
  assert made.info.name == "drumstick" and "v1_seed3" in str(made.data_path)


def test_the_test_split_has_the_published_evaluation(tmp_path):
  builder.write_protocol(tmp_path, 0, 97, 2.0)
  trials = protocol.read_protocol(tmp_path)
  assert len(trials) == 582 and len({t.target for t in trials}) == 194
  assert {t.target.video for t in trials} == {draw_scene("test", 0, index).name for index in range(97)}
  builder.write_protocol(tmp_path, 0, 1, 2.0)
  assert not list(tmp_path.glob("*.json")), "lists of more videos than there are"


def test_a_split_of_another_name_is_refused(tmp_path):
  with pytest.raises(InputError, match="no split `nosuch`; choose one of train, val, test"):
    builder.sources(tmp_path / "videos", "nosuch", seed=0, count=1, workers=1)
  assert not (tmp_path / "videos").exists()
