import json

import pytest

from condfoley_jax import cli


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
  ],
)
def test_a_flag_that_would_change_nothing_is_refused(tmp_path, capsys, dataset, flag, fitting):
  code, (line,) = prepare(capsys, dataset, flag, tmp_path, "--out", tmp_path / "out")
  assert code == 2 and f"{flag}: goes with {fitting}, not with {dataset}; leave it out" in line
  assert not (tmp_path / "out").exists()
